//! In charge of buttons on pages: what one asks, of one record or of several, and pressing it.
//! Invariant: what was answered comes back where it was refused; on several records all are done or none.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use engine::Error;
use engine::automations::buttons::{Asked, Button};
use indexmap::IndexMap;
use model::{EntityDef, Input, Violation};
use serde::Serialize;
use uuid::Uuid;

use super::control::{Control, moment};
use super::picker::{self, Offer};
use super::shell::{Missed, Shell, missed, shell, told};
use super::{env, many};
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// Before the id of a record that is ticked in a list.
pub(super) const TICKED: &str = "id:";

#[derive(Serialize)]
struct PressPage {
    shell: Shell,
    action: String,
    back: String,
    button: String,
    /// The records, where they are several.
    ids: Vec<String>,
    controls: Vec<Control>,
    error: Option<String>,
}

/// What is pressed on what.
struct Pressing<'a> {
    state: &'a RuntimeState,
    page: &'a Page,
    def: &'a EntityDef,
    button: Button,
    ids: Vec<Uuid>,
    /// Where the form is sent.
    action: String,
    back: String,
    fields: &'a Query,
}

/// The button of this name, where it is offered.
fn named(buttons: Vec<Button>, name: &str) -> Option<Button> {
    buttons.into_iter().find(|button| button.name == name)
}

/// Shows what a button asks.
pub(super) async fn show(
    State(state): State<RuntimeState>,
    page: Page,
    Path((entity, id, button)): Path<(String, Uuid, String)>,
) -> Result<Response, Missed> {
    let nothing = Query::default();
    Pressing::one(&state, &page, &entity, id, &button, &nothing).await?.show(None, &Answers::default()).await
}

/// Presses a button on one record.
pub(super) async fn press(
    State(state): State<RuntimeState>,
    Path((entity, id, button)): Path<(String, Uuid, String)>,
    form: PageForm,
) -> Result<Response, Missed> {
    Pressing::one(&state, &form.page, &entity, id, &button, &form.fields).await?.go().await
}

/// Presses a button on the records that are ticked in a list, or asks first what it asks.
pub(super) async fn press_many(State(state): State<RuntimeState>, Path(entity): Path<String>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    let name = form.fields.get("button").unwrap_or_default();
    let button = named(state.engine().buttons_for_many(&page.cx, def.id), name).ok_or_else(|| missed(page)(Error::NotFound))?;
    let ids = many::ticked(&form.fields);
    let back = many::back(&form.fields).to_owned();
    if ids.is_empty() {
        return Ok(Redirect::to(&back).into_response());
    }
    let action = format!("/r/{}/press", def.name);
    let asks = !button.ask.is_empty() && form.fields.get("answered").is_none();
    let pressing = Pressing { state: &state, page, def, button, ids, action, back, fields: &form.fields };
    if asks { pressing.show(None, &Answers::default()).await } else { pressing.go().await }
}

/// Answers as they were entered.
#[derive(Default)]
struct Answers {
    values: IndexMap<String, Input>,
    offers: IndexMap<String, Offer>,
    faults: Vec<Violation>,
}

impl<'a> Pressing<'a> {
    async fn one(state: &'a RuntimeState, page: &'a Page, entity: &str, id: Uuid, button: &str, fields: &'a Query) -> Result<Self, Missed> {
        let def = state.engine().entity(&page.cx, entity).map_err(missed(page))?;
        let offered = state.engine().buttons(&page.cx, def.id, id).await.map_err(missed(page))?;
        let button = named(offered, button).ok_or_else(|| missed(page)(Error::NotFound))?;
        let back = format!("/r/{}/{id}", def.name);
        let action = format!("{back}/press/{}", button.name);
        Ok(Self { state, page, def, button, ids: vec![id], action, back, fields })
    }

    async fn go(self) -> Result<Response, Missed> {
        let answers = self.answers().await?;
        if !answers.faults.is_empty() {
            return self.show(Some(Error::Invalid(answers.faults.clone())), &answers).await;
        }
        let (cx, values) = (&self.page.cx, answers.values.clone());
        match self.state.engine().press(cx, self.def.id, &self.ids, &self.button.name, values).await {
            Ok(_) => {
                let join = if self.back.contains('?') { '&' } else { '?' };
                Ok(Redirect::to(&format!("{}{join}done=pressed", self.back)).into_response())
            }
            Err(error @ (Error::Invalid(_) | Error::Forbidden | Error::StaleVersion { .. })) => self.show(Some(error), &answers).await,
            Err(error) => Err(missed(self.page)(error)),
        }
    }

