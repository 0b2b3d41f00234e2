//! In charge of one sending of a public form: what is accepted, whether it is known already, what is made of it.
//! Invariant: all faults come at once; those of fields that the form does not list are told without the field.
//! Invariant: it runs as the system, set off by no person; rules, conditions and locks bind.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;
use model::doc::{DuplicateThen, StageKind};
use model::{Cells, Code, EntityDef, Input, Message, Value, Violation, Wording};
use rules::query::Predicate;
use rules::scope::{Extra, Scope};
use serde_json::{Map, Value as Json};
use store::Tx;
use store::system::Cond;
use store::system::idempotency::IDEMPOTENCY;
use uuid::Uuid;

use super::guard::Token;
use super::plan::FormPlan;
use super::touch;
use crate::Engine;
use crate::automations::lookups::accepted;
use crate::automations::raise::signal;
use crate::automations::trigger::Signal;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::check::holds;
use crate::records::slice::Writer;
use crate::records::{ChangeNote, Likeness, Submission, drafted, notes_of, write};

/// The most characters of one value of an address that a form looks at.
const LONGEST_ASKED: usize = 500;

/// What a visitor sent.
#[derive(Clone, Debug, Default)]
pub struct Posted {
    /// The values of inputs.
    pub values: IndexMap<String, Input>,
    /// What the form's address was given.
    pub query: IndexMap<String, String>,
    /// The showing of the page that it came from; sent again it does nothing more.
    pub token: Option<Token>,
    /// The visitor's language.
    pub locale: String,
}

/// What became of it; closed. A visitor is never told which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A record was made.
    Created,
    /// It went on the timeline of a record that was there.
    Appended,
    /// A record that was there was changed, by a link.
    Changed,
    /// It had come before.
    Again,
}

/// What became of a sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What.
    pub fate: Fate,
    /// The record's entity, qualified.
    pub entity: String,
    /// The record; none where it had come before.
    pub record: Option<Uuid>,
}

impl Engine {
    /// A public form, and the facts under which it is shown and sent: nobody's name, all rights, rules binding.
    ///
    /// # Errors
    /// `NotFound` where there is no such form.
    pub fn visit(&self, form: &str, locale: &str) -> Result<(Ctx, Arc<FormPlan>), Error> {
        let cx = Ctx { locale: locale.to_owned(), ..self.background() };
        let plan = visited(&cx, form)?;
        Ok((cx, plan))
    }

    /// Takes what a visitor sent.
    ///
    /// # Errors
    /// `NotFound` where there is no such form; all faults of what was sent; `duplicate_found` where the form refuses what is known.
    pub async fn post_form(&self, form: &str, posted: Posted) -> Result<Received, Error> {
        let form = form.to_owned();
        self.transact_in_background(move |cx, tx| {
            let cx = Ctx { locale: posted.locale.clone(), ..cx.clone() };
            let plan = visited(&cx, &form)?;
            post_in(&cx, tx, &plan, &posted)
        })
        .await
    }
}

/// A public form that is open to everybody.
fn visited(cx: &Ctx, form: &str) -> Result<Arc<FormPlan>, Error> {
    cx.app.web_forms.find(form).filter(|plan| !plan.is_about_one()).cloned().ok_or(Error::NotFound)
}

