//! In charge of the steps of scenarios that are about approvals: what people do, and what they expect to have before them.
//! Invariant: a task is found as its holder would find it; who has none acts on another's and is told so.

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::verbs::{Failure, Step, Verb, judged, subject, word};
use super::{Stage, inputs};
use crate::approvals::{
    AdminAct, AdminResult, Ask, AskFor, Begin, Box as Which, BoxRequest, ForecastAsked, NewProxy, PathStep, Selection, SignMode, SignPlace,
};
use crate::ctx::Ctx;

/// The verbs of approvals.
pub(super) const VERBS: &[(&str, Verb)] = &[
    ("submit", |stage, step| Box::pin(submit(stage, step))),
    ("approve", |stage, step| Box::pin(asked(stage, step, "approve"))),
    ("reject", |stage, step| Box::pin(asked(stage, step, "reject"))),
    ("give_opinion", |stage, step| Box::pin(asked(stage, step, "give_opinion"))),
    ("return", |stage, step| Box::pin(asked(stage, step, "return"))),
    ("transfer", |stage, step| Box::pin(asked(stage, step, "transfer"))),
    ("delegate", |stage, step| Box::pin(asked(stage, step, "delegate"))),
    ("recall", |stage, step| Box::pin(asked(stage, step, "recall"))),
    ("add_sign", |stage, step| Box::pin(asked(stage, step, "add_sign"))),
    ("remove_sign", |stage, step| Box::pin(asked(stage, step, "remove_sign"))),
    ("withdraw", |stage, step| Box::pin(asked(stage, step, "withdraw"))),
    ("take_back", |stage, step| Box::pin(asked(stage, step, "take_back"))),
    ("revoke", |stage, step| Box::pin(asked(stage, step, "revoke"))),
    ("urge", |stage, step| Box::pin(asked(stage, step, "urge"))),
    ("comment", |stage, step| Box::pin(asked(stage, step, "comment"))),
    ("admin", |stage, step| Box::pin(asked(stage, step, "admin"))),
    ("claim", |stage, step| Box::pin(asked(stage, step, "claim"))),
    ("release", |stage, step| Box::pin(asked(stage, step, "release"))),
    ("proxy", |stage, step| Box::pin(proxy(stage, step))),
    ("expect_task", |stage, step| Box::pin(expect_task(stage, step))),
    ("expect_no_task", |stage, step| Box::pin(expect_no_task(stage, step))),
    ("expect_path", |stage, step| Box::pin(expect_path(stage, step))),
];

/// The verbs that are about one task or instance.
pub(super) fn is_ask(step: &Step) -> Option<&'static str> {
    VERBS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !matches!(*name, "submit" | "proxy") && !name.starts_with("expect") && !step.contains_key("pool"))
        .find(|name| step.contains_key(*name))
}

impl Stage {
    /// A person by name, with or without the `$`.
    fn person(&self, name: &str) -> Result<Uuid, String> {
        let bare = name.strip_prefix('$').unwrap_or(name);
        self.users.get(bare).copied().ok_or_else(|| format!("there is no user `{bare}`"))
    }

    fn people_named(&self, json: Option<&Json>) -> Result<Vec<Uuid>, String> {
        match json {
            None | Some(Json::Null) => Ok(Vec::new()),
            Some(Json::String(name)) => Ok(vec![self.person(name)?]),
            Some(Json::Array(names)) => names.iter().map(|name| self.person(name.as_str().unwrap_or_default())).collect(),
            Some(other) => Err(format!("{other} names no people")),
        }
    }

    fn select(&self, step: &Step) -> Result<Selection, String> {
        let mut select = Selection::new();
        for (name, people) in step.get("select").and_then(Json::as_object).into_iter().flatten() {
            let name = model::Name::parse(name).ok_or_else(|| format!("`{name}` is no step"))?;
            select.insert(name, self.people_named(Some(people))?);
        }
        Ok(select)
    }

    /// A flow by the name that the app writes.
    fn flow(&self, name: &str) -> String {
        if name.contains('.') { name.to_owned() } else { format!("{}.{name}", self.app) }
    }

