//! In charge of taking a change set back: its changes, the last first.
//! Invariant: what people changed since stays, and is named; what is taken back is a change set of its own.

use futures_util::future::BoxFuture;
use indexmap::IndexMap;
use model::{Code, EntityDef, Input, Message, Value};
use serde_json::{Map, Value as Json, json};
use store::system::Cond;
use store::system::change::{self, CHANGE, CHANGE_SET, ChangeRow};
use store::{Lock, Tx};
use uuid::Uuid;

use super::steps::{Pace, Progress, Stepped, step};
use crate::Engine;
use crate::ctx::{Cause, Ctx};
use crate::error::Error;
use crate::imports::reason;
use crate::jobs::{Halt, JobKind, JobRow, JobView, Work};
use crate::records::lookup::is_live;
use crate::records::{Submission, json_of, sealed, write_in};

/// The word of undoing in the table of jobs.
const KIND: &str = "undo";
/// Later changes of a record that are looked at.
const LATER: u32 = 100;
/// Change sets of a list.
const LISTED: u32 = 200;

impl Engine {
    /// Begins to take a change set back; the job's answer. One's own, or any for an administrator.
    ///
    /// # Errors
    /// `NotFound` where there is none in sight; that it was taken back already.
    pub async fn undo(&self, cx: &Ctx, set: Uuid) -> Result<JobView, Error> {
        let (by, undone, total) = self
            .store()
            .write(move |tx| {
                change::number(tx)?;
                let first = tx.find(&CHANGE, &[Cond::Eq("change_set", Value::Uuid(set))], &[("seq", false)], 1)?;
                let (_, first) = first.first().and_then(|row| change::read(row)).ok_or(Error::NotFound)?;
                let row = tx.find(&CHANGE_SET, &[Cond::Eq("id", Value::Uuid(set))], &[], 1)?;
                let undone = row.first().and_then(|row| row.get(4)).is_some_and(|at| !at.is_null());
                Ok::<_, Error>((first.by, undone, tx.how_many(&CHANGE, &[Cond::Eq("change_set", Value::Uuid(set))])?))
            })
            .await?;
        if !cx.caller.is_admin() && (by.is_none() || by != cx.caller.user()) {
            return Err(Error::NotFound);
        }
        if undone {
            return Err(Error::of(Code::Locked, Message::new("undone_already")));
        }
        let progress = Progress { total: Some(total), ..Progress::default() };
        let progress = serde_json::to_value(progress).map_err(|error| Error::Internal(error.to_string()))?;
        self.submit_job(cx, KIND, json!({"undoes": set, "locale": cx.locale}), progress).await
    }

    /// Change sets of bulk edits, imports, merges and undoings, newest first: one's own, all for an administrator.
    ///
    /// # Errors
    /// Where the store could not.
    pub async fn change_sets(&self, cx: &Ctx) -> Result<Vec<Json>, Error> {
        let (by, is_admin) = (cx.caller.user(), cx.caller.is_admin());
        let rows = self
            .store()
            .read(move |tx| {
                let own: Vec<Cond<'_>> = by.filter(|_| !is_admin).map(|by| Cond::Eq("by", Value::Uuid(by))).into_iter().collect();
                tx.find(&CHANGE_SET, &own, &[("id", true)], LISTED).map_err(Error::from)
            })
            .await?;
        let moment = |value: &Value| value.as_timestamp().map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
        let told = |row: &Vec<Value>| {
            let [id, at, by, label, undone] = row.as_slice() else { return None };
            Some(json!({"id": id.as_uuid()?, "at": moment(at), "by": by.as_uuid(), "label": label.as_text(), "undone_at": moment(undone)}))
        };
        Ok(rows.iter().filter_map(told).collect())
    }
}

/// The kind of job.
pub(crate) struct UndoKind;

impl JobKind for UndoKind {
    fn name(&self) -> &'static str {
        KIND
    }

    fn run(&self, work: Work) -> BoxFuture<'static, Result<(), Halt>> {
        Box::pin(run(work))
    }

    fn tell(&self, job: &JobRow, answer: &mut Map<String, Json>) {
        answer.insert("undoes".to_owned(), job.body.get("undoes").cloned().unwrap_or_default());
        answer.insert("left".to_owned(), job.progress.get("left").cloned().unwrap_or_else(|| json!([])));
    }
}

async fn run(work: Work) -> Result<(), Halt> {
    let damaged = || Error::Internal("a job's body".to_owned());
    let undoes = work.job.body.get("undoes").and_then(Json::as_str).and_then(|id| Uuid::try_parse(id).ok()).ok_or_else(damaged)?;
    let mut cx = work.context().await?;
    let mut progress: Progress = serde_json::from_value(work.job.progress.clone()).unwrap_or_default();
    let set = *progress.change_set.get_or_insert_with(|| cx.new_id());
    let mut pace = Pace::begin();
    loop {
        cx.change_set = Some(set);
        let (before, limit) = (progress.clone(), pace.records());
        let act = move |cx: &Ctx, tx: &Tx| take_back(cx, tx, undoes, set, &before, limit);
        progress = step(&work, &mut cx, &mut pace, limit, false, act).await?;
        if progress.after.is_none() {
            return Ok(());
        }
    }
}

