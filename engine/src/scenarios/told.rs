//! In charge of `expect_notice`, `expect_mail`, `expect_webhook`, `expect_run`: what people and systems were told, what ran.
//! Invariant: what is counted is all so far; without a count one is enough.

use model::Value;
use serde_json::{Map, Value as Json};
use store::system::Cond;
use store::system::outbox::{Effect, EffectState, OUTBOX};
use store::system::run::{RUN, Run};
use uuid::Uuid;

use super::Stage;
use super::verbs::Failure;
use crate::error::Error;
use crate::records::{ListRequest, Total};

type Step = Map<String, Json>;

/// Rows that are looked through.
const MOST: u32 = 100_000;

fn wanted<'s>(step: &'s Step, verb: &str) -> Result<&'s Step, Failure> {
    step.get(verb).and_then(Json::as_object).ok_or_else(|| Failure::Other(format!("`{verb}` takes an object")))
}

fn text<'s>(wanted: &'s Step, key: &str) -> Option<&'s str> {
    wanted.get(key).and_then(Json::as_str)
}

/// The record that is meant, where one is.
fn record(stage: &Stage, wanted: &Step) -> Result<Option<Uuid>, Failure> {
    match text(wanted, "record") {
        None => Ok(None),
        Some(name) => stage.record(name).map(|(_, id)| Some(id)).ok_or_else(|| Failure::Other(format!("there is no record `{name}`"))),
    }
}

/// Whether as many were found as are wanted.
fn counted(what: &str, wanted: &Step, found: &[String], all: &[String]) -> Result<(), Failure> {
    let good = match wanted.get("count").and_then(Json::as_u64) {
        Some(count) => usize::try_from(count) == Ok(found.len()),
        None => !found.is_empty(),
    };
    if good {
        return Ok(());
    }
    let wanted = Json::Object(wanted.clone());
    Err(Failure::Other(format!("{} {what} fit {wanted}; there are: [{}]", found.len(), all.join("; "))))
}

fn fits(wanted: &Step, key: &str, there: Option<&str>) -> bool {
    text(wanted, key).is_none_or(|wanted| there == Some(wanted))
}

fn contains(wanted: &Step, key: &str, there: Option<&str>) -> bool {
    text(wanted, key).is_none_or(|wanted| there.unwrap_or_default().contains(wanted))
}

/// A bare name, or a qualified one.
fn named(wanted: &Step, key: &str, app: &str, there: Option<&str>) -> bool {
    text(wanted, key).is_none_or(|wanted| there.is_some_and(|there| there == wanted || there == format!("{app}.{wanted}")))
}

/// Notices in the app of the person who is named.
pub(super) async fn expect_notice(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let wanted = wanted(step, "expect_notice")?;
    let about = record(stage, wanted)?;
    let person = stage.context(step).await?.caller.user();
    let system = stage.engine.system();
    let entity = stage.find(&system, "core.notification")?;
    let filter = person.map(|person| serde_json::json!({"field": "owner", "op": "=", "value": person}));
    let request = ListRequest { filter, limit: Some(1_000), total: Total::Exact, ..ListRequest::of(entity) };
    let found = stage.engine.list(&system, request).await?;
    let rows: Vec<Json> = found.rows.iter().filter_map(|row| serde_json::from_slice(row).ok()).collect();
    let (mut fitting, mut all) = (Vec::new(), Vec::new());
    for row in &rows {
        let part = |key: &str| row.get(key).and_then(Json::as_str);
        let subject = part("subject").unwrap_or_default().to_owned();
        let is_about = about.is_none_or(|id| row.pointer("/about/id").and_then(Json::as_str) == Some(id.to_string().as_str()));
        let good = is_about
            && fits(wanted, "kind", part("kind"))
            && named(wanted, "approval", &stage.app, part("approval"))
            && contains(wanted, "subject", part("subject"))
            && contains(wanted, "text", part("text"));
        if good {
            fitting.push(subject.clone());
        }
        all.push(subject);
    }
    counted("notices", wanted, &fitting, &all)
}

async fn effects(stage: &Stage, kind: &'static str) -> Result<Vec<Effect>, Failure> {
    let rows = stage.engine.store().read(move |tx| {
        let fit = [Cond::Eq("kind", Value::text(kind)), Cond::Eq("state", Value::text(EffectState::Done.as_str()))];
        tx.find(&OUTBOX, &fit, &[("id", false)], MOST).map_err(Error::from)
    });
    Ok(rows.await?.iter().filter_map(|row| Effect::read(row)).collect())
}

fn is_about(effect: &Effect, about: Option<Uuid>) -> bool {
    about.is_none_or(|id| effect.record.as_ref().is_some_and(|(_, there)| *there == id))
}

/// Mails that the mail server took, to the person who is named or to an address.
pub(super) async fn expect_mail(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let wanted = wanted(step, "expect_mail")?;
    let about = record(stage, wanted)?;
    let person = match step.get("as") {
        Some(_) => stage.context(step).await?.caller.user(),
        None => None,
    };
    let (mut fitting, mut all) = (Vec::new(), Vec::new());
    for effect in effects(stage, "mail").await? {
        let part = |key: &str| effect.body.get(key).and_then(Json::as_str);
        let told = format!("{} to {}", part("subject").unwrap_or_default(), part("to").unwrap_or_default());
        let to_person = person.is_none_or(|person| part("person") == Some(person.to_string().as_str()));
        let good = to_person
            && is_about(&effect, about)
            && fits(wanted, "to", part("to"))
            && fits(wanted, "kind", part("kind"))
            && named(wanted, "approval", &stage.app, part("approval"))
            && contains(wanted, "subject", part("subject"))
            && contains(wanted, "text", part("text"));
        if good {
            fitting.push(told.clone());
        }
        all.push(told);
    }
    counted("mails", wanted, &fitting, &all)
}

/// Calls that another system took: by the name of the automation, its step, or the connector.
pub(super) async fn expect_webhook(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let wanted = wanted(step, "expect_webhook")?;
    let about = record(stage, wanted)?;
    let (mut fitting, mut all) = (Vec::new(), Vec::new());
    for effect in effects(stage, "http").await? {
        let part = |key: &str| effect.body.get(key).and_then(Json::as_str);
        let told = format!("{} {}", part("name").unwrap_or_default(), part("url").unwrap_or_default());
        let by_name = ["name", "step", "connector", "robot"].iter().any(|key| named(wanted, "name", &stage.app, part(key)));
        if by_name && is_about(&effect, about) {
            fitting.push(told.clone());
        }
        all.push(told);
    }
    counted("calls", wanted, &fitting, &all)
}

/// Runs of automations.
pub(super) async fn expect_run(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let wanted = wanted(step, "expect_run")?;
    let about = record(stage, wanted)?;
    let rows = stage.engine.store().read(|tx| tx.find(&RUN, &[], &[("id", false)], MOST).map_err(Error::from)).await?;
    let (mut fitting, mut all) = (Vec::new(), Vec::new());
    for run in rows.iter().filter_map(|row| Run::read(row)) {
        let told = format!("{} {}{}", run.automation, run.state.as_str(), run.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default());
        let good = named(wanted, "automation", &stage.app, Some(&run.automation))
            && fits(wanted, "state", Some(run.state.as_str()))
            && about.is_none_or(|id| run.record.as_ref().is_some_and(|(_, there)| *there == id));
        if good {
            fitting.push(told.clone());
        }
        all.push(told);
    }
    counted("runs", wanted, &fitting, &all)
}
