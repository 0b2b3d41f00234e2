//! In charge of how papers are called for: what a record offers, and one paper of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::doc::Paper as Sheet;
use model::{Cells, Code, EntityId, Input, Message};
use render::paper::{Plain, Shown, Text, Wanted};
use render::words;
use rules::scope::Scope;
use serde_json::{Value as Json, json};
use store::Tx;
use uuid::Uuid;

use super::acts;
use super::data::Data;
use super::plan::PrintPlan;
use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::check::holds;
use crate::records::eyes::Eyes;
use crate::records::sight_on;
use crate::records::slice::Writer;

/// The longest name of a printed file, in characters.
const LONGEST_NAME: usize = 120;
/// The languages in which papers are written.
const LOCALES: [&str; 3] = ["en", "zh-CN", "zh-TW"];

/// A paper that a record offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedPrint {
    /// Its qualified name.
    pub name: String,
    /// What people call it.
    pub label: String,
}

impl OfferedPrint {
    fn of(cx: &Ctx, plan: &PrintPlan) -> Self {
        let label = plan.label.as_ref().map_or_else(|| cx.app.schema.entity(plan.entity).label(&cx.locale), |label| label.get(&cx.locale));
        Self { name: plan.name.clone(), label: label.to_owned() }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Json {
        json!({"name": self.name, "label": self.label})
    }
}

/// A paper.
#[derive(Clone, Debug, PartialEq)]
pub struct Printed {
    /// What a file of it is called, without an ending.
    pub file_name: String,
    /// Its language.
    pub locale: String,
    /// The sheet that it is for.
    pub sheet: Option<Sheet>,
    /// The inside of its page, as HTML.
    pub body: String,
}

/// The papers of an entity's records.
pub(crate) fn of_entity(cx: &Ctx, entity: EntityId) -> Vec<OfferedPrint> {
    cx.app.prints.of(entity).iter().map(|plan| OfferedPrint::of(cx, plan)).collect()
}

impl Engine {
    /// The papers that a record offers to the caller.
    ///
    /// # Errors
    /// `NotFound` where it is not there or out of sight.
    pub async fn prints(&self, cx: &Ctx, entity: EntityId, record: Uuid) -> Result<Vec<OfferedPrint>, Error> {
        let cx = cx.clone();
        self.store()
            .read(move |tx| {
                let cx = sight_on(&cx, tx, entity, record)?;
                let w = Writer::new(&cx, tx);
                let cells = w.reader.read(entity, record)?.ok_or(Error::NotFound)?;
                Ok(cx.app.prints.of(entity).iter().filter(|plan| is_for(&w, plan, &cells)).map(|plan| OfferedPrint::of(&cx, plan)).collect())
            })
            .await
    }

