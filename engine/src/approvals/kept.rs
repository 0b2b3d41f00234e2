//! In charge of what somebody wrote at a task and has not decided yet: theirs alone, until they decide or the task goes.
//! Invariant: nothing of the record or the instance changes by it; what rests encrypted is not kept, and said to be left out.

use std::sync::Arc;

use indexmap::IndexMap;
use model::{Input, Value};
use serde_json::{Map, Value as Json, json};
use store::Tx;
use store::system::Cond;
use store::system::approval::APPROVAL_KEPT;
use uuid::Uuid;

use crate::Engine;
use crate::approvals::drive::{own_facts, plan_of};
use crate::approvals::verbs::{meant, opened, own};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::history::sealed;
use crate::records::slice::Writer;

/// What is to be kept.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// The words.
    pub opinion: Option<String>,
    /// Changes of the record, of fields that the task opens.
    pub values: IndexMap<String, Input>,
}

impl Engine {
    /// Keeps what the caller wrote at a task, in the place of what was kept before; the fields that are not kept since they
    /// rest encrypted.
    ///
    /// # Errors
    /// `NotFound` for who may not know of the task, `task_closed`, `not_your_task`; fields that the task does not open.
    pub async fn save_task(&self, cx: &Ctx, task: Uuid, kept: Kept) -> Result<Vec<String>, Error> {
        self.transact(cx, move |cx, tx| Ok((save(cx, tx, task, &kept)?, Vec::new()))).await
    }
}

fn save(cx: &Ctx, tx: &Tx, task: Uuid, kept: &Kept) -> Result<Vec<String>, Error> {
    let (row, seat) = meant(cx, tx, task)?;
    let (seat, person) = seat.zip(cx.caller.user()).ok_or(Error::NotFound)?;
    own(&row, seat, Some(person))?;
    let facts = own_facts(cx);
    let plan = plan_of(&Writer::new(&facts, tx), &row)?;
    let def = cx.app.schema.entity(plan.entity);
    if !kept.values.is_empty() {
        opened(cx, &plan, &row, seat, &kept.values)?;
    }
    let is_sealed = |name: &&String| def.find(name).is_some_and(sealed);
    let left_out: Vec<String> = kept.values.keys().filter(is_sealed).cloned().collect();
    let values: Map<String, Json> =
        kept.values.iter().filter(|(name, _)| !left_out.contains(name)).map(|(name, input)| (name.clone(), input.to_json())).collect();
    let body = json!({"opinion": kept.opinion, "values": values});
    let key = [Value::Uuid(row.id), Value::Int(i64::from(seat)), Value::Uuid(person)];
    let values = key.into_iter().chain([Value::Timestamp(cx.now), Value::Json(Arc::new(body))]).collect();
    tx.put_over(&APPROVAL_KEPT, values)?;
    Ok(left_out)
}

/// What somebody kept at a task: `{"opinion", "values", "at"}`.
pub(super) fn of(tx: &Tx, instance: Uuid, seat: u32, person: Uuid) -> Result<Option<Json>, Error> {
    let fit = [Cond::Eq("instance", Value::Uuid(instance)), Cond::Eq("seat", Value::Int(i64::from(seat))), Cond::Eq("person", Value::Uuid(person))];
    let rows = tx.find(&APPROVAL_KEPT, &fit, &[], 1)?;
    let Some([_, _, _, at, Value::Json(body)]) = rows.first().map(Vec::as_slice) else { return Ok(None) };
    let mut told = Json::clone(body);
    told["at"] = json!(at.as_timestamp());
    Ok(Some(told))
}
