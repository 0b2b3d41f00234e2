//! In charge of the administrator's pages for people: found, added, changed, switched off, given a link for a password.
//! Invariant: for administrators alone; departments have the pages of all records.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use engine::auth::NewUser;
use engine::records::{ListRequest, Shape, Total};
use engine::{Ctx, Error};
use indexmap::IndexMap;
use model::Input;
use serde::Serialize;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::cell::cell;
use super::control::{Control, Refused, controls};
use super::env;
use super::picker;
use super::query::with;
use super::shell::{Missed, Shell, label, missed, shell, told};
use super::toast;
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// The fields of a person that are entered here; roles stand beside them.
const FIELDS: [&str; 6] = ["name", "email", "department", "manager", "job_title", "phone"];

#[derive(Serialize)]
struct PeoplePage {
    shell: Shell,
    q: String,
    total: u64,
    people: Vec<PersonLine>,
    next: Option<String>,
    first: Option<String>,
}

#[derive(Serialize)]
struct PersonLine {
    href: String,
    name: String,
    email: String,
    department: String,
    roles: String,
    active: bool,
}

#[derive(Serialize)]
struct PersonPage {
    shell: Shell,
    /// The person, where they are there already.
    id: Option<String>,
    action: String,
    version: i64,
    active: bool,
    is_self: bool,
    controls: Vec<Control>,
    roles: Vec<RoleGroup>,
    /// The link by which they set a password, just made.
    link: Option<String>,
    error: Option<String>,
}

#[derive(Serialize)]
struct RoleGroup {
    app: String,
    roles: Vec<RoleBox>,
}

#[derive(Serialize)]
struct RoleBox {
    name: String,
    label: String,
    help: String,
    chosen: bool,
}

fn administrator(page: &Page) -> Result<(), Missed> {
    if page.cx.caller.is_admin() { Ok(()) } else { Err(missed(page)(Error::Forbidden)) }
}

/// What a role is called.
fn role_label(cx: &Ctx, qualified: &str) -> String {
    let found = qualified.split_once('.').and_then(|(app, role)| cx.app.schema.apps.get(app)?.roles.get(role));
    found.map_or_else(|| qualified.to_owned(), |role| label(role.label.as_ref(), qualified, &cx.locale))
}

/// All roles that can be given, by app.
fn roles(cx: &Ctx, chosen: &BTreeSet<String>) -> Vec<RoleGroup> {
    let given = |name: &str| !matches!(name, "core.everyone" | "core.collaborator");
    cx.app
        .schema
        .apps
        .iter()
        .map(|(app_name, app)| RoleGroup {
            app: label(app.app.label.as_ref(), app_name.as_str(), &cx.locale),
            roles: app
                .roles
                .iter()
                .map(|(name, role)| (format!("{app_name}.{name}"), role))
                .filter(|(name, _)| given(name))
                .map(|(name, role)| RoleBox {
                    label: label(role.label.as_ref(), &name, &cx.locale),
                    help: role.help.as_ref().map(|help| help.get(&cx.locale).to_owned()).unwrap_or_default(),
                    chosen: chosen.contains(&name),
                    name,
                })
                .collect(),
        })
        .filter(|group| !group.roles.is_empty())
        .collect()
}