fn post_in(cx: &Ctx, tx: &Tx, plan: &FormPlan, posted: &Posted) -> Result<(Received, Vec<ChangeNote>), Error> {
    // The form says itself what its own rule does.
    let settled = plan.duplicate.as_ref().map(|(rule, _)| rule.name.clone());
    let w = Writer { settled, ..Writer::new(cx, tx) };
    let def = w.def(plan.entity);
    let received = |fate, record| Received { fate, entity: def.name.to_string(), record };
    if let Some(token) = posted.token
        && !is_first(cx, tx, plan, token)?
    {
        return Ok((received(Fate::Again, None), Vec::new()));
    }
    let (values, cells) = checked(&w, plan, def, posted, None)?;
    let held: Map<String, Json> = [("sent".to_owned(), sent(plan, def, posted))].into_iter().collect();
    let said = Signal::Form(&plan.name);
    let known = match &plan.duplicate {
        None => Vec::new(),
        Some((rule, _)) => {
            // Two who send the same at once are one after the other: the second finds the first.
            rule.lock(&w, def, &cells)?;
            rule.find(&w, def, &cells, Predicate::True, &HashSet::new())?
        }
    };
    let then = plan.duplicate.as_ref().map(|(_, then)| *then);
    let first = match then {
        Some(DuplicateThen::Block) if !known.is_empty() => return Err(refused(plan)),
        Some(DuplicateThen::Append) => {
            if let Some((id, _)) = known.iter().find(|(_, cells)| is_open(&w, def, cells)) {
                let notes = touch::again(&w, plan, def, *id, &cells)?;
                signal(&w, plan.entity, *id, &said, &held)?;
                return Ok((received(Fate::Appended, Some(*id)), notes));
            }
            known.first()
        }
        Some(DuplicateThen::Block | DuplicateThen::Warn | DuplicateThen::Link) | None => known.first(),
    };
    let create = Submission::Create { id: None, values };
    let written = write::write_slice(&w, plan.entity, std::slice::from_ref(&create))?.pop().unwrap_or(Err(Error::NotFound));
    let id = written.map_err(|error| told(plan, error))?.id;
    let mut notes = notes_of(&w)?;
    if let (Some((other, _)), Some(then)) = (first, then) {
        notes.extend(touch::alike(&w, plan, def, id, *other, then != DuplicateThen::Warn)?);
    }
    signal(&w, plan.entity, id, &said, &held)?;
    Ok((received(Fate::Created, Some(id)), notes))
}

/// Takes note of a token; whether it was not seen before.
pub(super) fn is_first(cx: &Ctx, tx: &Tx, plan: &FormPlan, token: Token) -> Result<bool, Error> {
    let key: String = token.0.iter().map(|byte| format!("{byte:02x}")).collect();
    tx.lock_key(&format!("form:{key}"))?;
    let route = format!("form:{}", plan.name);
    let fit = [Cond::Eq("caller", Value::text("visitor")), Cond::Eq("route", Value::text(&route)), Cond::Eq("key", Value::text(&key))];
    if !tx.find(&IDEMPOTENCY, &fit, &[], 1)?.is_empty() {
        return Ok(false);
    }
    let empty = Value::Bytes([0_u8; 32][..].into());
    let row =
        vec![Value::text("visitor"), Value::text(&route), Value::text(&key), empty, Value::Json(Arc::new(Json::Null)), Value::Timestamp(cx.now)];
    tx.put(&IDEMPOTENCY, &[row])?;
    Ok(true)
}

/// The values of a new record or of one that is there, and the record as it would be; all faults at once.
pub(super) fn checked(
    w: &Writer<'_>,
    plan: &FormPlan,
    def: &EntityDef,
    posted: &Posted,
    id: Option<Uuid>,
) -> Result<(IndexMap<String, Input>, Cells), Error> {
    let lists = |name: &str| plan.lists(name);
    let unknown = posted.values.keys().filter(|name| !lists(name));
    let mut faults: Vec<Violation> =
        unknown.map(|name| Violation::of_field(name, Code::UnknownField, Message::new("unknown_field").with("name", name))).collect();
    let filled = |input: &Input| *input != Input::Null && input.as_text().is_none_or(|text| !text.trim().is_empty());
    // What is empty is left to defaults; of a record that is there it is emptied.
    let entered = posted.values.iter().filter(|(name, input)| lists(name) && (id.is_some() || filled(input)));
    let given = |input: &Input| if filled(input) { input.clone() } else { Input::Null };
    let mut values: IndexMap<String, Input> = entered.map(|(name, input)| (name.clone(), given(input))).collect();
    let preview = Writer::preview(w.cx, w.tx);
    let (draft, _) = drafted(&preview, def, id, &values)?;
    values.extend(put_in(&preview, plan, def, &draft.after, &posted.query));
    let (row, _) = drafted(&preview, def, id, &values)?;
    for offered in plan.offered(def).filter(|offered| offered.input.required) {
        let name = offered.field.name.as_str();
        let show_if = &w.plan(def.id).field(offered.field.id).show_if;
        let is_there = show_if.as_ref().is_none_or(|condition| holds(&preview, offered.field.app.as_str(), def, condition, None, &row.after));
        let is_given = values.get(name).is_some_and(|input| *input != Input::Null);
        let is_kept = id.is_some() && !values.contains_key(name) && offered.field.cells(&row.after).iter().any(|cell| !cell.is_null());
        if is_there && !is_given && !is_kept {
            faults.push(Violation::of_field(name, Code::Required, Message::new("required")));
        }
    }
    faults.extend(super::choices::refused(&preview, plan, &values)?);
    for fault in row.faults {
        let fault = shown(plan, fault);
        if !faults.iter().any(|there| there.field == fault.field && there.code == fault.code && there.field.is_some()) {
            faults.push(fault);
        }
    }
    if faults.is_empty() { Ok((values, row.after)) } else { Err(Error::Invalid(faults)) }
}

