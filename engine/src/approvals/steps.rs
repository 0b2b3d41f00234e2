//! In charge of the steps that a flow has the system take: on its way, and when it is over.
//! Invariant: on the way they are taken in the flow's own transaction and pass its lock; a failure undoes them, and the flow
//! stands still with the reason. When it is over they are a durable run like any other.

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use store::system::run;

use crate::approvals::drive::Driver;
use crate::approvals::plan::FlowPlan;
use crate::approvals::rows::Row;
use crate::automations::{raise, runner};
use crate::ctx::Ctx;
use crate::error::Error;

/// Runs the steps that the document has at `at`; what went wrong, in words.
pub(crate) fn run(driver: &mut Driver<'_>, plan: &FlowPlan, row: &Row, at: &str, on_the_way: bool) -> Result<Option<String>, Error> {
    let Some(steps) = plan.runs.get(at).map(Arc::clone) else { return Ok(None) };
    let (cx, tx) = (&Ctx { flow: on_the_way.then_some(row.id), ..driver.w.cx.clone() }, driver.tx);
    run::define(tx, &steps.hash, &steps.body)?;
    let begun = raise::begin(cx, &steps, Some((row.entity.clone(), row.record)), Json::Null, Map::new());
    if !on_the_way {
        run::put(tx, &[begun])?;
        return Ok(None);
    }
    // What was written so far is told before others read it.
    let notes = crate::records::notes_of(driver.w)?;
    driver.note(notes);
    let done = tx.savepoint(|tx| {
        run::put(tx, std::slice::from_ref(&begun))?;
        runner::run_whole(cx, tx, begun)
    });
    driver.w.reader.forget();
    match done {
        Ok(notes) => {
            driver.note(notes);
            Ok(None)
        }
        Err(Error::Store(fault)) if fault.is_transient() => Err(Error::Store(fault)),
        Err(error) => Ok(Some(crate::scenarios::told(&error))),
    }
}
