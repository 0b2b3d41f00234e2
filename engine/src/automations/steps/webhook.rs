//! In charge of `webhook`: telling another system, signed where it has a secret.
//! Invariant: written to the outbox with the step; calls about one record reach one receiver in their order.

use indexmap::IndexMap;
use model::{EntityId, Input};
use rules::value::CompiledValue;
use serde_json::{Map, Value as Json, json};
use store::system::outbox::{self, Effect};
use uuid::Uuid;

use super::{Action, After, StepKind};
use crate::automations::compile::{Compiling, payload};
use crate::automations::running::{Hand, Running};
use crate::effects::HTTP;
use crate::error::Error;

/// `webhook`.
pub(super) struct Webhook;

#[derive(Debug)]
struct Calling {
    receiver: Receiver,
    values: Option<IndexMap<String, CompiledValue>>,
}

/// Who is called, and how.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    pub(crate) method: String,
    pub(crate) headers: Map<String, Json>,
    pub(crate) sign: Option<String>,
    /// The connector, where it is one of the app's.
    pub(crate) name: Option<String>,
}

/// The address and headers of an app's connector.
pub(crate) fn connector(schema: &model::Schema, app: &str, name: &str) -> Option<(String, Map<String, Json>)> {
    let via = &schema.apps.get(app)?.connectors.get(name)?.via;
    let headers = via.get("headers").and_then(Json::as_object).cloned().unwrap_or_default();
    Some((via.get("base").and_then(Json::as_str).unwrap_or_default().to_owned(), headers))
}

/// Writes the call to the outbox; its id.
pub(crate) fn send(running: &Running<'_>, receiver: &Receiver, record: Option<(String, Uuid)>, body: Option<&Json>) -> Result<Uuid, Error> {
    let effect_body = json!({
        "app": running.plan.app, "name": running.plan.name, "step": running.step, "connector": receiver.name,
        "method": receiver.method, "url": receiver.url, "headers": receiver.headers, "body": body, "sign": receiver.sign,
    });
    let lane = record.as_ref().map(|(_, id)| format!("webhook:{}:{}:{id}", running.plan.app, receiver.url));
    let id = running.cx.new_id();
    let effect = Effect { lane, subject: running.run, record, ..Effect::new(id, HTTP, running.cx.now, effect_body) };
    outbox::put(running.tx, &[effect])?;
    Ok(id)
}

impl StepKind for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn compile(&self, c: &mut Compiling<'_>, _: Option<EntityId>, settings: &Map<String, Json>, at: &str) -> Option<Box<dyn Action>> {
        let text = |key: &str| settings.get(key).and_then(Json::as_str).map(str::to_owned);
        let mut headers = settings.get("headers").and_then(Json::as_object).cloned().unwrap_or_default();
        let url = match text("connector") {
            None => text("url")?,
            Some(name) => {
                let (base, more) = connector(c.schema, c.app, &name)?;
                for (key, value) in more {
                    headers.entry(key).or_insert(value);
                }
                format!("{base}{}", text("path").unwrap_or_default())
            }
        };
        let values = settings.contains_key("values").then(|| payload(c, settings.get("values"), &format!("{at}/values")));
        let method = text("method").unwrap_or_else(|| "POST".to_owned());
        Some(Box::new(Calling { receiver: Receiver { url, method, headers, sign: text("sign"), name: text("connector") }, values }))
    }
}

impl Action for Calling {
    fn run(&self, running: &Running<'_>, about: Option<Hand>) -> Result<After, Error> {
        let cx = running.cx;
        let hand = about.or_else(|| running.present());
        let record = hand.as_ref().map(|hand| (cx.app.schema.entity(hand.entity).name.to_string(), hand.id));
        let body = match &self.values {
            Some(values) => {
                let mut made = Map::new();
                for (name, value) in values {
                    let input = running.on_scope(None, |scope| value.alone(scope))?.map_err(|reject| Error::of(reject.code, reject.message))?;
                    made.insert(name.clone(), Input::to_json(&input));
                }
                Json::Object(made)
            }
            // What the standard asks of a payload: a type, a time, the data.
            None => {
                let data = record.as_ref().map(|(entity, id)| json!({"entity": entity, "id": id}));
                json!({"type": format!("{}.{}", running.plan.name, running.plan.trigger.word()), "timestamp": cx.now, "data": data})
            }
        };
        let body = (self.receiver.method != "GET").then_some(body);
        let id = send(running, &self.receiver, record, body.as_ref())?;
        Ok(After::next(json!({"effect": id, "url": self.receiver.url, "values": body})))
    }
}
