//! In charge of what a step may do: one function per verb, and the list of them.
//! Invariant: adding a verb is one function and one line in `VERBS`; a step has exactly one verb.

use std::future::Future;
use std::pin::Pin;

use chrono::{DateTime, Duration};
use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::compare::same;
use super::{Stage, told};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::{ListRequest, Shape, Submission, Total};

pub(super) type Step = Map<String, Json>;
pub(super) type Done<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// Why a step did not do what it says: an error of the engine, which a step may expect, or something else.
pub(super) enum Failure {
    Engine(Error),
    Other(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}

pub(super) type Verb = for<'a> fn(&'a mut Stage, &'a Step) -> Done<'a>;

/// Every verb.
const VERBS: &[(&str, Verb)] = &[
    ("create", |stage, step| Box::pin(create(stage, step))),
    ("update", |stage, step| Box::pin(update(stage, step))),
    ("move", |stage, step| Box::pin(move_to(stage, step))),
    ("delete", |stage, step| Box::pin(delete(stage, step))),
    ("restore", |stage, step| Box::pin(restore(stage, step))),
    ("expect", |stage, step| Box::pin(expect(stage, step))),
    ("list", |stage, step| Box::pin(list(stage, step))),
    ("aggregate", |stage, step| Box::pin(aggregate(stage, step))),
    ("advance_clock", |stage, step| Box::pin(advance_clock(stage, step))),
    ("convert", |stage, step| Box::pin(super::convert::convert(stage, step))),
    ("protect", |stage, step| Box::pin(super::pools::act(stage, step, "protect"))),
    ("unprotect", |stage, step| Box::pin(super::pools::act(stage, step, "unprotect"))),
    ("press", |stage, step| Box::pin(super::press::press(stage, step))),
    ("post", |stage, step| Box::pin(super::post::post(stage, step))),
    ("sink", |stage, step| Box::pin(super::sinks::sink(stage, step))),
    ("expect_notice", |stage, step| Box::pin(super::told::expect_notice(stage, step))),
    ("expect_mail", |stage, step| Box::pin(super::told::expect_mail(stage, step))),
    ("expect_webhook", |stage, step| Box::pin(super::told::expect_webhook(stage, step))),
    ("expect_print", |stage, step| Box::pin(super::print::expect_print(stage, step))),
    ("expect_run", |stage, step| Box::pin(super::told::expect_run(stage, step))),
];

/// Runs a step, and holds what it expects against what happened.
pub(super) async fn run(stage: &mut Stage, step: &Step) -> Result<(), String> {
    let Some((_, verb)) = VERBS.iter().chain(super::approvals::VERBS).chain(super::workings::VERBS).find(|(name, _)| step.contains_key(*name)) else {
        let keys: Vec<&str> = step.keys().map(String::as_str).collect();
        return Err(format!("this step has no verb that is known: {}", keys.join(", ")));
    };
    judged(verb(stage, step).await, step)
}

/// What happened, held against what the step expects.
pub(super) fn judged(done: Result<(), Failure>, step: &Step) -> Result<(), String> {
    match (done, step.get("expect_error")) {
        (Ok(()), None) => Ok(()),
        (Ok(()), Some(expected)) => Err(format!("it succeeded, {expected} was expected")),
        (Err(Failure::Other(reason)), _) => Err(reason),
        (Err(Failure::Engine(error)), None) => Err(told(&error)),
        (Err(Failure::Engine(error)), Some(expected)) => expected_error(&error, expected),
    }
}

/// Whether an error is the expected one; `"field": null` wants a fault that names none.
fn expected_error(error: &Error, expected: &Json) -> Result<(), String> {
    let names_none = expected.get("field").is_some_and(Json::is_null);
    let (code, field, message) = (text(expected, "code"), text(expected, "field"), text(expected, "message"));
    let fits = match error {
        Error::Invalid(faults) => faults.iter().any(|fault| {
            code.is_none_or(|code| fault.code.as_str() == code)
                && (!names_none || fault.field.is_none() && fault.pointer.is_empty())
                && field.is_none_or(|field| fault.field.as_deref() == Some(field) || fault.pointer == format!("/{field}"))
                && message.is_none_or(|message| fault.wording.text("en").contains(message))
        }),
        other => field.is_none() && code.is_none_or(|code| code_of(other) == code),
    };
    if fits { Ok(()) } else { Err(format!("{expected} was expected, not: {}", told(error))) }
}

fn code_of(error: &Error) -> &'static str {
    match error {
        Error::NotFound => "not_found",
        Error::Forbidden => "forbidden",
        Error::Unauthenticated => "unauthenticated",
        Error::StaleVersion { .. } => "stale_version",
        Error::RateLimited { .. } => "rate_limited",
        Error::IdempotencyMismatch => "idempotency_mismatch",
        Error::IdempotencyRunning | Error::Superseded => "busy",
        Error::Conflicts(_) => "conflicts",
        Error::Unplaced(_) => "needs_target",
        Error::Duplicates(_) => "duplicate_found",
        Error::Invalid(_) | Error::Documents(_) => "invalid",
        Error::Store(_) | Error::Internal(_) => "internal",
    }
}

