//! In charge of what a field that comes to be encrypted leaves behind: its former columns are emptied, page by page.
//! Invariant: the timer is written with the switch, so that no clear value stays, whatever ends the process.

use chrono::Duration;
use model::EntityDef;
use serde_json::{Value as Json, json};
use store::Tx;
use store::system::timer::{self, Timer};
use uuid::Uuid;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::published::Published;
use crate::records::sealed;
use crate::scheduler::{Due, TimerKind};

/// The word in the table of timers.
const EMPTY: &str = "empty_retired";
/// Records of one transaction.
const PAGE: u32 = 500;

/// The columns that held clear what is sealed now.
fn left_behind(was: &EntityDef, is: &EntityDef) -> Vec<String> {
    let begins = |name: &str| is.find(name).filter(|field| sealed(field)).is_some();
    let fields = was.fields.iter().filter(|field| !field.system && !sealed(field) && begins(field.name.as_str()));
    let columns = fields.flat_map(|field| field.slots.clone()).filter_map(|slot| was.columns.get(slot));
    columns.filter(|column| !is.columns.iter().any(|there| there.name == column.name)).map(|column| column.name.clone()).collect()
}

/// Within the switch: has the former columns of fields that are encrypted from now on emptied.
pub(super) fn published(cx: &Ctx, tx: &Tx, old: &Published, new: &Published) -> Result<(), Error> {
    for is in &new.schema.entities {
        let Some(was) = old.schema.find(is.name.as_str()) else { continue };
        let columns = left_behind(was, is);
        if !columns.is_empty() {
            // Who reads under the old revision still finds them.
            let due_at = cx.now + Duration::minutes(1);
            timer::set(tx, &[Timer { due_at, ..page(cx, json!({"table": is.table, "columns": columns})) }])?;
        }
    }
    Ok(())
}

fn page(cx: &Ctx, body: Json) -> Timer {
    Timer { id: cx.new_id(), kind: EMPTY.to_owned(), key: None, subject: None, due_at: cx.now, tries: 0, body }
}

/// One page of emptying.
pub(crate) struct EmptyKind;

impl TimerKind for EmptyKind {
    fn name(&self) -> &'static str {
        EMPTY
    }

    fn fire(&self, due: &Due<'_>, timer: &Timer) -> Result<(), Error> {
        let body = &timer.body;
        let columns: Vec<String> = body["columns"].as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect();
        let after = body["after"].as_str().and_then(|id| Uuid::try_parse(id).ok());
        let Some(table) = body["table"].as_str().filter(|_| !columns.is_empty()) else { return Ok(()) };
        if let Some(last) = due.tx.empty_retired(table, &columns, after, PAGE)? {
            timer::set(due.tx, &[page(due.cx, json!({"table": table, "columns": columns, "after": last}))])?;
        }
        Ok(())
    }
}
