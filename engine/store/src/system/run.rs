//! In charge of runs of automations: what is under way, what each step did, and the definitions that runs began with.
//! Invariant: a run has a moment at which it goes on, until it has ended; waiting costs a row and nothing else.
//! Invariant: the queue is fair: each automation has its own line, and each line has its turn.

use chrono::{DateTime, Utc};
use model::{Storage, Value};
use serde_json::Value as Json;
use uuid::Uuid;

use super::{Cond, Table};
use crate::fault::Fault;
use crate::sql::Decode;
use crate::tx::{Lock, Tx};

/// Runs by id.
pub static RUN: Table = Table {
    name: "sys_run",
    columns: &[
        ("id", Storage::Uuid),
        ("automation", Storage::Text),
        ("definition", Storage::Text),
        ("state", Storage::Text),
        ("entity", Storage::Text),
        ("record", Storage::Uuid),
        ("by", Storage::Uuid),
        ("depth", Storage::Int),
        ("at", Storage::Timestamp),
        ("ended_at", Storage::Timestamp),
        // The automation, while there is something to do.
        ("line", Storage::Text),
        ("due_at", Storage::Timestamp),
        ("tries", Storage::Int),
        ("error", Storage::Text),
        ("body", Storage::Json),
    ],
    key: &["id"],
    indexes: &[&["line", "due_at"], &["due_at"], &["record", "id"], &["automation", "id"], &["state", "id"], &["state", "ended_at"]],
};

/// What each step of a run did.
pub static RUN_STEP: Table = Table {
    name: "sys_run_step",
    columns: &[
        ("run", Storage::Uuid),
        ("n", Storage::Int),
        ("step", Storage::Text),
        ("state", Storage::Text),
        ("at", Storage::Timestamp),
        ("micros", Storage::Int),
        ("data", Storage::Json),
        ("error", Storage::Text),
    ],
    key: &["run", "n"],
    indexes: &[],
};

/// Definitions that something still follows, by their hash.
pub static DEFINITION: Table =
    Table { name: "sys_definition", columns: &[("hash", Storage::Text), ("body", Storage::Json)], key: &["hash"], indexes: &[] };

/// Where a run is; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It waits for its turn or for a moment.
    Waiting,
    /// It is under way and goes on at once.
    Running,
    /// It came to its end.
    Done,
    /// A step failed and is tried again.
    Failed,
    /// A step failed too often; it can be replayed.
    Dead,
    /// It was given up.
    Cancelled,
}

impl RunState {
    /// Every state.
    pub const ALL: [Self; 6] = [Self::Waiting, Self::Running, Self::Done, Self::Failed, Self::Dead, Self::Cancelled];

    /// The word in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state that a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing more comes of it by itself.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Dead | Self::Cancelled)
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: Uuid,
    /// The automation's qualified name.
    pub automation: String,
    /// The hash of the definition that it began with.
    pub definition: String,
    /// Where it is.
    pub state: RunState,
    /// The record that set it off.
    pub record: Option<(String, Uuid)>,
    /// The person who set it off.
    pub by: Option<Uuid>,
    /// How many changes deep it acts.
    pub depth: i64,
    /// When it was set off.
    pub at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// When it goes on.
    pub due_at: DateTime<Utc>,
    /// How often its present step was tried in vain.
    pub tries: i64,
    /// Why its present step failed last.
    pub error: Option<String>,
    /// Where it stands and what it holds.
    pub body: Json,
}

impl Run {
    fn row(&self) -> Vec<Value> {
        let (entity, record) = match &self.record {
            Some((entity, id)) => (Value::text(entity), Value::Uuid(*id)),
            None => (Value::Null, Value::Null),
        };
        let goes_on = !self.state.is_ended();
        vec![
            Value::Uuid(self.id),
            Value::text(&self.automation),
            Value::text(&self.definition),
            Value::text(self.state.as_str()),
            entity,
            record,
            self.by.map_or(Value::Null, Value::Uuid),
            Value::Int(self.depth),
            Value::Timestamp(self.at),
            self.ended_at.map_or(Value::Null, Value::Timestamp),
            if goes_on { Value::text(&self.automation) } else { Value::Null },
            if goes_on { Value::Timestamp(self.due_at) } else { Value::Null },
            Value::Int(self.tries),
            self.error.as_deref().map_or(Value::Null, Value::text),
            Value::Json(std::sync::Arc::new(self.body.clone())),
        ]
    }

