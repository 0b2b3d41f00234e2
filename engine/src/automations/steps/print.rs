//! In charge of `print`: the record as a paper, kept as a file on it.
//! Invariant: the paper shows what whoever the step acts for may see: with the system's rights everything that the template names.

use model::field::Role;
use model::{Code, Diagnostic, EntityId, FieldId, Message};
use rules::query::likely;
use serde_json::{Map, Value as Json, json};

use super::{Action, After, StepKind};
use crate::automations::compile::Compiling;
use crate::automations::running::{Hand, Running, nothing_there};
use crate::error::Error;
use crate::prints::keep;
use crate::records::Submission;

/// `print`.
pub(super) struct Print;

#[derive(Debug)]
struct Printing {
    /// The paper's qualified name.
    print: String,
    /// The field of the record that takes the file; without one it stands among what is about the record.
    field: Option<FieldId>,
}

impl StepKind for Print {
    fn name(&self) -> &'static str {
        "print"
    }

    fn compile(&self, c: &mut Compiling<'_>, about: Option<EntityId>, settings: &Map<String, Json>, at: &str) -> Option<Box<dyn Action>> {
        let print = settings.get("print").and_then(Json::as_str)?;
        let entity = c.schema.apps.get(c.app)?.prints.get(print).and_then(|doc| c.find(&doc.entity))?;
        if Some(entity) != about {
            c.fault(format!("{at}/print"), format!("`{print}` is no paper of the record of this step"));
            return None;
        }
        let def = c.schema.entity(entity);
        let field = match settings.get("field") {
            None => None,
            Some(name) => {
                let name = name.as_str().unwrap_or_default();
                match def.find(name).filter(|field| matches!(field.role, Role::Files { pictures: false, .. })) {
                    Some(field) => Some(field.id),
                    None => {
                        let files = def.fields.iter().filter(|field| matches!(field.role, Role::Files { .. })).map(|field| field.name.as_str());
                        let message = format!("`{}` has no field `{name}` that takes a file", def.name);
                        c.faults.push(Diagnostic::error(format!("{at}/field"), message).with_hint(likely(name, files)));
                        return None;
                    }
                }
            }
        };
        Some(Box::new(Printing { print: format!("{}.{print}", c.app), field }))
    }
}

impl Action for Printing {
    fn run(&self, running: &Running<'_>, about: Option<Hand>) -> Result<After, Error> {
        let hand = about.ok_or_else(nothing_there)?;
        let (cx, schema) = (running.cx, &running.cx.app.schema);
        let info = keep::kept(cx, running.tx, hand.entity, &self.print, hand.id)?;
        let def = schema.entity(hand.entity);
        match self.field {
            Some(field) => {
                let field = def.field(field);
                let many = matches!(field.role, Role::Files { many: true, .. });
                let value = keep::added(field.cells(&hand.cells), many, &info);
                let values = [(field.name.to_string(), value)].into_iter().collect();
                running.write(hand.entity, Submission::Update { id: hand.id, version: None, values })?;
            }
            None => {
                let far = schema.find("core.file").ok_or_else(|| Error::of(Code::UnknownEntity, Message::new("not_found")))?;
                let owner = def.slot("owner").and_then(|slot| hand.cells.get(slot)).and_then(model::Value::as_uuid);
                let owner = owner.or_else(|| running.asker.user());
                let values = keep::about(def.name.as_str(), hand.id, owner, &info)?;
                running.write(far.id, Submission::Create { id: None, values })?;
            }
        }
        Ok(After::next(json!({"print": self.print, "file": info.to_json()})).saving(info.to_json()))
    }
}