    /// The values of a step for the record of `entity`.
    fn record_values(&self, cx: &Ctx, entity: &str, step: &Step) -> Result<indexmap::IndexMap<String, model::Input>, Failure> {
        Ok(match step.get("values") {
            Some(values) => self.values(cx, self.find(cx, entity)?, Some(values)),
            None => inputs(Map::new()),
        })
    }
}

async fn submit(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let cx = stage.context(step).await?;
    let (entity, record) = subject(stage, step, "record")?;
    let begin = Begin {
        flow: stage.flow(word(step, "submit")?),
        record,
        values: stage.record_values(&cx, &entity, step)?,
        select: stage.select(step)?,
        opinion: step.get("opinion").and_then(Json::as_str).map(str::to_owned),
        seq: None,
        request: None,
    };
    stage.engine.submit(&cx, begin).await?;
    Ok(())
}

/// A picture, as small as one can be.
const DRAWN: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0\x3a\x7e\x9b\x55\0\0\0\nIDATx\x9cc`\0\0\0\x02\0\x01\x48\xaf\xa4\x71\0\0\0\0IEND\xaeB`\x82";

/// What a step asks, against the state as it is now.
pub(super) async fn prepare(stage: &Stage, step: &Step, verb: &'static str) -> Result<(Ctx, Ask), Failure> {
    let cx = stage.context(step).await?;
    let (entity, record) = subject(stage, step, verb)?;
    let named = |key: &str| step.get(key).and_then(Json::as_str);
    let to = || -> Result<Uuid, String> { stage.person(word(step, "to")?) };
    let what = match verb {
        "approve" => AskFor::Approve,
        "reject" => AskFor::Reject,
        "give_opinion" => AskFor::Opinion,
        "return" => AskFor::Return { to: named("to").unwrap_or("previous").to_owned(), straight: named("resubmit").map(|word| word == "straight") },
        "transfer" => AskFor::Transfer { to: to()? },
        "delegate" => AskFor::Delegate { to: to()? },
        "recall" => AskFor::Recall,
        "add_sign" => AskFor::AddSign {
            place: match named("where").unwrap_or("parallel") {
                "before" => SignPlace::Before,
                "after" => SignPlace::After,
                _ => SignPlace::Parallel,
            },
            users: stage.people_named(step.get("users").or(step.get("user")))?,
            mode: match named("mode") {
                Some("any") => SignMode::Any,
                Some("sequential") => SignMode::Sequential,
                _ => SignMode::All,
            },
        },
        "remove_sign" => {
            AskFor::RemoveSign { user: stage.person(named("user").or_else(|| step.get("users")?.get(0)?.as_str()).unwrap_or_default())? }
        }
        "withdraw" => AskFor::Withdraw,
        "take_back" => AskFor::TakeBack,
        "revoke" => AskFor::Revoke,
        "urge" => AskFor::Urge,
        "comment" => AskFor::Comment { mentions: Vec::new() },
        "claim" => AskFor::Claim,
        "release" => AskFor::Release,
        _ => AskFor::Admin(admin(stage, step)?),
    };
    let on_task = !matches!(
        what,
        AskFor::Withdraw | AskFor::TakeBack | AskFor::Revoke | AskFor::Urge | AskFor::Comment { .. } | AskFor::Admin(_) | AskFor::RemoveSign { .. }
    );
    let of = stage.engine.approval_meant(&cx, record, named("step"), on_task).await?;
    // A signature is drawn here: a picture of the person's, uploaded for this decision.
    let signature = match step.get("signature").filter(|wanted| **wanted == Json::Bool(true)) {
        Some(_) => Some(stage.engine.put_file(&cx, "signature.png", DRAWN).await?.to_json()),
        None => step.get("signature").cloned(),
    };
    let ask = Ask {
        values: stage.record_values(&cx, &entity, step)?,
        opinion: named("opinion").map(str::to_owned),
        signature,
        select: stage.select(step)?,
        ..Ask::new(of, what)
    };
    Ok((cx, ask))
}