    /// A row of [`RUN`].
    #[must_use]
    pub fn read(row: &[Value]) -> Option<Self> {
        let [id, automation, definition, state, entity, record, by, depth, at, ended_at, _, due_at, tries, error, body] = row else { return None };
        let at = at.as_timestamp()?;
        Some(Self {
            id: id.as_uuid()?,
            automation: automation.as_text()?.to_owned(),
            definition: definition.as_text()?.to_owned(),
            state: RunState::parse(state.as_text()?)?,
            record: entity.as_text().map(str::to_owned).zip(record.as_uuid()),
            by: by.as_uuid(),
            depth: depth.as_int()?,
            at,
            ended_at: ended_at.as_timestamp(),
            due_at: due_at.as_timestamp().unwrap_or(at),
            tries: tries.as_int()?,
            error: error.as_text().map(str::to_owned),
            body: super::json_of(body),
        })
    }
}

/// What one step did.
#[derive(Clone, Debug, PartialEq)]
pub struct RunStep {
    /// The run.
    pub run: Uuid,
    /// Its place in the run, from 1.
    pub n: i64,
    /// The step's name.
    pub step: String,
    /// `done`, `failed`, `waiting`, `skipped`.
    pub state: String,
    /// When.
    pub at: DateTime<Utc>,
    /// How long it took, in microseconds.
    pub micros: i64,
    /// What it was about and what came of it.
    pub data: Json,
    /// Why it failed.
    pub error: Option<String>,
}

impl RunStep {
    /// A row of [`RUN_STEP`].
    #[must_use]
    pub fn read(row: &[Value]) -> Option<Self> {
        let [run, n, step, state, at, micros, data, error] = row else { return None };
        Some(Self {
            run: run.as_uuid()?,
            n: n.as_int()?,
            step: step.as_text()?.to_owned(),
            state: state.as_text()?.to_owned(),
            at: at.as_timestamp()?,
            micros: micros.as_int()?,
            data: super::json_of(data),
            error: error.as_text().map(str::to_owned),
        })
    }
}

/// Writes new runs.
///
/// # Errors
/// Where the database cannot.
pub fn put(tx: &Tx, runs: &[Run]) -> Result<(), Fault> {
    if runs.is_empty() {
        return Ok(());
    }
    tx.put(&RUN, &runs.iter().map(Run::row).collect::<Vec<_>>())?;
    tx.stir();
    Ok(())
}

/// What changes of a run after it began.
const MOVING: [&str; 7] = ["state", "ended_at", "line", "due_at", "tries", "error", "body"];

/// Writes where a run is now.
///
/// # Errors
/// Where the database cannot.
pub fn keep(tx: &Tx, run: &Run) -> Result<(), Fault> {
    let row = run.row();
    let set: Vec<(&str, Value)> =
        RUN.columns.iter().zip(row).filter(|((name, _), _)| MOVING.contains(name)).map(|((name, _), value)| (*name, value)).collect();
    tx.change(&RUN, &set, &[Cond::Eq("id", Value::Uuid(run.id))])?;
    if !run.state.is_ended() {
        tx.stir();
    }
    Ok(())
}

/// Adds what steps did.
///
/// # Errors
/// Where the database cannot.
pub fn note(tx: &Tx, steps: &[RunStep]) -> Result<(), Fault> {
    let rows: Vec<Vec<Value>> = steps
        .iter()
        .map(|step| {
            vec![
                Value::Uuid(step.run),
                Value::Int(step.n),
                Value::text(&step.step),
                Value::text(&step.state),
                Value::Timestamp(step.at),
                Value::Int(step.micros),
                Value::Json(std::sync::Arc::new(step.data.clone())),
                step.error.as_deref().map_or(Value::Null, Value::text),
            ]
        })
        .collect();
    tx.put(&RUN_STEP, &rows)
}

