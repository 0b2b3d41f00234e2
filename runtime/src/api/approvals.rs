//! In charge of approvals: the boxes, one instance, everything that is done to it, stand-ins.
//! Invariant: keys that are not known are refused; numbers of `values` keep their digits.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{delete, get, post};
use chrono::{DateTime, Utc};
use engine::approvals::{
    AdminAct, AdminResult, Ask, AskFor, Begin, Box as Which, BoxRequest, Done, ForecastAsked, Kept, NewProxy, PathStep, Place, Selection, SignMode,
    SignPlace,
};
use engine::records::Idempotency;
use indexmap::IndexMap;
use model::{Code, Input, Message, Name, Violation};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::records::idempotency;
use crate::http::Caller;
use crate::http::answer;
use crate::http::body::JsonBody;
use crate::http::path::{At, id};
use crate::http::problem::Problem;
use crate::http::query::{Query, wrong};
use crate::state::RuntimeState;

/// Tasks that are decided at once, at most.
const MOST: usize = 200;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new()
        .route("/approvals", post(begin))
        .route("/approvals/tasks", get(tasks))
        .route("/approvals/flows", get(flows))
        .route("/approvals/bulk", post(bulk))
        .route("/approvals/forecast", post(forecast))
        .route("/approvals/{id}", get(one))
        .route("/approvals/tasks/{id}/save", post(save))
        .route("/approvals/tasks/{id}/{verb}", post(on_task))
        .route("/approvals/{id}/{verb}", post(on_instance))
        .route("/approvals/{id}/admin/{verb}", post(step_in))
        .route("/records/{entity}/{id}/approvals", get(of_record))
        .route("/me/proxies", get(proxies).post(set_proxy))
        .route("/me/proxies/{id}", delete(end_proxy))
}

/// A body, with the keys that are allowed in it.
struct Asked {
    map: Map<String, Json>,
    values: IndexMap<String, Input>,
    request: Option<Idempotency>,
}

impl Asked {
    fn read(headers: &HeaderMap, route: &str, body: JsonBody, known: &[&str]) -> Result<Self, Problem> {
        let bytes = body.bytes.clone();
        let mut inputs = body.into_map()?;
        let faults: Vec<Violation> = inputs
            .keys()
            .filter(|key| !known.contains(&key.as_str()))
            .map(|key| Violation::of_field(key, Code::Malformed, Message::new("unknown_key").with("name", key)))
            .collect();
        if !faults.is_empty() {
            return Err(Problem::faults(faults));
        }
        let values = match inputs.shift_remove("values") {
            None | Some(Input::Null) => IndexMap::new(),
            Some(Input::Map(map)) => map,
            Some(_) => return Err(expected("values", "{…}")),
        };
        let map = if bytes.trim_ascii().is_empty() { Map::new() } else { serde_json::from_slice(&bytes).unwrap_or_default() };
        let request = idempotency(headers, route, &bytes)?;
        Ok(Self { map, values, request })
    }