fn admin(stage: &Stage, step: &Step) -> Result<AdminAct, String> {
    let named = |key: &str| step.get(key).and_then(Json::as_str);
    Ok(match word(step, "do")? {
        "jump" => {
            let to = word(step, "to")?;
            AdminAct::Jump { to: model::Name::parse(to).ok_or_else(|| format!("`{to}` is no step"))? }
        }
        "replace" => AdminAct::Replace { user: stage.person(word(step, "user")?)?, by: stage.person(word(step, "by")?)? },
        "end" => AdminAct::End {
            result: match named("result") {
                Some("approved") => AdminResult::Approved,
                Some("rejected") => AdminResult::Rejected,
                _ => AdminResult::Ended,
            },
        },
        "unlock" => AdminAct::Unlock,
        "suspend" => AdminAct::Suspend,
        "resume" => AdminAct::Resume,
        other => return Err(format!("an administrator cannot `{other}`")),
    })
}

async fn asked(stage: &mut Stage, step: &Step, verb: &'static str) -> Result<(), Failure> {
    if step.contains_key("pool") {
        return super::pools::act(stage, step, verb).await;
    }
    let (cx, ask) = prepare(stage, step, verb).await?;
    stage.engine.ask_approval(&cx, ask).await?;
    Ok(())
}

/// Several steps against one state: whom each is about is settled before the first is done.
pub(super) async fn at_once(stage: &mut Stage, steps: &[Step]) -> Result<(), Failure> {
    let mut prepared = Vec::new();
    for step in steps {
        prepared.push(match is_ask(step) {
            Some(verb) => Some(prepare(stage, step, verb).await),
            None => None,
        });
    }
    for (index, (step, prepared)) in steps.iter().zip(prepared).enumerate() {
        let told = match prepared {
            Some(Ok((cx, ask))) => judged(stage.engine.ask_approval(&cx, ask).await.map(drop).map_err(Failure::from), step),
            Some(Err(failure)) => judged(Err(failure), step),
            None => super::verbs::run(stage, step).await,
        };
        told.map_err(|reason| format!("step {} of those at once: {reason}", index + 1))?;
    }
    Ok(())
}

async fn proxy(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let cx = stage.context(step).await?;
    let keys = step.get("proxy").and_then(Json::as_object).unwrap_or(step);
    let moment = |key: &str| match keys.get(key).and_then(Json::as_str) {
        None => Ok(None),
        Some(text) => chrono::DateTime::parse_from_rfc3339(text).map(|at| Some(at.with_timezone(&chrono::Utc))).map_err(|error| error.to_string()),
    };
    let named = keys.get("user").and_then(Json::as_str).or_else(|| step.get("proxy").and_then(Json::as_str));
    let asked = NewProxy {
        principal: named.map(|name| stage.person(name)).transpose()?,
        proxy: stage.person(word(keys, "by")?)?,
        from: moment("from")?,
        until: moment("until")?,
        flow: None,
        open_tasks: keys.get("open_tasks").and_then(Json::as_bool).unwrap_or(false),
    };
    stage.engine.set_proxy(&cx, asked).await?;
    Ok(())
}

/// The tasks before a person that fit.
async fn tasks(stage: &Stage, step: &Step, verb: &str) -> Result<Vec<Json>, Failure> {
    let cx = stage.context(step).await?;
    let empty = Map::new();
    let wanted = step.get(verb).and_then(Json::as_object).unwrap_or(&empty);
    let record = match wanted.get("record").and_then(Json::as_str) {
        Some(name) => Some(stage.record(name).ok_or_else(|| format!("there is no record `{name}`"))?.1),
        None => None,
    };
    let flow = wanted.get("approval").and_then(Json::as_str).map(|name| stage.flow(name));
    let request = BoxRequest { which: Which::Todo, flow, record, limit: 200, ..BoxRequest::default() };
    let page = stage.engine.approval_box(&cx, request).await?;
    let at = wanted.get("step");
    let lines = page.get("data").and_then(Json::as_array).cloned().unwrap_or_default();
    Ok(lines.into_iter().filter(|line| at.is_none_or(|at| line.get("step") == Some(at))).collect())
}

