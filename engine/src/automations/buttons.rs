//! In charge of buttons: which a person may press, what they ask, and pressing.
//! Invariant: a button acts before it is answered: what its first steps refuse is refused to whoever pressed it, and nothing stays.
//! Invariant: a record that is answered is one that whoever answers sees.

use std::sync::Arc;
use std::time::Instant;

use indexmap::IndexMap;
use model::doc::ChoiceOption;
use model::field::{AcceptContext, Numbers, Role};
use model::{Code, EntityId, Input, Message, Name, Value, Violation};
use serde_json::{Map, Value as Json, json};
use store::system::run;
use store::{Lock, Tx};
use uuid::Uuid;

use super::plan::AutomationPlan;
use super::raise::begin;
use super::trigger::{ButtonPlan, Trigger};
use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::published::Published;
use crate::records::ChangeNote;
use crate::records::lookup::is_live;
use crate::records::slice::Writer;

/// What became of a button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pressed {
    /// The run.
    pub run: Uuid,
    /// Its state.
    pub state: &'static str,
}

/// A button that is offered.
#[derive(Clone, Debug)]
pub struct Button {
    /// The name by which it is pressed.
    pub name: String,
    /// Its automation's qualified name.
    pub automation: String,
    /// What stands on it.
    pub label: String,
    /// Whether it may be pressed on several records at once.
    pub many: bool,
    /// What it asks.
    pub ask: Vec<Asked>,
}

/// What a button asks.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The answer's name.
    pub name: String,
    /// What people read.
    pub label: String,
    /// What helps them.
    pub help: String,
    /// The kind of field that the answer is.
    pub kind: String,
    /// Whether there must be one.
    pub required: bool,
    /// The answer where none is given.
    pub default: Option<Input>,
    /// The answers to choose from, each with what people read.
    pub options: Vec<(String, String)>,
    /// The entity whose records may be answered.
    pub to: Option<String>,
}

impl Button {
    fn of(cx: &Ctx, plan: &AutomationPlan, button: &ButtonPlan) -> Self {
        let text = |label: Option<&model::Label>, name: &str| label.map_or_else(|| name.to_owned(), |label| label.get(&cx.locale).to_owned());
        let options = |options: &IndexMap<Name, ChoiceOption>| {
            let live = options.iter().filter(|(_, option)| !option.retired);
            live.map(|(name, option)| (name.to_string(), text(option.label.as_ref(), name.as_str()))).collect()
        };
        let ask = button.ask.iter().map(|question| Asked {
            name: question.name.clone(),
            label: question.doc.label(&question.name, &cx.locale).to_owned(),
            help: question.doc.common.help.as_ref().map(|help| help.get(&cx.locale).to_owned()).unwrap_or_default(),
            kind: question.doc.kind.clone(),
            required: question.doc.common.required,
            default: question.default.clone(),
            options: match &question.role {
                Role::Choice { options: all, .. } => options(all),
                _ => Vec::new(),
            },
            to: question.to.map(|to| cx.app.schema.entity(to).name.to_string()),
        });
        Self {
            name: button.name.clone(),
            automation: plan.name.clone(),
            label: text(button.label.as_ref(), &button.name),
            many: button.many,
            ask: ask.collect(),
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let ask: Vec<Json> = self
            .ask
            .iter()
            .map(|asked| {
                let options: Vec<Json> = asked.options.iter().map(|(name, label)| json!({"name": name, "label": label})).collect();
                json!({
                    "name": asked.name, "label": asked.label, "kind": asked.kind, "required": asked.required,
                    "default": asked.default.as_ref().map(Input::to_json), "options": options, "to": asked.to,
                })
            })
            .collect();
        json!({"name": self.name, "automation": self.automation, "label": self.label, "many": self.many, "ask": ask})
    }
}

impl Engine {
    /// The buttons of a record that the caller may press.
    ///
    /// # Errors
    /// `NotFound` where the record is out of sight.
    pub async fn buttons(&self, cx: &Ctx, entity: EntityId, record: Uuid) -> Result<Vec<Button>, Error> {
        let cx = cx.clone();
        self.store()
            .read(move |tx| {
                let w = Writer::new(&cx, tx);
                if !w.reader.in_sight(&cx, entity, record)? {
                    return Err(Error::NotFound);
                }
                let Some(cells) = w.reader.read(entity, record)? else { return Err(Error::NotFound) };
                let offered = of_entity(&cx.app, entity).filter(|(plan, button)| is_offered(&w, plan, button, entity, &cells));
                Ok(offered.map(|(plan, button)| Button::of(&cx, plan, button)).collect())
            })
            .await
    }

    /// The buttons that the caller may press on several records of an entity at once; each record has still to offer it.
    #[must_use]
    pub fn buttons_for_many(&self, cx: &Ctx, entity: EntityId) -> Vec<Button> {
        let offered = of_entity(&cx.app, entity).filter(|(plan, button)| button.many && cx.has_role(&plan.app, &button.roles));
        offered.map(|(plan, button)| Button::of(cx, plan, button)).collect()
    }