    fn text(&self, key: &str) -> Result<Option<String>, Problem> {
        match self.map.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(expected(key, "\"…\"")),
        }
    }

    fn needed(&self, key: &str) -> Result<String, Problem> {
        self.text(key)?.filter(|text| !text.is_empty()).ok_or_else(|| missing(key))
    }

    fn person(&self, key: &str) -> Result<Uuid, Problem> {
        uuid(key, &self.needed(key)?)
    }

    fn number(&self, key: &str) -> Result<Option<i64>, Problem> {
        match self.map.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(number) => number.as_i64().map(Some).ok_or_else(|| expected(key, "3")),
        }
    }

    /// An uploaded file: `{"id": …}`.
    fn file(&self, key: &str) -> Result<Option<Json>, Problem> {
        match self.map.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(json) if json.is_object() => Ok(Some(json.clone())),
            Some(_) => Err(expected(key, "{\"id\": \"…\"}")),
        }
    }

    fn files(&self) -> Result<Vec<Json>, Problem> {
        match self.map.get("files") {
            None | Some(Json::Null) => Ok(Vec::new()),
            Some(Json::Array(items)) if items.iter().all(Json::is_object) => Ok(items.clone()),
            Some(_) => Err(expected("files", "[{\"id\": \"…\"}]")),
        }
    }

    fn people(&self, key: &str) -> Result<Vec<Uuid>, Problem> {
        match self.map.get(key) {
            None | Some(Json::Null) => Ok(Vec::new()),
            Some(Json::Array(items)) => items.iter().map(|item| uuid(key, item.as_str().unwrap_or_default())).collect(),
            Some(_) => Err(expected(key, "[\"…\"]")),
        }
    }

    fn select(&self) -> Result<Selection, Problem> {
        let mut select = Selection::new();
        let map = match self.map.get("select") {
            None | Some(Json::Null) => return Ok(select),
            Some(Json::Object(map)) => map,
            Some(_) => return Err(expected("select", "{\"…\": [\"…\"]}")),
        };
        for (step, people) in map {
            let name = Name::parse(step).ok_or_else(|| expected("select", "a step"))?;
            let people = people.as_array().ok_or_else(|| expected("select", "{\"…\": [\"…\"]}"))?;
            select.insert(name, people.iter().map(|item| uuid("select", item.as_str().unwrap_or_default())).collect::<Result<_, _>>()?);
        }
        Ok(select)
    }

    fn moment(&self, key: &str) -> Result<Option<DateTime<Utc>>, Problem> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        DateTime::parse_from_rfc3339(&text).map(|at| Some(at.with_timezone(&Utc))).map_err(|_| expected(key, "2026-11-23T09:00:00Z"))
    }
}

fn expected(key: &str, what: &str) -> Problem {
    Problem::faults(vec![Violation::of_field(key, Code::WrongType, Message::new("wrong_type").with("expected", what))])
}

fn missing(key: &str) -> Problem {
    Problem::faults(vec![Violation::of_field(key, Code::Required, Message::new("required"))])
}

fn uuid(key: &str, text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Problem::faults(vec![Violation::of_field(key, Code::BadReference, Message::new("bad_reference"))]))
}

fn told(done: &Done) -> Json {
    json!({"id": done.id, "state": done.state.as_str(), "seq": done.seq})
}

