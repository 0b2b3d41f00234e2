//! In charge of mails as effects: one address each, under the effect's own id.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};
use store::system::outbox::Effect;

use super::{EffectKind, Mail, Refused};
use crate::Engine;

/// The word in the outbox.
pub(crate) const MAIL: &str = "mail";

/// Mails: `{"to", "subject", "text"}`, and who is meant in `person`.
pub(crate) struct MailKind;

impl EffectKind for MailKind {
    fn name(&self) -> &'static str {
        MAIL
    }

    fn perform(&self, engine: Engine, effect: Arc<Effect>) -> BoxFuture<'static, Result<Json, Refused>> {
        let text = |key: &str| effect.body.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
        let mail = Mail { id: effect.id, to: text("to"), subject: text("subject"), text: text("text") };
        let sent = engine.outside().mail(mail);
        Box::pin(async move { sent.await.map(|()| json!({"sent": true})) })
    }
}
