//! In charge of bulk edits: one change, or a delete, of all records of a list.
//! Invariant: records that the caller may not see or change are not touched; each that was left is counted and named.

use futures_util::future::BoxFuture;
use indexmap::IndexMap;
use model::{Code, EntityId, Input, Message, Violation};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::steps::{Pace, Progress, Stepped, step};
use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::imports::reason;
use crate::jobs::{Halt, JobKind, JobRow, JobView, Work};
use crate::records::{ListRequest, Outcome, Shape, Submission, Total, write_in};

/// The word of bulk edits in the table of jobs.
const KIND: &str = "bulk";
/// The most records that are named by their ids.
const MOST_IDS: usize = 10_000;

/// What is done to each record; closed.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// These values are set.
    Set(IndexMap<String, Input>),
    /// It goes to the bin.
    Delete,
}

/// A bulk edit as it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkRequest {
    /// Which records; all that `ids` names where absent.
    pub filter: Option<Json>,
    /// Which records, by id.
    pub ids: Option<Vec<Uuid>>,
    /// What is done to each.
    pub deed: Deed,
    /// Whether it is only counted what would be.
    pub dry_run: bool,
}

fn wrong(key: &str, expected: &str) -> Violation {
    Violation::of_field(key, Code::Malformed, Message::new("wrong_type").with("expected", expected))
}

impl BulkRequest {
    /// The request that a body makes.
    ///
    /// # Errors
    /// Every fault of it.
    pub fn parse(body: IndexMap<String, Input>) -> Result<Self, Error> {
        let (mut filter, mut ids, mut values, mut delete, mut dry_run) = (None, None, None, false, false);
        let mut faults = Vec::new();
        for (key, input) in body {
            match (key.as_str(), input) {
                ("filter", input @ Input::Map(_)) => filter = Some(input.to_json()),
                ("ids", Input::List(items)) if items.len() > MOST_IDS => {
                    faults.push(Violation::of_field("ids", Code::Limit, Message::new("too_many").with("max", MOST_IDS)));
                }
                ("ids", Input::List(items)) => {
                    let read: Option<Vec<Uuid>> = items.iter().map(|item| Uuid::try_parse(item.as_text()?).ok()).collect();
                    match read {
                        Some(read) => ids = Some(read),
                        None => faults.push(wrong("ids", "[\"0190…\"]")),
                    }
                }
                ("values", Input::Map(map)) => values = Some(map),
                ("delete", Input::Bool(truth)) => delete = truth,
                ("dry_run", Input::Bool(truth)) => dry_run = truth,
                ("filter" | "values", _) => faults.push(wrong(&key, "{…}")),
                ("ids", _) => faults.push(wrong("ids", "[…]")),
                ("delete" | "dry_run", _) => faults.push(wrong(&key, "true")),
                _ => faults.push(Violation::of_field(&key, Code::Malformed, Message::new("unknown_key").with("name", &key))),
            }
        }
        if filter.is_some() == ids.is_some() && faults.is_empty() {
            faults.push(Violation::of_field("filter", Code::Malformed, Message::new("bulk_which")));
        }
        let deed = match (values, delete) {
            (Some(values), false) if !values.is_empty() => Some(Deed::Set(values)),
            (None, true) => Some(Deed::Delete),
            _ => None,
        };
        match deed {
            Some(deed) if faults.is_empty() => Ok(Self { filter, ids, deed, dry_run }),
            Some(_) => Err(Error::Invalid(faults)),
            None => {
                faults.push(Violation::of_field("values", Code::Malformed, Message::new("bulk_what")));
                Err(Error::Invalid(faults))
            }
        }
    }
}

impl Engine {
    /// Begins a bulk edit; the job's answer.
    ///
    /// # Errors
    /// Faults of the filter; fields that are not there or may not be written; that the caller may not at all.
    pub async fn bulk(&self, cx: &Ctx, entity: EntityId, request: BulkRequest) -> Result<JobView, Error> {
        let def = cx.app.schema.entity(entity);
        let grant = cx.grants.entity(entity);
        let is_none = |predicate: &rules::query::Predicate| *predicate == rules::query::Predicate::False;
        let (refused, unknown): (bool, Vec<Violation>) = match &request.deed {
            Deed::Delete => (is_none(&grant.delete), Vec::new()),
            Deed::Set(values) => {
                let is_there = |name: &str| name == "version" || cx.grants.field(def, name).is_some();
                let unknown = |name: &String| Violation::of_field(name, Code::UnknownField, Message::new("unknown_field").with("name", name));
                (is_none(&grant.update), values.keys().filter(|name| !is_there(name)).map(unknown).collect())
            }
        };
        if refused {
            return Err(Error::Forbidden);
        }
        if !unknown.is_empty() {
            return Err(Error::Invalid(unknown));
        }
        let mut progress = Progress::default();
        if let Some(filter) = &request.filter {
            let probe = ListRequest { total: Total::Exact, limit: Some(1), ..page(entity, Some(filter.clone())) };
            progress.total = self.list(cx, probe).await?.total;
        }
        if let Some(ids) = &request.ids {
            progress.total = Some(ids.len() as u64);
        }
        let (values, delete) = match request.deed {
            Deed::Set(values) => (Some(Input::Map(values).to_json()), false),
            Deed::Delete => (None, true),
        };
        let body = json!({
            "entity": def.name.as_str(), "filter": request.filter, "ids": request.ids, "values": values, "delete": delete,
            "dry_run": request.dry_run, "locale": cx.locale,
        });
        let progress = serde_json::to_value(progress).map_err(|error| Error::Internal(error.to_string()))?;
        self.submit_job(cx, KIND, body, progress).await
    }
}