/// The people of the workspace.
pub(super) async fn show(State(state): State<RuntimeState>, page: Page, query: Query) -> Result<Response, Missed> {
    administrator(&page)?;
    let cx = &page.cx;
    let def = state.engine().entity(cx, "core.user").map_err(missed(&page))?;
    let fields = ["name", "email", "department", "roles", "active"];
    let request = ListRequest {
        sort: Some("name".to_owned()),
        after: query.filled("after").map(str::to_owned),
        q: query.filled("q").map(str::to_owned),
        total: Total::Exact,
        filter: query.filled("active").map(|active| json!({"field": "active", "op": "=", "value": active == "true"})),
        shape: Shape { fields: Some(fields.map(str::to_owned).to_vec()), titles: true, ..Shape::default() },
        ..ListRequest::of(def.id)
    };
    let found = state.engine().list(cx, request).await.map_err(missed(&page))?;
    let people = found
        .rows
        .iter()
        .zip(&found.titles)
        .map(|(row, (id, title))| {
            let row: Json = serde_json::from_slice(row).unwrap_or_default();
            let names = row["roles"].as_array().into_iter().flatten().filter_map(Json::as_str);
            PersonLine {
                href: format!("/admin/users/{id}"),
                name: title.clone(),
                email: row["email"].as_str().unwrap_or_default().to_owned(),
                department: cell(cx, def, "department", &row).text,
                roles: names.map(|name| role_label(cx, name)).collect::<Vec<_>>().join(", "),
                active: row["active"].as_bool().unwrap_or(true),
            }
        })
        .collect();
    let context = PeoplePage {
        shell: toast::told(shell(&page, env::text(&cx.locale, "people"), "/admin/users"), None, &query),
        q: query.get("q").unwrap_or_default().to_owned(),
        total: found.total.unwrap_or_default(),
        people,
        next: found.next.as_deref().map(|next| with("/admin/users", &query, "after", Some(next))),
        first: query.filled("after").map(|_| with("/admin/users", &query, "after", None)),
    };
    Ok(env::page(StatusCode::OK, "people.html", &context))
}

/// What stands on a person's page beside the record itself.
#[derive(Default)]
struct Beside<'a> {
    link: Option<String>,
    refused: Refused<'a>,
    roles: Option<BTreeSet<String>>,
    error: Option<&'a Error>,
    said: Query,
}

async fn render(state: &RuntimeState, page: &Page, id: Option<Uuid>, beside: Beside<'_>) -> Result<Response, Missed> {
    let cx = &page.cx;
    let def = state.engine().entity(cx, "core.user").map_err(missed(page))?;
    let controls = controls(state, page, def, id, &FIELDS.map(str::to_owned), &beside.refused).await?;
    let (mut title, mut version, mut active, mut chosen) = (env::text(&cx.locale, "new_person"), 0, true, BTreeSet::new());
    if let Some(id) = id {
        let shape = Shape { fields: Some(vec!["roles".to_owned(), "active".to_owned()]), ..Shape::default() };
        let found = state.engine().get(cx, def.id, id, &shape).await.map_err(missed(page))?;
        let row: Json = serde_json::from_slice(&found.json).unwrap_or_default();
        (title, version, active) = (found.title, found.version, row["active"].as_bool().unwrap_or(true));
        chosen = row["roles"].as_array().into_iter().flatten().filter_map(|role| role.as_str().map(str::to_owned)).collect();
    }
    let (status, error) = beside.error.map_or((StatusCode::OK, None), |error| {
        let (status, text) = told(error, &cx.locale);
        (status, Some(text))
    });
    let context = PersonPage {
        shell: toast::told(shell(page, title, "/admin/users"), None, &beside.said),
        action: id.map_or_else(|| "/admin/users/new".to_owned(), |id| format!("/admin/users/{id}")),
        is_self: id == cx.caller.user(),
        id: id.map(|id| id.to_string()),
        version,
        active,
        controls,
        roles: roles(cx, beside.roles.as_ref().unwrap_or(&chosen)),
        link: beside.link,
        error,
    };
    Ok(env::page(status, "person.html", &context))
}

/// The form of a new person.
pub(super) async fn show_new(State(state): State<RuntimeState>, page: Page) -> Result<Response, Missed> {
    administrator(&page)?;
    render(&state, &page, None, Beside::default()).await
}

/// A person.
pub(super) async fn show_one(State(state): State<RuntimeState>, page: Page, Path(id): Path<Uuid>, query: Query) -> Result<Response, Missed> {
    administrator(&page)?;
    render(&state, &page, Some(id), Beside { said: query, ..Beside::default() }).await
}

/// What a form says of a person: the values, and the roles among them.
async fn read(state: &RuntimeState, page: &Page, id: Option<Uuid>, form: &PageForm) -> Result<(picker::Typed, BTreeSet<String>), Missed> {
    let def = state.engine().entity(&page.cx, "core.user").map_err(missed(page))?;
    let mut typed = picker::typed(state, page, def, id, &form.fields).await?;
    typed.values.retain(|name, _| FIELDS.contains(&name.as_str()));
    let roles = form.fields.pairs().filter_map(|(key, _)| key.strip_prefix("role:")).map(str::to_owned).collect();
    Ok((typed, roles))
}