async fn expect_task(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let found = tasks(stage, step, "expect_task").await?.len();
    let count = step.get("expect_task").and_then(|wanted| wanted.get("count")).and_then(Json::as_u64);
    match count {
        Some(count) if count != found as u64 => Err(Failure::Other(format!("there are {found} tasks, {count} were expected"))),
        None if found == 0 => Err(Failure::Other("there is no such task".to_owned())),
        _ => Ok(()),
    }
}

async fn expect_no_task(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    match tasks(stage, step, "expect_no_task").await?.first() {
        None => Ok(()),
        Some(task) => Err(Failure::Other(format!("there is a task at `{}`", task.get("step").and_then(Json::as_str).unwrap_or_default()))),
    }
}

/// `{"expect_path": "$d", "approval": "discount", "steps": […]}`: each a step, a person, or `{"step", "people"}`; with `values`
/// for the record as it would be, or for one that is yet to be made.
async fn expect_path(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let cx = stage.context(step).await?;
    let keys = step.get("expect_path").and_then(Json::as_object).unwrap_or(step);
    let own = step.get("expect_path").and_then(Json::as_str);
    let name = keys.get("record").and_then(Json::as_str).or_else(|| own.filter(|own| own.starts_with('$')));
    let found = name.map(|name| stage.record(name).ok_or_else(|| format!("there is no record `{name}`"))).transpose()?;
    let flow = match keys.get("approval").or(keys.get("flow")).and_then(Json::as_str).or_else(|| own.filter(|own| !own.starts_with('$'))) {
        Some(flow) => stage.flow(flow),
        None => {
            let (entity, _) = found.as_ref().ok_or_else(|| "`record` or a flow is missing".to_owned())?;
            let entity = stage.find(&cx, entity)?;
            let mut flows = cx.app.flows.of(entity).map(|plan| plan.name.clone());
            flows.next().ok_or_else(|| "there is no flow for this record".to_owned())?
        }
    };
    let values = match (keys.get("values").or(step.get("values")), cx.app.flows.find(&flow)) {
        (Some(values), Some(plan)) => stage.values(&cx, plan.entity, Some(values)),
        (None, _) | (_, None) => indexmap::IndexMap::new(),
    };
    let asked = ForecastAsked { flow, record: found.map(|(_, record)| record), values };
    let steps = stage.engine.foresee(&cx, asked).await?.steps;
    let wanted = keys.get("steps").or(step.get("steps")).and_then(Json::as_array).cloned().unwrap_or_default();
    if fits(stage, &steps, &wanted)? { Ok(()) } else { Err(Failure::Other(format!("the path is {}", shown(stage, &steps)))) }
}

fn fits(stage: &Stage, steps: &[PathStep], wanted: &[Json]) -> Result<bool, String> {
    let person = |name: &str| stage.users.get(name.strip_prefix('$').unwrap_or(name)).copied();
    let texts: Option<Vec<&str>> = wanted.iter().map(Json::as_str).collect();
    if let Some(texts) = &texts
        && let Some(people) = texts.iter().map(|text| person(text)).collect::<Option<Vec<Uuid>>>()
    {
        let all: Vec<Uuid> = steps.iter().filter(|step| !step.automatic).flat_map(|step| step.people.iter().copied()).collect();
        return Ok(all == people);
    }
    if wanted.len() != steps.len() {
        return Ok(false);
    }
    for (step, wanted) in steps.iter().zip(wanted) {
        let (name, people) = match wanted {
            Json::String(name) => (Some(name.as_str()), None),
            other => (other.get("step").and_then(Json::as_str), other.get("people").or(other.get("users"))),
        };
        let same_people = match people {
            Some(people) => stage.people_named(Some(people))? == step.people,
            None => true,
        };
        if name.is_some_and(|name| name != step.step) || !same_people {
            return Ok(false);
        }
    }
    Ok(true)
}

fn shown(stage: &Stage, steps: &[PathStep]) -> String {
    let name = |id: &Uuid| stage.users.iter().find(|(_, there)| *there == id).map_or_else(|| id.to_string(), |(name, _)| name.clone());
    let told = steps.iter().map(|step| format!("{} ({})", step.step, step.people.iter().map(name).collect::<Vec<_>>().join(", ")));
    told.collect::<Vec<_>>().join(", ")
}