fn text<'j>(json: &'j Json, key: &str) -> Option<&'j str> {
    json.get(key).and_then(Json::as_str)
}

pub(super) fn word<'s>(step: &'s Step, key: &str) -> Result<&'s str, String> {
    step.get(key).and_then(Json::as_str).ok_or_else(|| format!("`{key}` is not a text"))
}

/// The record that a verb is about.
pub(super) fn subject(stage: &Stage, step: &Step, verb: &str) -> Result<(String, uuid::Uuid), String> {
    let name = word(step, verb)?;
    stage.record(name).ok_or_else(|| format!("there is no record `{name}`"))
}

fn version(step: &Step) -> Option<i64> {
    step.get("version").and_then(Json::as_i64)
}

async fn create(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let cx = stage.context(step).await?;
    let name = word(step, "create")?;
    let entity = stage.find(&cx, name)?;
    let values = stage.values(&cx, entity, step.get("values"));
    let qualified = cx.app.schema.entity(entity).name.to_string();
    let id = stage.write(&cx, &qualified, Submission::Create { id: None, values }).await?;
    stage.save(step, qualified, id);
    Ok(())
}

async fn update(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let cx = stage.context(step).await?;
    let (entity, id) = subject(stage, step, "update")?;
    let values = stage.values(&cx, stage.find(&cx, &entity)?, step.get("values"));
    stage.write(&cx, &entity, Submission::Update { id, version: version(step), values }).await?;
    Ok(())
}

async fn move_to(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let cx = stage.context(step).await?;
    let (entity, id) = subject(stage, step, "move")?;
    let values = stage.values(&cx, stage.find(&cx, &entity)?, step.get("values"));
    let skip: IndexMap<String, String> = step
        .get("skip")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, reason)| Some((name.clone(), reason.as_str()?.to_owned())))
        .collect();
    let to = word(step, "to")?.to_owned();
    stage.write(&cx, &entity, Submission::Move { id, version: version(step), field: None, to, values, skip }).await?;
    Ok(())
}

async fn delete(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let cx = stage.context(step).await?;
    let (entity, id) = subject(stage, step, "delete")?;
    stage.write(&cx, &entity, Submission::Delete { id, version: version(step) }).await?;
    Ok(())
}

async fn restore(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let cx = stage.context(step).await?;
    let (entity, id) = subject(stage, step, "restore")?;
    stage.write(&cx, &entity, Submission::Restore { id }).await?;
    Ok(())
}

async fn expect(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let cx = stage.context(step).await?;
    let (entity, id) = subject(stage, step, "expect")?;
    let values = step.get("values").and_then(Json::as_object).cloned().unwrap_or_default();
    let shape = Shape { fields: Some(values.keys().filter(|key| *key != "title").cloned().collect()), ..Shape::default() };
    let is_missing = step.get("missing") == Some(&Json::Bool(true));
    let entity_id = stage.find(&cx, &entity)?;
    let found = match stage.engine.get(&cx, entity_id, id, &shape).await {
        Err(Error::NotFound) if is_missing => return Ok(()),
        other => other?,
    };
    let actual: Json = serde_json::from_slice(&found.json).map_err(|error| error.to_string())?;
    if is_missing {
        return Err(Failure::Other("the record is there".to_owned()));
    }
    let wrong = differences(stage, &cx, &values, &actual);
    if wrong.is_empty() { Ok(()) } else { Err(Failure::Other(wrong.join("; "))) }
}