fn with_roles(values: &IndexMap<String, Input>, roles: &BTreeSet<String>) -> IndexMap<String, Input> {
    let mut all = values.clone();
    all.insert("roles".to_owned(), Input::List(roles.iter().cloned().map(Input::Text).collect()));
    all
}

/// Adds a person; the answer holds the link by which they set their password.
pub(super) async fn add(State(state): State<RuntimeState>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    administrator(page)?;
    let (typed, roles) = read(&state, page, None, &form).await?;
    let picker::Typed { mut values, offers, faults } = typed;
    values.retain(|_, value| *value != Input::Null);
    let done = if faults.is_empty() {
        state.auth().create_user(&page.cx, NewUser { more: with_roles(&values, &roles), ..NewUser::default() }).await
    } else {
        Err(Error::Invalid(faults))
    };
    match done {
        Ok(user) => {
            let link = link(&state, page, user).await?;
            render(&state, page, Some(user), Beside { link: Some(link), ..Beside::default() }).await
        }
        Err(error) => refused(&state, page, None, error, values, offers, roles).await,
    }
}

/// Changes a person.
pub(super) async fn change(State(state): State<RuntimeState>, Path(id): Path<Uuid>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    administrator(page)?;
    let (typed, roles) = read(&state, page, Some(id), &form).await?;
    let picker::Typed { values, offers, faults } = typed;
    let version = form.fields.filled("_version").and_then(|text| text.parse().ok());
    let done = if faults.is_empty() {
        state.auth().update_user(&page.cx, id, version, with_roles(&values, &roles)).await
    } else {
        Err(Error::Invalid(faults))
    };
    match done {
        Ok(()) => Ok(Redirect::to(&format!("/admin/users/{id}?done=saved")).into_response()),
        Err(error) => refused(&state, page, Some(id), error, values, offers, roles).await,
    }
}

async fn refused(
    state: &RuntimeState,
    page: &Page,
    id: Option<Uuid>,
    error: Error,
    values: IndexMap<String, Input>,
    offers: picker::Offers,
    roles: BTreeSet<String>,
) -> Result<Response, Missed> {
    let faults = match &error {
        Error::Invalid(faults) => faults.as_slice(),
        Error::StaleVersion { .. } => &[],
        _ => return Err(missed(page)(error)),
    };
    let refused = Refused { sent: values, faults, offers };
    render(state, page, id, Beside { refused, roles: Some(roles), error: Some(&error), ..Beside::default() }).await
}

/// Switches a person off or on again.
pub(super) async fn switch(State(state): State<RuntimeState>, Path(id): Path<Uuid>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    administrator(page)?;
    let active = form.fields.get("active") == Some("true");
    match state.auth().set_active(&page.cx, id, active).await {
        Ok(()) => Ok(Redirect::to(&format!("/admin/users/{id}?done={}", if active { "enabled" } else { "disabled" })).into_response()),
        Err(error @ Error::Invalid(_)) => render(&state, page, Some(id), Beside { error: Some(&error), ..Beside::default() }).await,
        Err(error) => Err(missed(page)(error)),
    }
}

async fn link(state: &RuntimeState, page: &Page, user: Uuid) -> Result<String, Missed> {
    let secret = state.auth().reset_password(user).await.map_err(missed(page))?;
    Ok(format!("{}/reset/{secret}", state.settings().base_url.clone().unwrap_or_default()))
}

/// Ends a person's sessions and makes a link by which they set a new password.
pub(super) async fn reset(State(state): State<RuntimeState>, Path(id): Path<Uuid>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    administrator(page)?;
    let link = link(&state, page, id).await?;
    render(&state, page, Some(id), Beside { link: Some(link), ..Beside::default() }).await
}

/// Ends all sessions of a person.
pub(super) async fn end_sessions(State(state): State<RuntimeState>, Path(id): Path<Uuid>, form: PageForm) -> Result<Response, Missed> {
    let page = &form.page;
    administrator(page)?;
    state.auth().end_all(id, None).await.map_err(missed(page))?;
    Ok(Redirect::to(&format!("/admin/users/{id}?done=saved")).into_response())
}
