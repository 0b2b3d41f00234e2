//! In charge of requests to other systems as effects: webhooks, signed where they have a secret, and robots of chats.
//! Invariant: secrets are put in when the request is sent; the outbox holds their names.
//! Invariant: signed as Standard Webhooks says: id, time and body under the shared secret, the id being the effect's.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value as Json, json};
use sha2::Sha256;
use store::system::outbox::Effect;

use super::{Answer, EffectKind, Refused, Request};
use crate::Engine;

/// The word in the outbox.
pub(crate) const HTTP: &str = "http";
/// What is kept of an answer.
const KEPT: usize = 2_000;

/// Requests: `{"method", "url", "headers", "body", "sign", "robot"}`; `$secret.…` of `app` stands in url, headers and sign.
pub(crate) struct HttpKind;

impl EffectKind for HttpKind {
    fn name(&self) -> &'static str {
        HTTP
    }

    fn perform(&self, engine: Engine, effect: Arc<Effect>) -> BoxFuture<'static, Result<Json, Refused>> {
        Box::pin(async move {
            let request = request(&engine, &effect).await?;
            let robot = effect.body.get("robot").and_then(Json::as_str).map(str::to_owned);
            let answer = engine.outside().send(request).await?;
            judged(&answer, robot.as_deref())
        })
    }
}

async fn request(engine: &Engine, effect: &Effect) -> Result<Request, Refused> {
    let body = &effect.body;
    let text = |key: &str| body.get(key).and_then(Json::as_str).unwrap_or_default();
    let app = text("app");
    let url = filled(engine, app, text("url")).await?;
    let mut headers = Vec::new();
    for (name, value) in body.get("headers").and_then(Json::as_object).into_iter().flatten() {
        headers.push((name.clone(), filled(engine, app, value.as_str().unwrap_or_default()).await?));
    }
    let payload = match body.get("body") {
        None | Some(Json::Null) => Vec::new(),
        Some(json) => json.to_string().into_bytes(),
    };
    if !payload.is_empty() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let seconds = engine.now().timestamp();
    headers.push(("webhook-id".to_owned(), effect.id.to_string()));
    headers.push(("webhook-timestamp".to_owned(), seconds.to_string()));
    if let Some(sign) = body.get("sign").and_then(Json::as_str) {
        let secret = filled(engine, app, sign).await?;
        headers.push(("webhook-signature".to_owned(), signature(&secret, &effect.id.to_string(), seconds, &payload)?));
    }
    let (url, payload) = match body.get("robot").and_then(Json::as_str) {
        Some(kind) => {
            let secret = match body.get("robot_secret").and_then(Json::as_str) {
                Some(secret) => Some(filled(engine, app, secret).await?),
                None => None,
            };
            crate::robots::signed(kind, url, payload, secret.as_deref(), engine.now())
        }
        None => (url, payload),
    };
    let method = Some(text("method")).filter(|method| !method.is_empty()).unwrap_or("POST").to_owned();
    Ok(Request { method, url, headers, body: payload })
}

/// A text with the secrets that it names put in.
async fn filled(engine: &Engine, app: &str, text: &str) -> Result<String, Refused> {
    engine.with_secrets(app, text).await.map_err(|error| Refused::later(error.to_string()))
}

/// `v1,` and the signature; a secret in the standard's own form is its bytes, another one is taken as it is.
fn signature(secret: &str, id: &str, seconds: i64, payload: &[u8]) -> Result<String, Refused> {
    let key = match secret.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| Refused::for_good("the secret is not in its form"))?,
        None => secret.as_bytes().to_vec(),
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|error| Refused::for_good(error.to_string()))?;
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(payload);
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// Whether an answer means that it was taken.
fn judged(answer: &Answer, robot: Option<&str>) -> Result<Json, Refused> {
    let said = String::from_utf8_lossy(answer.body.get(..KEPT.min(answer.body.len())).unwrap_or_default()).into_owned();
    match answer.status {
        200..=299 => {
            if let Some(reason) = robot.and_then(|kind| crate::robots::refusal(kind, &answer.body)) {
                return Err(Refused { answer: Some(said), ..Refused::later(reason) });
            }
            Ok(json!({"status": answer.status, "answer": said}))
        }
        // The receiver wants no more of it.
        410 => Err(Refused { answer: Some(said), ..Refused::for_good("answered 410") }),
        status => {
            let after = chrono::Duration::seconds(answer.retry_after.unwrap_or_default().clamp(0, 86_400));
            Err(Refused { answer: Some(said), after, ..Refused::later(format!("answered {status}")) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // The example of the standard's own libraries.
        let made = signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(made, Ok("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned()));
    }
}