/// The values that the visitor does not enter. What an address gives and its field does not take is left out: a visitor could not
/// mend it.
fn put_in(w: &Writer<'_>, plan: &FormPlan, def: &EntityDef, cells: &Cells, query: &IndexMap<String, String>) -> IndexMap<String, Input> {
    let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(LONGEST_ASKED).collect::<String>();
    let asked: IndexMap<String, Value> =
        query.iter().filter(|(name, _)| plan.asks(name)).map(|(name, text)| (name.clone(), Value::text(&short(text)))).collect();
    let params = w.params(&plan.app, def.id, cells);
    let extra = [("query", Extra::Values(&asked))];
    let scope = Scope {
        schema: &w.app.schema,
        entity: def.id,
        record: cells,
        old: None,
        params: &params,
        locale: &w.cx.locale,
        lookup: &w.reader,
        extra: &extra,
    };
    let mut values = IndexMap::new();
    for (field, value) in &plan.values {
        let field = def.field(*field);
        let Ok(input) = value.send(&scope, field) else { continue };
        if input != Input::Null && accepted(w.cx, def, field, &input, cells).is_ok() {
            values.insert(field.name.to_string(), input);
        }
    }
    values
}

/// What was sent, as steps see it by the name `sent`.
pub(super) fn sent(plan: &FormPlan, def: &EntityDef, posted: &Posted) -> Json {
    let listed = plan.offered(def).map(|offered| offered.field.name.as_str());
    listed.filter_map(|name| Some((name.to_owned(), posted.values.get(name)?.to_json()))).collect::<Map<String, Json>>().into()
}

/// Whether something may still come of a record.
fn is_open(w: &Writer<'_>, def: &EntityDef, cells: &Cells) -> bool {
    let Some(stages) = w.plan(def.id).stages.first() else { return true };
    let stage = def.field(stages.field).cells(cells).first().and_then(Value::as_text);
    let kind = stage.zip(stages.pipeline(def, cells)).and_then(|(stage, (_, pipeline))| pipeline.doc.stages.get(stage)).map(|stage| stage.kind);
    kind.is_none_or(|kind| matches!(kind, StageKind::Open | StageKind::Waiting))
}

/// That the form refuses what is known already.
fn refused(plan: &FormPlan) -> Error {
    let message = plan.duplicate.as_ref().and_then(|(rule, _)| rule.message.clone());
    let wording = message.map_or_else(|| Wording::Message(Message::new("form_duplicate")), Wording::Label);
    Error::Invalid(vec![Violation { pointer: String::new(), field: None, code: Code::DuplicateFound, wording }])
}

/// A fault as a visitor may hear of it.
fn shown(plan: &FormPlan, fault: Violation) -> Violation {
    if fault.field.as_deref().is_some_and(|name| plan.lists(name)) {
        return fault;
    }
    Violation { pointer: String::new(), field: None, ..fault }
}

pub(super) fn told(plan: &FormPlan, error: Error) -> Error {
    match error {
        Error::Invalid(faults) => Error::Invalid(faults.into_iter().map(|fault| shown(plan, fault)).collect()),
        // A visitor is told that it is known, and nothing of what is.
        Error::Duplicates(found) => {
            let alike = |one: Likeness| {
                let wording = match one.wording {
                    Wording::Label(label) => Wording::Label(label),
                    Wording::Message(_) | Wording::Text(_) => Wording::Message(Message::new("form_duplicate")),
                };
                Violation { pointer: String::new(), field: None, code: Code::DuplicateFound, wording }
            };
            Error::Invalid(found.into_iter().map(alike).collect())
        }
        other => other,
    }
}