fn differences(stage: &Stage, _: &Ctx, values: &Step, actual: &Json) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, value) in values {
        let expected = stage.resolve(value, &|_| false, name);
        let there = actual.get(name).cloned().unwrap_or_default();
        if !same(&expected, &there) {
            wrong.push(format!("{name} is {there}, {expected} was expected"));
        }
    }
    wrong
}

async fn list(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let cx = stage.context(step).await?;
    let entity = stage.find(&cx, word(step, "list")?)?;
    let sort = step.get("sort").map(|sort| match sort {
        Json::Array(keys) => keys.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(","),
        other => other.as_str().unwrap_or_default().to_owned(),
    });
    let request = ListRequest {
        filter: step.get("filter").map(|filter| stage.resolve(filter, &|_| false, "")),
        sort: sort.clone(),
        limit: step.get("limit").and_then(Json::as_u64).and_then(|limit| u32::try_from(limit).ok()).or(Some(1_000)),
        q: step.get("q").and_then(Json::as_str).map(str::to_owned),
        total: Total::Exact,
        pool: step.get("pool").and_then(Json::as_str).map(str::to_owned),
        ..ListRequest::of(entity)
    };
    let found = stage.engine.list(&cx, request).await?;
    if let Some(expected) = step.get("expect_list").and_then(Json::as_array) {
        let mut wanted: Vec<String> = expected
            .iter()
            .filter_map(Json::as_str)
            .map(|name| stage.record(name).map_or_else(|| name.to_owned(), |(_, id)| id.to_string()))
            .collect();
        let mut ids: Vec<String> = found.titles.iter().map(|(id, _)| id.to_string()).collect();
        if sort.is_none() {
            wanted.sort();
            ids.sort();
        }
        if wanted != ids {
            let titles: Vec<&str> = found.titles.iter().map(|(_, title)| title.as_str()).collect();
            return Err(Failure::Other(format!("the list is {titles:?}, {expected:?} was expected")));
        }
    }
    match step.get("total").and_then(Json::as_u64) {
        Some(total) if found.total != Some(total) => Err(Failure::Other(format!("there are {:?}, {total} were expected", found.total))),
        _ => Ok(()),
    }
}

async fn aggregate(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let cx = stage.context(step).await?;
    let entity = stage.find(&cx, word(step, "aggregate")?)?;
    let body: Map<String, Json> = ["group_by", "measures", "filter", "having", "sort", "limit"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), stage.resolve(step.get(key)?, &|_| false, key))))
        .collect();
    let answer = stage.engine.aggregate(&cx, entity, Json::Object(body)).await?;
    if let Some(expected) = step.get("expect_rows") {
        let expected = stage.resolve(expected, &|_| false, "");
        let there = answer.get("data").cloned().unwrap_or_default();
        if !same(&expected, &there) {
            return Err(Failure::Other(format!("the groups are {there}, {expected} was expected")));
        }
    }
    Ok(())
}

async fn advance_clock(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let target = match step.get("to").and_then(Json::as_str) {
        Some(moment) => DateTime::parse_from_rfc3339(moment).map_err(|error| error.to_string())?.with_timezone(&chrono::Utc),
        None => {
            let span = word(step, "advance_clock")?;
            let seconds = model::field::scalar::read_duration(span).ok_or_else(|| format!("`{span}` is not a duration"))?;
            stage.engine.now() + Duration::seconds(seconds)
        }
    };
    // What falls due on the way is done at its moment, in order.
    while let Some(due) = stage.engine.next_due().await?.filter(|due| *due <= target) {
        stage.clock.set(due.max(stage.engine.now()));
        stage.engine.run_due().await?;
    }
    stage.clock.set(target);
    Ok(())
}
