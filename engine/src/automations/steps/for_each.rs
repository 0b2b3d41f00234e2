//! In charge of `for_each`: steps that are done once for each record or value.

use model::EntityId;
use rules::expr::Expression;
use rules::query::{RelatedVia, Relation, RelationTo, SystemView, resolve_relation};
use serde_json::{Map, Value as Json, json};

use super::branch::names;
use super::{Action, After, StepKind, Then};
use crate::automations::compile::{Compiling, split_given};
use crate::automations::running::{Hand, Running, held};
use crate::error::Error;
use crate::records::fill::along_hops;

/// `for_each`.
pub(super) struct ForEach;

#[derive(Debug)]
struct Each {
    over: Over,
    name: String,
    steps: Vec<String>,
}

/// What is gone through; closed.
#[derive(Debug)]
enum Over {
    /// What a step found.
    Found(String),
    /// Lines or other records that belong to one.
    Related(Option<String>, Box<Relation>),
    /// The items of a list.
    Items(Expression),
}

impl StepKind for ForEach {
    fn name(&self) -> &'static str {
        "for_each"
    }

    fn compile(&self, c: &mut Compiling<'_>, _: Option<EntityId>, settings: &Map<String, Json>, at: &str) -> Option<Box<dyn Action>> {
        let over = settings.get("over")?;
        let over = match over {
            Json::Object(map) if map.contains_key("expr") => Over::Items(c.expression(map.get("expr")?.as_str()?, &format!("{at}/over/expr"))?),
            Json::String(text) => over_text(c, text, &format!("{at}/over"))?,
            _ => {
                c.fault(format!("{at}/over"), "expected what a step found, lines, or an expression");
                return None;
            }
        };
        let name = settings.get("as").and_then(Json::as_str).unwrap_or("item").to_owned();
        Some(Box::new(Each { over, name, steps: names(settings.get("children")) }))
    }
}

fn over_text(c: &mut Compiling<'_>, text: &str, at: &str) -> Option<Over> {
    let saves = |step: &model::doc::Step| step.kind == "find" && step.settings.get("save").and_then(Json::as_str) == Some(text);
    if c.definition.automation.steps.values().any(saves) {
        return Some(Over::Found(text.to_owned()));
    }
    let (first, rest) = split_given(&c.given, text);
    let (from, entity, rest) = match rest {
        Some(rest) => match c.given.iter().find(|(name, _)| name == first) {
            Some((_, rules::expr::Given::Record(entity))) => (Some(first.to_owned()), Some(*entity), rest),
            _ => (None, c.entity, text),
        },
        None => (None, c.entity, text),
    };
    let relation = entity.map(|entity| resolve_relation(c.schema, entity, rest, &SystemView, at));
    match relation {
        Some(Ok(relation)) => Some(Over::Related(from, Box::new(relation))),
        // What is no relation may still be a list: tags, what was sent.
        Some(Err(_)) | None => c.expression(text, at).map(Over::Items),
    }
}

impl Action for Each {
    fn run(&self, running: &Running<'_>, _: Option<Hand>) -> Result<After, Error> {
        let items = match &self.over {
            Over::Found(name) => found(running, name),
            Over::Related(from, relation) => related(running, from.as_deref(), relation)?,
            Over::Items(expression) => {
                let value = running.on_scope(None, |scope| expression.eval(scope))?.map_err(|fault| Error::Internal(fault.to_string()))?;
                value.items().iter().map(|item| rules::value::input_of(item).to_json()).collect()
            }
        };
        let count = items.len();
        Ok(After::next(json!({"items": count})).then(Then::Repeat(self.steps.clone(), self.name.clone(), items)))
    }
}

fn found(running: &Running<'_>, name: &str) -> Vec<Json> {
    let Some(held) = running.held.get(name).filter(|held| !held.is_null()) else { return Vec::new() };
    match (held.get("ids").and_then(Json::as_array), held.get("entity")) {
        (Some(ids), Some(entity)) => ids.iter().map(|id| json!({"entity": entity, "id": id})).collect(),
        _ => vec![held.clone()],
    }
}

fn related(running: &Running<'_>, from: Option<&str>, relation: &Relation) -> Result<Vec<Json>, Error> {
    let begin = match from {
        None => running.present().map(|hand| hand.cells),
        Some(name) => match running.held_record(name) {
            Some((entity, id)) => running.writer.reader.read(entity, id)?,
            None => None,
        },
    };
    let Some(cells) = begin else { return Ok(Vec::new()) };
    let Some(cells) = along_hops(&running.writer, &relation.hops, &cells)? else { return Ok(Vec::new()) };
    let schema = &running.cx.app.schema;
    match &relation.to {
        RelationTo::References(field, entity) => {
            let def = schema.entity(relation.entity);
            let list = def.field(*field).cells(&cells).first().cloned().unwrap_or_default();
            Ok(list.items().iter().filter_map(model::Value::as_uuid).map(|id| held(running.cx, *entity, id)).collect())
        }
        RelationTo::Inverse(inverse) => {
            let def = schema.entity(relation.entity);
            let Some(id) = def.slot("id").and_then(|slot| cells.get(slot)).and_then(model::Value::as_uuid) else { return Ok(Vec::new()) };
            let far = schema.entity(inverse.entity);
            let rows = running.tx.related(schema, &RelatedVia::Inverse(inverse.clone()), &[id])?;
            let mut ids: Vec<(Option<i64>, uuid::Uuid)> = rows
                .iter()
                .filter_map(|(_, cells)| {
                    let position = far.slot("position").and_then(|slot| cells.get(slot)).and_then(model::Value::as_int);
                    Some((position, far.slot("id").and_then(|slot| cells.get(slot)).and_then(model::Value::as_uuid)?))
                })
                .collect();
            ids.sort_unstable();
            Ok(ids.into_iter().map(|(_, id)| held(running.cx, inverse.entity, id)).collect())
        }
    }
}
