//! In charge of public forms about a record that is there: links, who holds one, what they see and send.
//! Invariant: only a link's hash is kept; one that ended, was used up or leads to nothing any more is answered alike.
//! Invariant: where the form asks who the visitor is, nothing of the record is shown before they said so.

use std::sync::Arc;

use model::field::{AcceptContext, TextContext};
use model::{Cells, Code, Input, Message, Value, Violation};
use serde_json::{Map, Value as Json};
use store::system::form_link::{self, FormLink};
use store::{Lock, Tx};
use uuid::Uuid;

use super::plan::FormPlan;
use super::post::{Fate, Posted, Received, checked, is_first, sent, told};
use crate::Engine;
use crate::auth::secret::{self, Hash, Opens};
use crate::automations::raise::signal;
use crate::automations::trigger::Signal;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::lookup::is_live;
use crate::records::slice::Writer;
use crate::records::{ChangeNote, Submission, along, notes_of, write};

/// The name under which a visitor says who they are.
pub const PROOF: &str = "_verify";

/// What the holder of a link sees of the record.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The record.
    pub record: Uuid,
    /// What is shown: label and text.
    pub shown: Vec<(String, String)>,
}

/// What may be seen by a link; closed.
#[derive(Clone, Debug)]
pub enum Sight {
    /// The record.
    Open(Seen),
    /// Nothing before the visitor said who they are; the label of what is asked.
    Asks(String),
}

/// The address of a new link to a form about `record`.
pub(crate) fn make(cx: &Ctx, tx: &Tx, form: &str, record: Uuid) -> Result<String, Error> {
    let plan = cx.app.web_forms.find(form).filter(|plan| plan.is_about_one()).ok_or(Error::NotFound)?;
    let secret = secret::make(Opens::Form)?;
    let expires_at = plan.lasts.as_ref().map(|span| crate::times::after(&cx.app, &plan.app, cx.now, span));
    form_link::put(tx, &secret::hash(&secret), &plan.name, record, cx.now, expires_at)?;
    let base = cx.app.settings_of("core").get("address").and_then(Json::as_str).unwrap_or_default();
    Ok(format!("{}/f/{}/{secret}", base.trim_end_matches('/'), plan.name))
}

impl Engine {
    /// The form of a link, and the facts under which it is shown and sent.
    ///
    /// # Errors
    /// `NotFound` where there is no such form.
    pub fn visit_linked(&self, form: &str, locale: &str) -> Result<(Ctx, Arc<FormPlan>), Error> {
        let cx = Ctx { locale: locale.to_owned(), ..self.background() };
        let plan = visited(&cx, form)?;
        Ok((cx, plan))
    }

    /// What the holder of a link sees.
    ///
    /// # Errors
    /// `NotFound` where the link does not work; that the proof is another.
    pub async fn seen_by_link(&self, cx: &Ctx, plan: &Arc<FormPlan>, secret: &str, proof: Option<&str>) -> Result<Sight, Error> {
        let (cx, plan, hash, proof) = (cx.clone(), Arc::clone(plan), secret::hash(secret), proof.map(str::to_owned));
        self.store()
            .read(move |tx| {
                let w = Writer::new(&cx, tx);
                let (link, cells) = works(&w, &plan, form_link::get(tx, &hash, &plan.name, Lock::None)?)?;
                if let Some(path) = plan.verify.as_ref().filter(|_| proof.is_none()) {
                    let field = path.target(&cx.app.schema);
                    return Ok(Sight::Asks(field.doc.label(field.name.as_str(), &cx.locale).to_owned()));
                }
                proved(&w, &plan, &cells, proof.as_deref())?;
                let def = w.def(plan.entity);
                let shown = plan.shown.iter().map(|field| def.field(*field)).filter_map(|field| {
                    let text = field.typed.as_ref()?.text(field.cells(&cells), TextContext { locale: &cx.locale, zone: cx.zone });
                    Some((field.doc.label(field.name.as_str(), &cx.locale).to_owned(), text))
                });
                Ok(Sight::Open(Seen { record: link.record, shown: shown.collect() }))
            })
            .await
    }