/// The next line after `after` in which something waits; none where there is none behind it.
///
/// # Errors
/// Where the database cannot.
pub fn next_line(tx: &Tx, after: &str) -> Result<Option<String>, Fault> {
    let mut sql = tx.sql();
    sql.push("SELECT \"line\" FROM \"sys_run\" WHERE \"line\" > ").bind(Storage::Text, Value::Text(std::sync::Arc::from(after)));
    sql.push(" ORDER BY \"line\" LIMIT 1");
    let rows = tx.query(&sql, &[Decode::Plain(Storage::Text)])?;
    Ok(rows.first().and_then(|row| row.first()).and_then(Value::as_text).map(str::to_owned))
}

/// Runs of a line that are due, the longest waiting first, locked until the transaction ends.
///
/// # Errors
/// Where the database cannot.
pub fn due(tx: &Tx, line: &str, now: DateTime<Utc>, limit: u32) -> Result<Vec<Run>, Fault> {
    let upto = now + chrono::Duration::microseconds(1);
    let fit = [Cond::Eq("line", Value::text(line)), Cond::Lt("due_at", Value::Timestamp(upto))];
    let rows = tx.find_locked(&RUN, &fit, &[("due_at", false), ("id", false)], limit, Lock::Free)?;
    Ok(rows.iter().filter_map(|row| Run::read(row)).collect())
}

/// One run, locked where it is to be changed.
///
/// # Errors
/// Where the database cannot.
pub fn get(tx: &Tx, id: Uuid, lock: Lock) -> Result<Option<Run>, Fault> {
    let rows = tx.find_locked(&RUN, &[Cond::Eq("id", Value::Uuid(id))], &[], 1, lock)?;
    Ok(rows.first().and_then(|row| Run::read(row)))
}

/// When the next run goes on.
///
/// # Errors
/// Where the database cannot.
pub fn earliest(tx: &Tx) -> Result<Option<DateTime<Utc>>, Fault> {
    let rows = tx.find(&RUN, &[Cond::Set("due_at")], &[("due_at", false)], 1)?;
    Ok(rows.first().and_then(|row| Run::read(row)).map(|run| run.due_at))
}

/// Removes runs that came to their end or were given up before `before`, with what their steps did; how many.
/// What died stays: a person may still replay it.
///
/// # Errors
/// Where the database cannot.
pub fn sweep(tx: &Tx, before: DateTime<Utc>, limit: u32) -> Result<u64, Fault> {
    let over = [RunState::Done, RunState::Cancelled].map(|state| Value::text(state.as_str())).to_vec();
    let rows = tx.find(&RUN, &[Cond::In("state", over), Cond::Lt("ended_at", Value::Timestamp(before))], &[("ended_at", false)], limit)?;
    let ids: Vec<Value> = rows.iter().filter_map(|row| row.first()).cloned().collect();
    if ids.is_empty() {
        return Ok(0);
    }
    tx.remove(&RUN_STEP, &[Cond::In("run", ids.clone())])?;
    tx.remove(&RUN, &[Cond::In("id", ids)])
}

/// Keeps a definition, once.
///
/// # Errors
/// Where the database cannot.
pub fn define(tx: &Tx, hash: &str, body: &Json) -> Result<(), Fault> {
    // Many begin with the same one: it is written once.
    if !tx.find(&DEFINITION, &[Cond::Eq("hash", Value::text(hash))], &[], 1)?.is_empty() {
        return Ok(());
    }
    // As one text: a database may sort the keys of JSON, and what stands first in a document is looked at first.
    let text = Json::String(body.to_string());
    tx.put_over(&DEFINITION, vec![Value::text(hash), Value::Json(std::sync::Arc::new(text))])
}

/// A definition that was kept.
///
/// # Errors
/// Where the database cannot.
pub fn definition(tx: &Tx, hash: &str) -> Result<Option<Json>, Fault> {
    let rows = tx.find(&DEFINITION, &[Cond::Eq("hash", Value::text(hash))], &[], 1)?;
    Ok(rows.first().and_then(|row| row.get(1)).map(super::json_of).map(|kept| match kept {
        Json::String(text) => serde_json::from_str(&text).unwrap_or_default(),
        // As it was kept before.
        json => json,
    }))
}