fn page(entity: EntityId, filter: Option<Json>) -> ListRequest {
    ListRequest { filter, shape: Shape { fields: Some(Vec::new()), ..Shape::default() }, ..ListRequest::of(entity) }
}

/// The kind of job.
pub(crate) struct BulkKind;

impl JobKind for BulkKind {
    fn name(&self) -> &'static str {
        KIND
    }

    fn run(&self, work: Work) -> BoxFuture<'static, Result<(), Halt>> {
        Box::pin(run(work))
    }

    fn tell(&self, job: &JobRow, answer: &mut Map<String, Json>) {
        answer.insert("entity".to_owned(), job.body.get("entity").cloned().unwrap_or_default());
        answer.insert("dry_run".to_owned(), job.body.get("dry_run").cloned().unwrap_or_default());
        answer.insert("left".to_owned(), job.progress.get("left").cloned().unwrap_or_else(|| json!([])));
    }
}

async fn run(work: Work) -> Result<(), Halt> {
    let mut cx = work.context().await?;
    let body = &work.job.body;
    let name = body.get("entity").and_then(Json::as_str).unwrap_or_default().to_owned();
    let dry_run = body.get("dry_run").and_then(Json::as_bool).unwrap_or_default();
    let delete = body.get("delete").and_then(Json::as_bool).unwrap_or_default();
    let values = match body.get("values").map(Input::from) {
        Some(Input::Map(values)) => values,
        _ => IndexMap::new(),
    };
    let ids: Option<Vec<Uuid>> = body.get("ids").filter(|ids| !ids.is_null()).and_then(|ids| serde_json::from_value(ids.clone()).ok());
    let filter = body.get("filter").filter(|filter| !filter.is_null()).cloned();
    let mut progress: Progress = serde_json::from_value(work.job.progress.clone()).unwrap_or_default();
    let mut pace = Pace::begin();
    let set = *progress.change_set.get_or_insert_with(|| cx.new_id());
    loop {
        let (found, next) = match &ids {
            Some(ids) => {
                let from = usize::try_from(progress.done).unwrap_or(usize::MAX);
                let found: Vec<Uuid> = ids.iter().skip(from).take(pace.records()).copied().collect();
                let is_more = from + found.len() < ids.len();
                (found, is_more.then(String::new))
            }
            None => {
                let entity = work.engine.entity(&cx, &name)?.id;
                let limit = u32::try_from(pace.records()).ok();
                let answer = work.engine.list(&cx, ListRequest { after: progress.after.clone(), limit, ..page(entity, filter.clone()) }).await?;
                (answer.titles.iter().map(|(id, _)| *id).collect(), answer.next)
            }
        };
        if found.is_empty() {
            break;
        }
        cx.change_set = Some(set);
        let (before, entity, count, after, values) = (progress.clone(), name.clone(), found.len(), next.clone(), values.clone());
        let act = move |cx: &Ctx, tx: &store::Tx| {
            let def = cx.app.schema.find(&entity).ok_or(Error::NotFound)?;
            super::begin(cx, tx, set, &entity)?;
            let submissions = found.iter().map(|id| match delete {
                true => Submission::Delete { id: *id, version: None },
                false => Submission::Update { id: *id, version: None, values: values.clone() },
            });
            let (results, notes) = write_in(cx, tx, def.id, &submissions.collect::<Vec<_>>())?;
            let mut progress = Progress { after: after.clone(), starts: 0, ..before.clone() };
            for (id, result) in found.iter().zip(results) {
                progress.done += 1;
                match result {
                    Ok(written) if written.outcome == Outcome::Unchanged => progress.skipped += 1,
                    Ok(_) => progress.updated += 1,
                    Err(error) => {
                        progress.failed += 1;
                        progress.leave(&entity, *id, reason(cx, def, &error));
                    }
                }
            }
            Ok(Stepped { progress, notes })
        };
        progress = step(&work, &mut cx, &mut pace, count, dry_run, act).await?;
        if next.is_none() {
            break;
        }
    }
    Ok(())
}
