//! In charge of `wait`: for a span, or until a moment; `unless` something happened meanwhile ends the list it stands in.
//! Invariant: what waits is a row with a moment; nothing is held in memory.

use chrono::{DateTime, Utc};
use model::{EntityId, Value};
use rules::condition::CompiledCondition;
use rules::query::{Column, Leaf, Path, Predicate, Test};
use rules::value::CompiledValue;
use serde_json::{Map, Value as Json, json};

use super::{Action, After, StepKind, Then};
use crate::automations::compile::Compiling;
use crate::automations::people::ids;
use crate::automations::running::{Hand, Running};
use crate::error::Error;
use crate::times::Span;

/// `wait`.
pub(super) struct Wait;

#[derive(Debug)]
struct Waiting {
    until: Until,
    unless: Option<Unless>,
}

/// How long; closed.
#[derive(Debug)]
enum Until {
    For(Span),
    Moment(Box<CompiledValue>),
}

/// What makes it vain; closed.
#[derive(Debug)]
enum Unless {
    /// Something was done for the record: of a kind, or anything; since it was set off, or since it waits.
    Activity {
        kind: Option<String>,
        since_trigger: bool,
    },
    Condition(CompiledCondition),
}

impl StepKind for Wait {
    fn name(&self) -> &'static str {
        "wait"
    }

    fn compile(&self, c: &mut Compiling<'_>, about: Option<EntityId>, settings: &Map<String, Json>, at: &str) -> Option<Box<dyn Action>> {
        let until = match (settings.get("for"), settings.get("until")) {
            (Some(span), _) => match Span::read(span) {
                Some(span) => {
                    if let Some(fault) = span.calendar.as_deref().and_then(|name| crate::times::calendar_fault(c.schema, c.app, name)) {
                        c.fault(format!("{at}/for/calendar"), fault);
                    }
                    Until::For(span)
                }
                None => {
                    c.fault(format!("{at}/for"), "expected a duration such as PT24H");
                    return None;
                }
            },
            (None, Some(until)) => {
                // A bare text is a path to a date, or a moment as it is.
                let value = match until {
                    Json::String(text) if text.parse::<DateTime<Utc>>().is_err() => json!({"from": text}),
                    other => other.clone(),
                };
                Until::Moment(Box::new(c.value(&value, &format!("{at}/until"))?))
            }
            (None, None) => return None,
        };
        let unless = match settings.get("unless") {
            None => None,
            Some(Json::Object(map)) if map.contains_key("activity") => {
                let kind = map.get("activity").and_then(Json::as_str).filter(|kind| *kind != "any").map(str::to_owned);
                let since_trigger = map.get("since").and_then(Json::as_str) != Some("step");
                Some(Unless::Activity { kind, since_trigger })
            }
            Some(condition) => Some(Unless::Condition(c.json_condition(about, Some(condition), &format!("{at}/unless"))?)),
        };
        Some(Box::new(Waiting { until, unless }))
    }
}

impl Action for Waiting {
    fn run(&self, running: &Running<'_>, about: Option<Hand>) -> Result<After, Error> {
        let since = running.waits_since.unwrap_or_else(|| running.now());
        let until = match &self.until {
            Until::For(span) => Some(crate::times::after(&running.cx.app, &running.plan.app, since, span)),
            Until::Moment(value) => {
                let input = running.on_scope(None, |scope| value.alone(scope))?.map_err(|reject| Error::of(reject.code, reject.message))?;
                input.as_text().and_then(|text| crate::times::read_moment(text, running.cx.workspace_zone()))
            }
        };
        if let Some(until) = until.filter(|until| *until > running.now()) {
            return Ok(After::next(json!({"until": until})).then(Then::Wait(until)));
        }
        let is_vain = match &self.unless {
            None => false,
            Some(Unless::Condition(condition)) => {
                running.on_scope(about.as_ref(), |scope| condition.holds(scope))?.map_err(|fault| Error::Internal(fault.to_string()))?
            }
            Some(Unless::Activity { kind, since_trigger }) => {
                let since = if *since_trigger { running.since } else { since };
                match running.present() {
                    Some(hand) => was_active(running, &hand, kind.as_deref(), since)?,
                    None => false,
                }
            }
        };
        let after = After::next(json!({"waited": true, "unless": is_vain}));
        Ok(if is_vain { after.then(Then::Leave) } else { after })
    }
}

/// Whether something was done for a record since a moment; a task counts once it is closed with a result.
fn was_active(running: &Running<'_>, hand: &Hand, kind: Option<&str>, since: DateTime<Utc>) -> Result<bool, Error> {
    let about = |name: &str, tests: &[(&str, Test, bool)]| -> Result<bool, Error> {
        let schema = &running.cx.app.schema;
        let Some(def) = schema.find(name) else { return Ok(false) };
        let mut parts = Vec::new();
        let leaf = |field: model::FieldId, slot: usize, test: Test, negated: bool| {
            Predicate::Leaf(Leaf { path: Path::own(def.id, field), column: Column::Slot(slot), test, negated })
        };
        if let Some((field, slot)) = def.find("about").and_then(|field| Some((field.id, field.slot()?))) {
            parts.push(leaf(field, slot, Test::Equal(Value::Uuid(hand.id)), false));
            parts.push(leaf(field, slot + 1, Test::Equal(Value::text(schema.entity(hand.entity).name.as_str())), false));
        }
        for (name, test, negated) in tests {
            let Some((field, slot)) = def.find(name).and_then(|field| Some((field.id, field.slot()?))) else { return Ok(false) };
            parts.push(leaf(field, slot, test.clone(), *negated));
        }
        Ok(!ids(running.cx, running.tx, def.id, Predicate::all(parts), 1)?.is_empty())
    };
    let since = Test::GreaterEqual(Value::Timestamp(since));
    let mut tests = vec![("created_at", since.clone(), false)];
    if let Some(kind) = kind {
        tests.push(("type", Test::Equal(Value::text(kind)), false));
    }
    if about("core.activity", &tests)? {
        return Ok(true);
    }
    let closed = [("updated_at", since, false), ("done", Test::Equal(Value::Bool(true)), false), ("result", Test::Empty, true)];
    Ok(kind.is_none() && about("core.task", &closed)?)
}