    /// Takes what the holder of a link sent.
    ///
    /// # Errors
    /// `NotFound` where the link does not work; all faults of what was sent; what the move refuses.
    pub async fn post_linked(&self, form: &str, secret: &str, proof: Option<&str>, posted: Posted) -> Result<Received, Error> {
        let (form, hash, proof) = (form.to_owned(), secret::hash(secret), proof.map(str::to_owned));
        self.transact_in_background(move |cx, tx| {
            let cx = Ctx { locale: posted.locale.clone(), ..cx.clone() };
            let plan = visited(&cx, &form)?;
            post_in(&cx, tx, &plan, &hash, proof.as_deref(), &posted)
        })
        .await
    }
}

/// A form that is about one record.
fn visited(cx: &Ctx, form: &str) -> Result<Arc<FormPlan>, Error> {
    cx.app.web_forms.find(form).filter(|plan| plan.is_about_one()).cloned().ok_or(Error::NotFound)
}

fn post_in(cx: &Ctx, tx: &Tx, plan: &FormPlan, hash: &Hash, proof: Option<&str>, posted: &Posted) -> Result<(Received, Vec<ChangeNote>), Error> {
    let w = Writer::new(cx, tx);
    let def = w.def(plan.entity);
    let link = form_link::get(tx, hash, &plan.name, Lock::Update)?;
    if let Some(token) = posted.token
        && link.is_some()
        && !is_first(cx, tx, plan, token)?
    {
        return Ok((Received { fate: Fate::Again, entity: def.name.to_string(), record: None }, Vec::new()));
    }
    let (link, cells) = works(&w, plan, link)?;
    proved(&w, plan, &cells, proof)?;
    let (values, _) = checked(&w, plan, def, posted, Some(link.record))?;
    let submission = match &plan.doc.moves {
        Some(stage) => {
            Submission::Move { id: link.record, version: None, field: None, to: stage.to_string(), values, skip: indexmap::IndexMap::new() }
        }
        None => Submission::Update { id: link.record, version: None, values },
    };
    let written = write::write_slice(&w, plan.entity, std::slice::from_ref(&submission))?.pop().unwrap_or(Err(Error::NotFound));
    written.map_err(|error| told(plan, error))?;
    form_link::used(tx, hash, cx.now)?;
    let notes = notes_of(&w)?;
    let held: Map<String, Json> = [("sent".to_owned(), sent(plan, def, posted))].into_iter().collect();
    signal(&w, plan.entity, link.record, &Signal::Form(&plan.name), &held)?;
    Ok((Received { fate: Fate::Changed, entity: def.name.to_string(), record: Some(link.record) }, notes))
}

/// The link while it works, and the record that it leads to.
fn works(w: &Writer<'_>, plan: &FormPlan, link: Option<FormLink>) -> Result<(FormLink, Arc<Cells>), Error> {
    let is_over = |link: &FormLink| link.expires_at.is_some_and(|end| end <= w.cx.now) || (plan.doc.once && link.used_at.is_some());
    let link = link.filter(|link| !is_over(link)).ok_or(Error::NotFound)?;
    let cells = w.reader.read(plan.entity, link.record)?.filter(|cells| is_live(w.def(plan.entity), cells)).ok_or(Error::NotFound)?;
    Ok((link, cells))
}

/// Whether the visitor said what the record holds; a record that holds nothing there is nobody's.
fn proved(w: &Writer<'_>, plan: &FormPlan, cells: &Cells, proof: Option<&str>) -> Result<(), Error> {
    let Some(path) = &plan.verify else { return Ok(()) };
    let field = path.target(&w.app.schema);
    let holds = along(w, path, cells)?;
    let refused = || Error::Invalid(vec![Violation::of_field(PROOF, Code::RuleFailed, Message::new("form_verify"))]);
    let (Some(typed), Some(proof)) = (&field.typed, proof.map(str::trim).filter(|proof| !proof.is_empty())) else { return Err(refused()) };
    if holds.first().is_none_or(Value::is_null) {
        return Err(refused());
    }
    let fold = |value: &[Value]| model::text::fold(typed.text(value, TextContext { locale: "en", zone: chrono_tz::UTC }).trim());
    let said = typed.accept(&Input::Text(proof.to_owned()), &AcceptContext { now: w.cx.now, sibling: &|_| None }).unwrap_or_default();
    if !said.is_empty() && fold(&said) == fold(&holds) { Ok(()) } else { Err(refused()) }
}