    async fn answers(&self) -> Result<Answers, Missed> {
        let mut answers = Answers::default();
        for asked in &self.button.ask {
            let text = self.fields.get(&asked.name).unwrap_or_default().trim();
            if let Some(to) = &asked.to {
                let target = self.state.engine().entity(&self.page.cx, to).map_err(missed(self.page))?;
                let typed = picker::one_typed(self.state, self.page, target, &asked.name, self.fields).await?;
                match typed {
                    picker::OneTyped::Untouched => {}
                    picker::OneTyped::Record(id) => {
                        answers.values.insert(asked.name.clone(), id.map_or(Input::Null, |id| Input::Text(id.to_string())));
                        continue;
                    }
                    picker::OneTyped::Open(fault, offer) => {
                        answers.faults.push(*fault);
                        answers.offers.insert(asked.name.clone(), offer);
                        continue;
                    }
                }
            }
            let input = match asked.kind.as_str() {
                _ if text.is_empty() => continue,
                "boolean" => Input::Bool(text == "true"),
                "choices" | "tags" => Input::List(
                    text.split([',', '，', '、']).map(str::trim).filter(|item| !item.is_empty()).map(|item| Input::Text(item.to_owned())).collect(),
                ),
                "integer" | "decimal" | "money" | "percent" | "rating" => Input::Text(text.replace([',', ' '], "")),
                "datetime" => Input::Text(moment(&self.page.cx, text)),
                _ => Input::Text(text.to_owned()),
            };
            answers.values.insert(asked.name.clone(), input);
        }
        Ok(answers)
    }

    async fn show(&self, error: Option<Error>, answers: &Answers) -> Result<Response, Missed> {
        let cx = &self.page.cx;
        let nothing = Vec::new();
        let faults = match &error {
            Some(Error::Invalid(faults)) => faults,
            _ => &nothing,
        };
        let mut controls = Vec::new();
        for asked in &self.button.ask {
            controls.push(self.control(asked, answers, faults).await?);
        }
        let of_a_control = |fault: &Violation| fault.field.as_ref().is_some_and(|field| controls.iter().any(|control| control.name == *field));
        let whole: Vec<String> = faults.iter().filter(|fault| !of_a_control(fault)).map(|fault| fault.wording.text(&cx.locale)).collect();
        let said = match &error {
            Some(Error::Invalid(_)) => (!whole.is_empty()).then(|| whole.join(" · ")),
            Some(error) => Some(told(error, &cx.locale).1),
            None => None,
        };
        let status = error.as_ref().map_or(StatusCode::OK, |error| told(error, &cx.locale).0);
        let ids = if self.fields.get("button").is_some() { self.ids.iter().map(Uuid::to_string).collect() } else { Vec::new() };
        let context = PressPage {
            shell: shell(self.page, &self.button.label, &format!("/r/{}", self.def.name)),
            action: self.action.clone(),
            back: self.back.clone(),
            button: self.button.name.clone(),
            ids,
            controls,
            error: said,
        };
        Ok(env::page(status, "press.html", &context))
    }

    async fn control(&self, asked: &Asked, answers: &Answers, faults: &[Violation]) -> Result<Control, Missed> {
        let cx = &self.page.cx;
        let default = asked.default.as_ref().map(Input::to_json).unwrap_or_default();
        let default = default.as_str().map_or_else(|| if default.is_null() { String::new() } else { default.to_string() }, str::to_owned);
        let value = self.fields.get(&asked.name).map_or(default, str::to_owned);
        let kind = match asked.kind.as_str() {
            "choice" | "boolean" => "select",
            "reference" => "reference",
            "choices" | "tags" => "list",
            "long_text" => "long",
            "integer" | "decimal" | "money" | "percent" | "rating" => "number",
            "date" => "date",
            "datetime" => "datetime-local",
            "time" => "time",
            _ => "text",
        };
        let offer = answers.offers.get(&asked.name);
        let options = match (offer, asked.kind.as_str()) {
            (Some(offer), _) => offer.records.clone(),
            (None, "boolean") => vec![("true".to_owned(), env::text(&cx.locale, "yes")), ("false".to_owned(), env::text(&cx.locale, "no"))],
            (None, _) => asked.options.clone(),
        };
        let text = match (&asked.to, offer) {
            (Some(_), Some(offer)) => offer.typed.clone(),
            (Some(to), None) => {
                let target = self.state.engine().entity(cx, to).map_err(missed(self.page))?;
                picker::title_of(self.state, self.page, target.id, &value).await?
            }
            (None, _) => value.clone(),
        };
        Ok(Control {
            help: asked.help.clone(),
            text,
            options,
            url: asked.to.as_ref().map(|to| format!("/choose/{to}")).unwrap_or_default(),
            required: asked.required,
            error: faults.iter().find(|fault| fault.field.as_deref() == Some(&asked.name)).map(|fault| fault.wording.text(&cx.locale)),
            ..Control::plain(&asked.name, asked.label.clone(), kind, &value)
        })
    }
}
