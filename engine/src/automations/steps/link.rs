//! In charge of `link`: an address by which somebody without an account reaches a form about the record.
//! Invariant: the address is in the run's memory for later steps and in no history.

use model::EntityId;
use serde_json::{Map, Value as Json, json};

use super::{Action, After, StepKind};
use crate::automations::compile::Compiling;
use crate::automations::running::{Hand, Running, nothing_there};
use crate::error::Error;

/// `link`.
pub(super) struct Link;

#[derive(Debug)]
struct Linking {
    form: String,
}

impl StepKind for Link {
    fn name(&self) -> &'static str {
        "link"
    }

    fn compile(&self, c: &mut Compiling<'_>, about: Option<EntityId>, settings: &Map<String, Json>, at: &str) -> Option<Box<dyn Action>> {
        let form = settings.get("form").and_then(Json::as_str)?;
        let entity = c.schema.apps.get(c.app)?.web_forms.get(form).and_then(|doc| c.find(&doc.entity));
        if entity.is_none() || entity != about {
            c.fault(format!("{at}/form"), format!("`{form}` is no form about the record of this step"));
            return None;
        }
        Some(Box::new(Linking { form: format!("{}.{form}", c.app) }))
    }
}

impl Action for Linking {
    fn run(&self, running: &Running<'_>, about: Option<Hand>) -> Result<After, Error> {
        let hand = about.ok_or_else(nothing_there)?;
        let url = crate::web_forms::link::make(running.cx, running.tx, &self.form, hand.id)?;
        Ok(After::next(json!({"form": self.form})).saving(json!({"url": url})))
    }
}