/// `{"flow", "record", "values", "select", "opinion"}`; what came back goes on with the same, and `seq`.
async fn begin(State(state): State<RuntimeState>, caller: Caller, headers: HeaderMap, body: JsonBody) -> Result<Response, Problem> {
    let asked = Asked::read(&headers, "POST /approvals", body, &["flow", "record", "values", "select", "opinion", "seq"])?;
    let begin = Begin {
        flow: asked.needed("flow")?,
        record: asked.person("record")?,
        select: asked.select()?,
        opinion: asked.text("opinion")?,
        seq: asked.number("seq")?,
        request: asked.request.clone(),
        values: asked.values,
    };
    let done = state.engine().submit(&caller.cx, begin).await?;
    let mut response = answer::json(if done.is_new { StatusCode::CREATED } else { StatusCode::OK }, &told(&done));
    if let Some(location) = done.is_new.then(|| HeaderValue::from_str(&format!("/api/v1/approvals/{}", done.id)).ok()).flatten() {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn tasks(State(state): State<RuntimeState>, caller: Caller, query: Query) -> Result<Response, Problem> {
    query.only(&["box", "flow", "record", "step", "initiator", "since", "q", "state", "unread", "limit", "after"])?;
    let which = query.filled("box").unwrap_or("todo");
    let which = Which::parse(which).ok_or_else(|| wrong("box", "todo, done, mine or copied"))?;
    let uuid = |name: &str| query.filled(name).map(|text| Uuid::try_parse(text).map_err(|_| wrong(name, "no id"))).transpose();
    let since = query.filled("since").map(|text| DateTime::parse_from_rfc3339(text).map_err(|_| wrong("since", "2026-11-23T09:00:00Z")));
    let request = BoxRequest {
        which,
        flow: query.filled("flow").map(str::to_owned),
        record: uuid("record")?,
        step: query.filled("step").map(str::to_owned),
        initiator: uuid("initiator")?,
        since: since.transpose()?.map(|at| at.with_timezone(&Utc)),
        text: query.filled("q").map(str::to_owned),
        state: query.filled("state").map(str::to_owned),
        unread: query.flag("unread")?,
        limit: query.limit()?.unwrap_or(50),
        after: query.filled("after").map(|text| Place::parse(text).ok_or_else(|| wrong("after", "no page begins there"))).transpose()?,
    };
    Ok(answer::ok(&state.engine().approval_box(&caller.cx, request).await?))
}

/// The flows over what the caller sees, with their steps.
async fn flows(State(state): State<RuntimeState>, caller: Caller) -> Result<Response, Problem> {
    Ok(answer::ok(&state.engine().approval_flows(&caller.cx)))
}

async fn one(State(state): State<RuntimeState>, caller: Caller, At(instance): At<String>) -> Result<Response, Problem> {
    Ok(answer::ok(&state.engine().approval(&caller.cx, id(&instance)?).await?))
}

async fn of_record(State(state): State<RuntimeState>, caller: Caller, At((entity, record)): At<(String, String)>) -> Result<Response, Problem> {
    let entity = state.engine().entity(&caller.cx, &entity)?.id;
    Ok(answer::ok(&state.engine().approvals_of(&caller.cx, entity, id(&record)?).await?))
}

/// `{"flow", "record", "values"}`: who would decide in which order; with `values` on the record as it would be, without `record`
/// on one that is yet to be made.
async fn forecast(State(state): State<RuntimeState>, caller: Caller, headers: HeaderMap, body: JsonBody) -> Result<Response, Problem> {
    let asked = Asked::read(&headers, "POST /approvals/forecast", body, &["flow", "record", "values"])?;
    let record = match asked.text("record")? {
        Some(text) => Some(uuid("record", &text)?),
        None if asked.map.contains_key("values") => None,
        None => return Err(missing("record")),
    };
    let wanted = ForecastAsked { flow: asked.needed("flow")?, record, values: asked.values };
    let told = state.engine().foresee(&caller.cx, wanted).await?;
    let step =
        |step: &PathStep| json!({"step": step.step, "label": step.label, "people": step.people, "names": step.names, "automatic": step.automatic});
    Ok(answer::ok(&json!({"steps": told.steps.iter().map(step).collect::<Vec<_>>(), "choose": told.choose, "uncertain": told.uncertain})))
}

/// Something that may be asked, by its word in the address: the keys of its body, and what they mean.
type Verb = (&'static str, &'static [&'static str], fn(&Asked) -> Result<AskFor, Problem>);

const DECIDE: &[&str] = &["opinion", "values", "signature", "files", "select", "seq"];
const WORDS: &[&str] = &["opinion", "seq"];
const TO: &[&str] = &["opinion", "to", "seq"];

/// What is done with a task.
const ON_TASK: &[Verb] = &[
    ("approve", DECIDE, |_| Ok(AskFor::Approve)),
    ("reject", DECIDE, |_| Ok(AskFor::Reject)),
    ("return", &["opinion", "to", "resubmit", "files", "seq"], |asked| {
        let straight = match asked.text("resubmit")?.as_deref() {
            None => None,
            Some("straight") => Some(true),
            Some("replay") => Some(false),
            Some(_) => return Err(expected("resubmit", "straight or replay")),
        };
        Ok(AskFor::Return { to: asked.text("to")?.unwrap_or_else(|| "previous".to_owned()), straight })
    }),
    ("transfer", TO, |asked| Ok(AskFor::Transfer { to: asked.person("to")? })),
    ("delegate", TO, |asked| Ok(AskFor::Delegate { to: asked.person("to")? })),
    ("add_sign", &["opinion", "where", "users", "mode", "seq"], |asked| {
        let place = match asked.needed("where")?.as_str() {
            "before" => SignPlace::Before,
            "after" => SignPlace::After,
            "parallel" => SignPlace::Parallel,
            _ => return Err(expected("where", "before, after or parallel")),
        };
        let mode = match asked.text("mode")?.as_deref() {
            None | Some("all") => SignMode::All,
            Some("any") => SignMode::Any,
            Some("sequential") => SignMode::Sequential,
            Some(_) => return Err(expected("mode", "all, any or sequential")),
        };
        Ok(AskFor::AddSign { place, users: asked.people("users")?, mode })
    }),
    ("remove_sign", &["opinion", "user", "seq"], |asked| Ok(AskFor::RemoveSign { user: asked.person("user")? })),
    ("opinion", WORDS, |_| Ok(AskFor::Opinion)),
    ("recall", WORDS, |_| Ok(AskFor::Recall)),
    ("take_back", WORDS, |_| Ok(AskFor::TakeBack)),
    ("claim", WORDS, |_| Ok(AskFor::Claim)),
    ("release", WORDS, |_| Ok(AskFor::Release)),
];

/// What is done with an instance.
const ON_INSTANCE: &[Verb] = &[
    ("withdraw", WORDS, |_| Ok(AskFor::Withdraw)),
    ("revoke", WORDS, |_| Ok(AskFor::Revoke)),
    ("urge", WORDS, |_| Ok(AskFor::Urge)),
    ("take_back", WORDS, |_| Ok(AskFor::TakeBack)),
    ("comment", &["opinion", "mentions", "files", "seq"], |asked| Ok(AskFor::Comment { mentions: asked.people("mentions")? })),
    ("copy", &["people", "seq"], |asked| Ok(AskFor::Copy { people: asked.people("people")? })),
];

/// What those do who manage a flow.
const STEP_IN: &[Verb] = &[
    ("jump", TO, |asked| {
        let to = Name::parse(&asked.needed("to")?).ok_or_else(|| expected("to", "a step"))?;
        Ok(AskFor::Admin(AdminAct::Jump { to }))
    }),
    ("replace", &["opinion", "user", "by", "seq"], |asked| {
        Ok(AskFor::Admin(AdminAct::Replace { user: asked.person("user")?, by: asked.person("by")? }))
    }),
    ("end", &["opinion", "result", "seq"], |asked| {
        let result = match asked.text("result")?.as_deref() {
            None | Some("ended") => AdminResult::Ended,
            Some("approved") => AdminResult::Approved,
            Some("rejected") => AdminResult::Rejected,
            Some(_) => return Err(expected("result", "approved, rejected or ended")),
        };
        Ok(AskFor::Admin(AdminAct::End { result }))
    }),
    ("unlock", WORDS, |_| Ok(AskFor::Admin(AdminAct::Unlock))),
    ("suspend", WORDS, |_| Ok(AskFor::Admin(AdminAct::Suspend))),
    ("resume", WORDS, |_| Ok(AskFor::Admin(AdminAct::Resume))),
];

/// Does what a word asks of a task or an instance; `under` stands before the word in the address.
async fn done(
    state: &RuntimeState,
    caller: &Caller,
    verbs: &[Verb],
    (of, under, verb): (&str, &str, &str),
    headers: &HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let (_, keys, meant) = verbs.iter().find(|(word, ..)| *word == verb).ok_or(engine::Error::NotFound)?;
    let asked = Asked::read(headers, &format!("POST /approvals/{under}/{verb}"), body, keys)?;
    let what = meant(&asked)?;
    let ask = Ask {
        opinion: asked.text("opinion")?,
        signature: asked.file("signature")?,
        select: asked.select()?,
        files: asked.files()?,
        seq: asked.number("seq")?,
        request: asked.request.clone(),
        values: asked.values,
        ..Ask::new(id(of)?, what)
    };
    Ok(answer::ok(&told(&state.engine().ask_approval(&caller.cx, ask).await?)))
}

async fn on_task(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((task, verb)): At<(String, String)>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    done(&state, &caller, ON_TASK, (&task, &format!("tasks/{task}"), &verb), &headers, body).await
}

async fn on_instance(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((instance, verb)): At<(String, String)>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    done(&state, &caller, ON_INSTANCE, (&instance, &instance, &verb), &headers, body).await
}

async fn step_in(
    State(state): State<RuntimeState>,
    caller: Caller,
    At((instance, verb)): At<(String, String)>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    done(&state, &caller, STEP_IN, (&instance, &format!("{instance}/admin"), &verb), &headers, body).await
}

/// `{"opinion", "values"}`: kept for whoever has the task, until they decide; `left_out` are fields that are not kept.
async fn save(
    State(state): State<RuntimeState>,
    caller: Caller,
    At(task): At<String>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let asked = Asked::read(&headers, &format!("POST /approvals/tasks/{task}/save"), body, &["opinion", "values"])?;
    let kept = Kept { opinion: asked.text("opinion")?, values: asked.values };
    Ok(answer::ok(&json!({"left_out": state.engine().save_task(&caller.cx, id(&task)?, kept).await?})))
}

/// `{"tasks": [ids], "opinion"}`: each is approved for itself, or says why not.
async fn bulk(State(state): State<RuntimeState>, caller: Caller, headers: HeaderMap, body: JsonBody) -> Result<Response, Problem> {
    let asked = Asked::read(&headers, "POST /approvals/bulk", body, &["tasks", "opinion"])?;
    let tasks = asked.people("tasks")?;
    if tasks.len() > MOST {
        return Err(Problem::of(Code::TooLarge, Message::new("too_many").with("max", MOST)));
    }
    let opinion = asked.text("opinion")?;
    let mut results = Vec::new();
    for task in tasks {
        // Each task has a key of its own.
        let request = asked.request.clone().map(|request| Idempotency { key: format!("{} {task}", request.key), ..request });
        let ask = Ask { opinion: opinion.clone(), request, bulk: true, ..Ask::new(task, AskFor::Approve) };
        results.push(match state.engine().ask_approval(&caller.cx, ask).await {
            Ok(done) => json!({"task": task, "status": 200, "state": done.state.as_str()}),
            Err(error) => {
                let (status, error) = Problem::new(error, &caller.cx.locale).parts();
                json!({"task": task, "status": status, "error": error})
            }
        });
    }
    Ok(answer::ok(&json!({"results": results})))
}

async fn proxies(State(state): State<RuntimeState>, caller: Caller) -> Result<Response, Problem> {
    Ok(answer::ok(&state.engine().proxies(&caller.cx).await?))
}

/// `{"by", "from", "until", "flow", "open_tasks", "user"}`; `user` only for administrators.
async fn set_proxy(State(state): State<RuntimeState>, caller: Caller, headers: HeaderMap, body: JsonBody) -> Result<Response, Problem> {
    let asked = Asked::read(&headers, "POST /me/proxies", body, &["user", "by", "from", "until", "flow", "open_tasks"])?;
    let principal = match asked.text("user")? {
        Some(text) => Some(uuid("user", &text)?),
        None => None,
    };
    let proxy = NewProxy {
        principal,
        proxy: asked.person("by")?,
        from: asked.moment("from")?,
        until: asked.moment("until")?,
        flow: asked.text("flow")?,
        open_tasks: asked.map.get("open_tasks").and_then(Json::as_bool).unwrap_or(false),
    };
    let made = state.engine().set_proxy(&caller.cx, proxy).await?;
    Ok(answer::json(StatusCode::CREATED, &json!({"id": made})))
}

async fn end_proxy(State(state): State<RuntimeState>, caller: Caller, At(proxy): At<String>) -> Result<Response, Problem> {
    state.engine().end_proxy(&caller.cx, id(&proxy)?).await?;
    Ok(answer::empty())
}
