//! In charge of `webhook`: telling another system, signed where it has a secret.
//! Invariant: written to the outbox with the step; calls about one record reach one receiver in their order.

use indexmap::IndexMap;
use model::{EntityId, Input};
use rules::value::CompiledValue;
use serde_json::{Map, Value as Json, json};
use store::system::outbox::{self, Effect};

use super::{Action, After, StepKind};
use crate::automations::compile::{Compiling, payload};
use crate::automations::running::{Hand, Running};
use crate::effects::HTTP;
use crate::error::Error;

/// `webhook`.
pub(super) struct Webhook;

#[derive(Debug)]
struct Calling {
    url: String,
    method: String,
    headers: Map<String, Json>,
    values: Option<IndexMap<String, CompiledValue>>,
    sign: Option<String>,
    name: Option<String>,
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
                let via = c.schema.apps.get(c.app).and_then(|app| app.connectors.get(name.as_str())).map(|connector| connector.via.clone())?;
                for (key, value) in via.get("headers").and_then(Json::as_object).into_iter().flatten() {
                    headers.entry(key.clone()).or_insert_with(|| value.clone());
                }
                let base = via.get("base").and_then(Json::as_str).unwrap_or_default();
                format!("{base}{}", text("path").unwrap_or_default())
            }
        };
        let values = settings.contains_key("values").then(|| payload(c, settings.get("values"), &format!("{at}/values")));
        let method = text("method").unwrap_or_else(|| "POST".to_owned());
        Some(Box::new(Calling { url, method, headers, values, sign: text("sign"), name: text("connector") }))
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
        let body = (self.method != "GET").then_some(body);
        let effect_body = json!({
            "app": running.plan.app, "name": running.plan.name, "step": running.step, "connector": self.name,
            "method": self.method, "url": self.url, "headers": self.headers, "body": body, "sign": self.sign,
        });
        let lane = record.as_ref().map(|(_, id)| format!("webhook:{}:{}:{id}", running.plan.app, self.url));
        let id = cx.new_id();
        let effect = Effect { lane, subject: running.run, record, ..Effect::new(id, HTTP, cx.now, effect_body) };
        outbox::put(running.tx, &[effect])?;
        Ok(After::next(json!({"effect": id, "url": self.url, "values": body})))
    }
}
