//! In charge of what surrounds every page: the menu, the person, the language.
//! Invariant: the menu holds only what the person may open.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::{Caller as Who, Ctx, Error};
use model::Label;
use model::doc::ViewKind;
use serde::Serialize;

use super::env;
use super::toast::Toast;
use crate::http::caller::{Page, Turned};
use crate::http::problem::Problem;

/// What every page gets.
#[derive(Debug, Serialize)]
pub(super) struct Shell {
    pub(super) locale: String,
    pub(super) title: String,
    pub(super) csrf: String,
    pub(super) person: String,
    pub(super) here: String,
    pub(super) menu: Vec<Group>,
    pub(super) is_admin: bool,
    /// How many approvals wait for the person.
    pub(super) tasks: u64,
    pub(super) toast: Option<Toast>,
}

/// A group of the menu.
#[derive(Debug, Serialize)]
pub(super) struct Group {
    label: String,
    items: Vec<Item>,
}

/// An entry of the menu.
#[derive(Debug, Serialize)]
pub(super) struct Item {
    label: String,
    icon: String,
    pub(super) href: String,
}

impl Group {
    /// Where its entries lead.
    pub(super) fn hrefs(&self) -> impl Iterator<Item = String> {
        self.items.iter().map(|item| item.href.clone())
    }
}

/// A label in the reader's language.
pub(super) fn label(label: Option<&Label>, name: &str, locale: &str) -> String {
    label.map_or_else(|| name.to_owned(), |label| label.get(locale).to_owned())
}

/// What surrounds the page called `title`.
pub(super) fn shell(page: &Page, title: impl Into<String>, here: &str) -> Shell {
    let cx = &page.cx;
    let person = match &cx.caller {
        Who::Person(person) => cx
            .app
            .schema
            .find("core.user")
            .and_then(|def| def.slot("name"))
            .and_then(|slot| person.cells.get(slot))
            .and_then(model::Value::as_text)
            .unwrap_or_default()
            .to_owned(),
        Who::System => String::new(),
    };
    Shell {
        locale: cx.locale.clone(),
        title: title.into(),
        csrf: page.csrf.clone(),
        person,
        here: here.to_owned(),
        menu: menu(cx),
        is_admin: cx.caller.is_admin(),
        tasks: page.tasks,
        toast: None,
    }
}

/// The menu of all apps, the core app's last.
pub(super) fn menu(cx: &Ctx) -> Vec<Group> {
    let mut groups = Vec::new();
    for (app_name, app) in cx.app.schema.apps.iter().rev() {
        for name in &app.app.root {
            let Some(entry) = app.app.menu.get(name.as_str()).filter(|entry| cx.has_role(app_name.as_str(), &entry.roles)) else { continue };
            let items: Vec<Item> = entry.children.iter().filter_map(|child| item(cx, app_name.as_str(), child)).collect();
            if !items.is_empty() {
                groups.push(Group { label: label(entry.label.as_ref(), name, &cx.locale), items });
            }
        }
    }
    groups
}

fn item(cx: &Ctx, app_name: &str, target: &str) -> Option<Item> {
    let app = cx.app.schema.apps.get(app_name)?;
    let (kind, name) = target.split_once(':')?;
    match kind {
        "view" => {
            let view = app.views.get(name).filter(|view| cx.has_role(app_name, &view.roles))?;
            let def = cx.app.schema.find_from(app_name, &view.entity).filter(|def| cx.grants.sees(def.id))?;
            let usual = match view.kind {
                ViewKind::Table => "table",
                ViewKind::Board => "layout-kanban",
                ViewKind::Calendar => "calendar",
                ViewKind::Timeline => "chart-line",
                ViewKind::Gallery => "photo",
            };
            let icon = view.icon.clone().or_else(|| def.doc.icon.clone()).unwrap_or_else(|| usual.to_owned());
            Some(Item { label: label(view.label.as_ref(), name, &cx.locale), icon, href: format!("/a/{app_name}/view/{name}") })
        }
        "entity" => {
            let def = cx.app.schema.find_from(app_name, name).filter(|def| cx.grants.sees(def.id))?;
            let icon = def.doc.icon.clone().unwrap_or_else(|| "table".to_owned());
            Some(Item { label: def.plural(&cx.locale).to_owned(), icon, href: format!("/r/{}", def.name) })
        }
        _ => None,
    }
}

/// A page that says why there is nothing to see.
#[derive(Serialize)]
struct Message {
    shell: Shell,
    text: String,
    /// Whether it is there, and a right to it is missing.
    refused: bool,
}

/// What a page is called that is not there, not allowed, or could not be made.
pub(super) fn title_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "nothing_to_see",
        StatusCode::FORBIDDEN => "no_access",
        status if status.is_server_error() => "went_wrong",
        _ => "not_done",
    }
}

/// Why a page is not shown: to the sign-in page, or a page that says so.
pub(super) enum Missed {
    Turned(Turned),
    Told(Box<Page>, Error),
}

impl From<Turned> for Missed {
    fn from(turned: Turned) -> Self {
        Self::Turned(turned)
    }
}

/// An error of the engine on a page.
pub(super) fn missed(page: &Page) -> impl Fn(Error) -> Missed {
    move |error| Missed::Told(Box::new(page.clone()), error)
}

impl IntoResponse for Missed {
    fn into_response(self) -> Response {
        match self {
            Self::Turned(turned) => turned.into_response(),
            Self::Told(page, error) => {
                let (status, text) = told(&error, &page.cx.locale);
                if status == StatusCode::INTERNAL_SERVER_ERROR {
                    return Problem::from(error).into_response();
                }
                let title = env::text(&page.cx.locale, title_of(status));
                env::page(status, "message.html", &Message { shell: shell(&page, title, ""), text, refused: status == StatusCode::FORBIDDEN })
            }
        }
    }
}

/// An error in a person's words.
pub(super) fn told(error: &Error, locale: &str) -> (StatusCode, String) {
    let word = |key: &'static str| model::Message::new(key).text(locale);
    match error {
        Error::NotFound => (StatusCode::NOT_FOUND, word("not_found")),
        Error::Forbidden => (StatusCode::FORBIDDEN, word("forbidden")),
        Error::StaleVersion { .. } => (StatusCode::PRECONDITION_FAILED, word("stale_version")),
        Error::Invalid(faults) => {
            (StatusCode::UNPROCESSABLE_ENTITY, faults.iter().map(|fault| fault.wording.text(locale)).collect::<Vec<_>>().join(" · "))
        }
        Error::Duplicates(found) => (StatusCode::CONFLICT, found.iter().map(|one| one.wording.text(locale)).collect::<Vec<_>>().join(" · ")),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, word("internal")),
    }
}