    /// A paper of a record, as the caller sees it.
    ///
    /// # Errors
    /// `NotFound` where the record or the paper are not there, out of sight, or not for each other; `limit` where it would be
    /// too long; `rule_failed` with the reason where the template cannot be filled.
    pub async fn print(&self, cx: &Ctx, entity: EntityId, record: Uuid, name: &str) -> Result<Printed, Error> {
        let (cx, name) = (cx.clone(), name.to_owned());
        self.store()
            .read(move |tx| {
                let cx = sight_on(&cx, tx, entity, record)?;
                let plan = cx.app.prints.named(entity, &name).cloned().ok_or(Error::NotFound)?;
                print_in(&cx, tx, &plan, record)
            })
            .await
    }
}

/// Whether a paper is for a record.
fn is_for(w: &Writer<'_>, plan: &PrintPlan, cells: &Arc<Cells>) -> bool {
    plan.condition.as_ref().is_none_or(|condition| holds(w, &plan.app, w.def(plan.entity), condition, None, cells))
}

/// A paper of a record that is in sight under these facts.
pub(crate) fn print_in(cx: &Ctx, tx: &Tx, plan: &PrintPlan, record: Uuid) -> Result<Printed, Error> {
    let w = Writer::new(cx, tx);
    let cells = w.reader.read(plan.entity, record)?.ok_or(Error::NotFound)?;
    if !is_for(&w, plan, &cells) {
        return Err(Error::NotFound);
    }
    let locale = locale(&w, plan, &cells)?;
    let cx = Ctx { locale, ..cx.clone() };
    let w = Writer::new(&cx, tx);
    let data = Data::new(&w);
    let wanted = plan.paper.wanted();
    let none = Wanted::default();
    let of_record = data.record(plan.entity, &cells, wanted.of("record").unwrap_or(&none))?;
    let title = match &of_record {
        Shown::Thing(title, _) => title.clone(),
        _ => String::new(),
    };
    let mut given: BTreeMap<String, Shown> = [("record".to_owned(), of_record)].into_iter().collect();
    for (name, below) in &wanted.0 {
        let shown = match name.as_str() {
            "me" => data.me(below)?,
            "approvals" => acts::of_record(&data, &cx, tx, record)?,
            "settings" => Shown::Thing(
                String::new(),
                cx.app.settings_of(&plan.app).iter().map(|(name, json)| (name.clone(), Shown::Plain(json.clone()))).collect(),
            ),
            "locale" => Shown::Plain(cx.locale.as_str().into()),
            "address" => Shown::Plain(address(&cx, plan, record).into()),
            "today" => {
                let today = cx.moment().today;
                Shown::Value(Text { text: words::day(&cx.locale, today), plain: Plain::Text(today.to_string()), picture: None })
            }
            "now" => {
                let now = cx.now.with_timezone(&cx.zone);
                let plain = Plain::Text(cx.now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
                Shown::Value(Text { text: words::moment(&cx.locale, now), plain, picture: None })
            }
            _ => continue,
        };
        given.insert(name.clone(), shown);
    }
    let refused = |detail: String| Error::of(Code::RuleFailed, Message::new("paper_refused").with("detail", detail));
    let body = plan.paper.render(&given).map_err(refused)?;
    let file_name = match &plan.file_name {
        Some(name) => made(&w, plan, &cells, |scope| name.alone(scope))?.unwrap_or_default(),
        None => String::new(),
    };
    let file_name = tidy(if file_name.trim().is_empty() { &title } else { &file_name });
    let file_name = if file_name.is_empty() { plan.bare().to_owned() } else { file_name };
    Ok(Printed { file_name, locale: cx.locale.clone(), sheet: plan.sheet.clone(), body })
}

/// Something that a document makes of the record with the reader's eyes.
fn made(
    w: &Writer<'_>,
    plan: &PrintPlan,
    cells: &Arc<Cells>,
    f: impl FnOnce(&Scope<'_>) -> Result<Input, model::field::Reject>,
) -> Result<Option<String>, Error> {
    let eyes = Eyes { w, masked: false };
    let seen = eyes.blanked(plan.entity, cells)?;
    let params = w.params(&plan.app, plan.entity, &seen);
    let scope = Scope {
        schema: &w.app.schema,
        entity: plan.entity,
        record: &seen,
        old: None,
        params: &params,
        locale: &w.cx.locale,
        lookup: &eyes,
        extra: &[],
    };
    Ok(match f(&scope) {
        Ok(Input::Text(text)) => Some(text),
        Ok(Input::Number(digits)) => Some(digits),
        // What cannot be made of this record is as good as not said.
        Ok(_) | Err(_) => None,
    })
}

/// The language of a paper: what the document says of this record, else the reader's.
fn locale(w: &Writer<'_>, plan: &PrintPlan, cells: &Arc<Cells>) -> Result<String, Error> {
    let Some(rule) = &plan.locale else { return Ok(w.cx.locale.clone()) };
    let said = made(w, plan, cells, |scope| rule.alone(scope))?.unwrap_or_default();
    Ok(if LOCALES.contains(&said.as_str()) { said } else { w.cx.locale.clone() })
}

/// Where the record is found again.
fn address(cx: &Ctx, plan: &PrintPlan, record: Uuid) -> String {
    let base = cx.app.settings_of("core").get("address").and_then(Json::as_str).unwrap_or_default();
    format!("{}/r/{}/{record}", base.trim_end_matches('/'), cx.app.schema.entity(plan.entity).name)
}

/// A name that a file may have: on one line, without what separates folders.
fn tidy(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_control() || "\\/:*?\"<>|".contains(c) { ' ' } else { c }).collect();
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    name.trim_matches('.').chars().take(LONGEST_NAME).collect::<String>().trim().to_owned()
}