/// Takes some changes back, the last first; `after` is none where none is left.
fn take_back(cx: &Ctx, tx: &Tx, undoes: Uuid, set: Uuid, before: &Progress, limit: usize) -> Result<Stepped, Error> {
    change::number(tx)?;
    let mut fit = vec![Cond::Eq("change_set", Value::Uuid(undoes))];
    if let Some(after) = before.after.as_ref().and_then(|after| after.parse().ok()) {
        fit.push(Cond::Lt("seq", Value::Int(after)));
    }
    let rows = tx.find(&CHANGE, &fit, &[("seq", true)], u32::try_from(limit).unwrap_or(1))?;
    let rows: Vec<(i64, ChangeRow)> = rows.iter().filter_map(|row| change::read(row)).collect();
    let mut progress = Progress { after: rows.last().map(|(seq, _)| seq.to_string()), starts: 0, ..before.clone() };
    let mut notes = Vec::new();
    super::begin(cx, tx, set, "undo")?;
    // With the engine's rights: what was done is taken back, also where the person could not do the opposite.
    let engine = cx.as_engine(Cause::Undo);
    for (seq, row) in &rows {
        progress.done += 1;
        match one(&engine, tx, undoes, *seq, row, &mut progress)? {
            Some(submission) => {
                let Some(def) = cx.app.schema.find(&row.entity) else { continue };
                let (results, more) = write_in(&engine, tx, def.id, &[submission])?;
                notes.extend(more);
                match results.into_iter().next() {
                    Some(Err(error)) => {
                        progress.failed += 1;
                        progress.leave(&row.entity, row.record, reason(cx, def, &error));
                    }
                    Some(Ok(_)) => progress.updated += 1,
                    None => {}
                }
            }
            None => progress.skipped += 1,
        }
    }
    if rows.len() < limit {
        progress.after = None;
        tx.change(&CHANGE_SET, &[("undone_at", Value::Timestamp(cx.now))], &[Cond::Eq("id", Value::Uuid(undoes))])?;
    }
    Ok(Stepped { progress, notes })
}

/// What takes one change back; none where nothing is to be done.
fn one(cx: &Ctx, tx: &Tx, undoes: Uuid, seq: i64, row: &ChangeRow, progress: &mut Progress) -> Result<Option<Submission>, Error> {
    let Some(def) = cx.app.schema.find(&row.entity) else { return Ok(None) };
    let Some(cells) = tx.load(def, &[row.record], Lock::Update)?.pop().flatten() else { return Ok(None) };
    let live = is_live(def, &cells);
    match row.op.as_str() {
        "created" if !live => Ok(None),
        "created" if changed_since(tx, undoes, seq, row.record)? => {
            progress.leave(&row.entity, row.record, Message::new("changed_since").text(&cx.locale));
            Ok(None)
        }
        "created" => Ok(Some(Submission::Delete { id: row.record, version: None })),
        "deleted" | "merged" => Ok((!live).then_some(Submission::Restore { id: row.record })),
        "updated" if live => {
            let values = former(cx, def, row, &cells, progress);
            Ok((!values.is_empty()).then_some(Submission::Update { id: row.record, version: None, values }))
        }
        _ => Ok(None),
    }
}

/// What fields were before a change, as far as they are still what it made of them.
fn former(cx: &Ctx, def: &EntityDef, row: &ChangeRow, cells: &model::Cells, progress: &mut Progress) -> IndexMap<String, Input> {
    let mut values = IndexMap::new();
    for (name, change) in row.patch.as_object().into_iter().flatten() {
        let Some(field) = def.find(name).filter(|field| !field.computed() && name != "deleted_at") else { continue };
        let (was, became) = (change.get(0).cloned().unwrap_or_default(), change.get(1).cloned().unwrap_or_default());
        let is_kept = !sealed(field) && json_of(field, cells) == became;
        if is_kept {
            values.insert(name.clone(), Input::from(&was));
        } else {
            let label = field.doc.label(name, &cx.locale);
            let reason = if sealed(field) { "sealed_stays" } else { "changed_since" };
            progress.leave(&row.entity, row.record, format!("{label}: {}", Message::new(reason).text(&cx.locale)));
        }
    }
    values
}

/// Whether somebody changed a record after a change, and not with its change set.
fn changed_since(tx: &Tx, undoes: Uuid, seq: i64, record: Uuid) -> Result<bool, Error> {
    let fit = [Cond::Eq("record", Value::Uuid(record)), Cond::Gt("seq", Value::Int(seq))];
    let rows = tx.find(&CHANGE, &fit, &[("seq", false)], LATER)?;
    let by_people =
        |row: &ChangeRow| row.by.is_some() && matches!(row.cause.as_str(), "request" | "import" | "flow") && row.change_set != Some(undoes);
    Ok(rows.iter().filter_map(|row| change::read(row)).any(|(_, row)| by_people(&row)))
}