    /// Presses a button on records, on all or on none; its first steps are done when this returns.
    ///
    /// # Errors
    /// `NotFound` where a record or the button is out of sight; what the button or its steps refuse; that it is for one record alone.
    pub async fn press(
        &self,
        cx: &Ctx,
        entity: EntityId,
        records: &[Uuid],
        button: &str,
        answers: IndexMap<String, Input>,
    ) -> Result<Vec<Pressed>, Error> {
        let name = cx.app.schema.entity(entity).name.clone();
        let (records, button) = (records.to_vec(), button.to_owned());
        let press = move |cx: &Ctx, tx: &Tx| {
            let entity = cx.entity_named(name.as_str())?;
            let (mut all, mut notes) = (Vec::new(), Vec::new());
            for record in &records {
                let (pressed, more) = press_in(cx, tx, entity, *record, &button, &answers, records.len())?;
                all.push(pressed);
                notes.extend(more);
            }
            Ok((all, notes))
        };
        self.transact(cx, press).await
    }
}

fn of_entity(app: &Published, entity: EntityId) -> impl Iterator<Item = (&Arc<AutomationPlan>, &ButtonPlan)> {
    app.automations.of(entity).iter().filter_map(|plan| match &plan.trigger {
        Trigger::Button(button) => Some((plan, button)),
        _ => None,
    })
}

fn is_offered(w: &Writer<'_>, plan: &AutomationPlan, button: &ButtonPlan, entity: EntityId, cells: &model::Cells) -> bool {
    let shown =
        button.show_if.as_ref().is_none_or(|condition| w.on_scope(&plan.app, entity, cells, None, |scope| condition.holds(scope)).unwrap_or(false));
    shown && w.cx.has_role(&plan.app, &button.roles) && super::raise::holds(w, plan, entity, None, cells)
}

/// Presses within an open transaction.
pub(crate) fn press_in(
    cx: &Ctx,
    tx: &Tx,
    entity: EntityId,
    record: Uuid,
    name: &str,
    answers: &IndexMap<String, Input>,
    together: usize,
) -> Result<(Pressed, Vec<ChangeNote>), Error> {
    let w = Writer::new(cx, tx);
    let def = w.def(entity);
    w.reader.preload(entity, &[record], Lock::Change)?;
    if !w.reader.in_sight(cx, entity, record)? {
        return Err(Error::NotFound);
    }
    let Some(cells) = w.reader.read(entity, record)?.filter(|cells| is_live(def, cells)) else { return Err(Error::NotFound) };
    let (plan, button) = named(w.app, entity, name).ok_or(Error::NotFound)?;
    if !is_offered(&w, plan, button, entity, &cells) {
        return Err(Error::Forbidden);
    }
    if together > 1 && !button.many {
        return Err(Error::of(Code::Limit, Message::new("button_for_one")));
    }
    let held = [("ask".to_owned(), answered(&w, button, answers)?)].into_iter().collect();
    let begun = begin(cx, plan, Some((def.name.to_string(), record)), Json::Null, held);
    let id = begun.id;
    run::put(tx, std::slice::from_ref(&begun))?;
    let notes = super::runner::go_on_strictly(cx, tx, begun, Instant::now())?;
    let run = run::get(tx, id, Lock::None)?.ok_or(Error::NotFound)?;
    Ok((Pressed { run: id, state: run.state.as_str() }, notes))
}

/// The button of an entity's records with this name: its own, or its automation's.
fn named<'a>(app: &'a Published, entity: EntityId, name: &str) -> Option<(&'a Arc<AutomationPlan>, &'a ButtonPlan)> {
    of_entity(app, entity).find(|(plan, button)| button.name == name || plan.name == name || bare(&plan.name) == name)
}

fn bare(name: &str) -> &str {
    name.split_once('.').map_or(name, |(_, bare)| bare)
}

/// The answers to what a button asks, each as its kind; all faults at once.
fn answered(w: &Writer<'_>, button: &ButtonPlan, answers: &IndexMap<String, Input>) -> Result<Json, Error> {
    let (cx, mut faults) = (w.cx, Vec::new());
    for name in answers.keys().filter(|name| !button.ask.iter().any(|question| question.name == **name)) {
        faults.push(Violation::of_field(name, Code::UnknownField, Message::new("unknown_field").with("name", name)));
    }
    let mut told = Map::new();
    for question in &button.ask {
        let sent = answers.get(&question.name).filter(|input| **input != Input::Null).or(question.default.as_ref());
        let Some(sent) = sent else {
            if question.doc.common.required {
                faults.push(Violation::of_field(&question.name, Code::Required, Message::new("required")));
            }
            continue;
        };
        let sibling = |name: &str| answers.get(name).and_then(Input::as_text).map(str::to_owned);
        match question.typed.accept(sent, &AcceptContext { now: cx.now, sibling: &sibling }) {
            Ok(cells) => {
                if let (Some(to), Some(id)) = (question.to, cells.first().and_then(Value::as_uuid))
                    && !w.reader.in_sight(cx, to, id)?
                {
                    faults.push(Violation::of_field(&question.name, Code::BadReference, Message::new("bad_reference")));
                    continue;
                }
                let mut bytes = Vec::new();
                question.typed.write_json(&cells, Numbers::Strings, &mut bytes);
                told.insert(question.name.clone(), serde_json::from_slice(&bytes).unwrap_or_default());
            }
            Err(rejects) => faults.extend(rejects.into_iter().map(|reject| {
                let mut fault = Violation::of_field(&question.name, reject.code, reject.message);
                fault.pointer.push_str(&reject.pointer);
                fault
            })),
        }
    }
    if faults.is_empty() { Ok(Json::Object(told)) } else { Err(Error::Invalid(faults)) }
}
