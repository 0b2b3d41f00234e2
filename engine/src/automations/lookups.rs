//! In charge of values that need the store or a kind: records looked up by a value, answers of their kind, values fit for a field.

use model::doc::IfMissing;
use model::field::{AcceptContext, Reject};
use model::{Cells, Code, EntityDef, EntityId, FieldDef, FieldId, Filter, Input, Message, Op, Storage, Value};
use rules::expr::Kind;
use rules::query::{Predicate, SystemView, TypedFilter};
use serde_json::Value as Json;
use store::Tx;
use uuid::Uuid;

use super::compile::ValuePlan;
use super::people::ids;
use super::running::Running;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::Submission;

/// The value that JSON stands for where its kind is known.
pub(crate) fn of_kind(json: &Json, kind: Kind) -> Value {
    let storage = match kind {
        Kind::Number => Storage::Decimal(9),
        Kind::Day => Storage::Date,
        Kind::Moment => Storage::Timestamp,
        Kind::Time => Storage::Time,
        Kind::Id | Kind::Record(_) => Storage::Uuid,
        Kind::Any | Kind::Empty | Kind::Truth | Kind::Text | Kind::Days | Kind::Hours | Kind::List | Kind::Structure | Kind::Sealed => {
            return rules::expr::from_json(json);
        }
    };
    rules::expr::stored_json(json, storage)
}

/// The cells of a value that was sent for a field.
pub(crate) fn accepted(cx: &Ctx, def: &EntityDef, field: &FieldDef, input: &Input, cells: &Cells) -> Result<Vec<Value>, Reject> {
    let Some(typed) = field.typed.as_ref().filter(|_| *input != Input::Null) else { return Ok(Vec::new()) };
    let sibling = |name: &str| def.find(name).and_then(|field| field.cells(cells).first().and_then(Value::as_text).map(str::to_owned));
    typed
        .accept(input, &AcceptContext { now: cx.now, sibling: &sibling })
        .map_err(|mut rejects| if rejects.is_empty() { Reject::wrong_type("…") } else { rejects.swap_remove(0) })
}

/// The one record of `entity` whose `field` is this value, among those that whoever acts sees.
///
/// # Errors
/// Where the store could not; within: that there are several.
pub(crate) fn one_by(cx: &Ctx, tx: &Tx, (entity, field): (EntityId, FieldId), input: &Input) -> Result<Result<Option<Uuid>, Reject>, Error> {
    let schema = &cx.app.schema;
    let def = schema.entity(entity);
    let filter = Filter::Leaf { field: def.field(field).name.to_string(), op: Op::Eq, value: Some(input.to_json()) };
    let refused = || Reject::new(Code::BadReference, Message::new("bad_reference"));
    let Ok(filter) = TypedFilter::compile(schema, entity, &filter, &SystemView, "") else { return Ok(Err(refused())) };
    let predicate = filter.bind(schema, &cx.params(def.name.app(), None));
    let in_sight = Predicate::all(vec![predicate, Predicate::clone(&cx.grants.entity(entity).read)]);
    Ok(match ids(cx, tx, entity, in_sight, 2)?.as_slice() {
        [] => Ok(None),
        [id] => Ok(Some(*id)),
        _ => Err(refused()),
    })
}

/// The record that a value leads to, where the value says that it is looked up.
///
/// # Errors
/// Where the store could not; within: that there is none, or several.
pub(crate) fn found(running: &Running<'_>, plan: &ValuePlan, input: Input) -> Result<Result<Input, Reject>, Error> {
    let Some((entity, field)) = plan.find else { return Ok(Ok(input)) };
    if input == Input::Null {
        return Ok(Ok(Input::Null));
    }
    match one_by(running.cx, running.tx, (entity, field), &input)? {
        Ok(Some(id)) => return Ok(Ok(Input::Text(id.to_string()))),
        Ok(None) => {}
        Err(reject) => return Ok(Err(reject)),
    }
    match plan.value.rule().if_missing.unwrap_or_default() {
        IfMissing::Empty => Ok(Ok(Input::Null)),
        IfMissing::Create => {
            let by = running.cx.app.schema.entity(entity).field(field).name.to_string();
            let values = [(by, input)].into_iter().collect();
            Ok(Ok(Input::Text(running.write(entity, Submission::Create { id: None, values })?.id.to_string())))
        }
        // What waits is tried again, as every step is.
        IfMissing::Error | IfMissing::Queue => Ok(Err(Reject::new(Code::BadReference, Message::new("bad_reference")))),
    }
}
