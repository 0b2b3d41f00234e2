//! In charge of files for people: what a list finds as a sheet, and a sheet that becomes records.
//! Invariant: an import is tried first; nothing is kept of it before somebody has seen what would become of it.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use engine::exports::{ExportFormat, ExportRequest};
use engine::files::MAX_IMPORT;
use engine::imports::{ImportRequest, ImportSpec};
use engine::{Ctx, Error};
use model::EntityDef;
use serde::Serialize;

use super::control::{kind_of, label_of};
use super::shell::{Missed, Shell, missed, shell, told};
use super::{env, jobs, many};
use crate::api::files::{broken, take};
use crate::http::caller::{Page, Turned};
use crate::http::form::{PageForm, PageUpload};
use crate::state::RuntimeState;

/// Begins to write what a list finds, as it shows it.
pub(super) async fn export(State(state): State<RuntimeState>, Path(entity): Path<String>, form: PageForm) -> Result<Response, Missed> {
    let (page, fields) = (&form.page, &form.fields);
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    let format = match fields.get("format") {
        Some("csv") => ExportFormat::Csv,
        Some("xlsx") => ExportFormat::Xlsx,
        _ => return Err(missed(page)(Error::NotFound)),
    };
    let request = ExportRequest {
        entity: def.name.to_string(),
        filter: fields.filled("filter").and_then(|text| serde_json::from_str(text).ok()),
        fields: fields.names("fields"),
        sort: fields.filled("sort").map(str::to_owned),
        q: fields.filled("q").map(str::to_owned),
        format,
        labels: true,
        bom: true,
    };
    let job = state.engine().export(&page.cx, request).await.map_err(missed(page))?;
    Ok(jobs::follow(job.id, many::back(fields)))
}

#[derive(Serialize)]
struct ImportPage {
    shell: Shell,
    entity: String,
    /// Ways of reading a file that apps bring: name and what people call it.
    documents: Vec<(String, String)>,
    /// The fields that a column may be named after.
    columns: Vec<(String, String)>,
    error: Option<String>,
}

/// Shows how a file becomes records.
pub(super) async fn show(State(state): State<RuntimeState>, page: Page, Path(entity): Path<String>) -> Result<Response, Missed> {
    render(&state, &page, &entity, None)
}

fn render(state: &RuntimeState, page: &Page, entity: &str, failed: Option<&Error>) -> Result<Response, Missed> {
    let cx = &page.cx;
    let def = state.engine().entity(cx, entity).map_err(missed(page))?;
    if !many::Offered::of(cx, def).may_import() {
        return Err(missed(page)(Error::Forbidden));
    }
    let (status, error) = failed.map_or((StatusCode::OK, None), |error| {
        let (status, text) = told(error, &cx.locale);
        (status, Some(text))
    });
    let grant = cx.grants.entity(def.id);
    let writable = |field: &&model::FieldDef| (!field.system || field.name.as_str() == "owner") && !field.computed() && grant.may_change(field.id);
    let context = ImportPage {
        shell: shell(page, env::text(&cx.locale, "import_what").replace("{what}", def.plural(&cx.locale)), &format!("/r/{}", def.name)),
        entity: def.name.to_string(),
        documents: documents(cx, def),
        columns: def
            .fields
            .iter()
            .filter(writable)
            .filter(|field| kind_of(field).is_some_and(|kind| kind != "shown"))
            .map(|field| (label_of(cx, field), field.name.to_string()))
            .collect(),
        error,
    };
    Ok(env::page(status, "import.html", &context))
}

/// The documents of all apps that read a file of one part into records of an entity.
fn documents(cx: &Ctx, def: &EntityDef) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (app, compiled) in &cx.app.schema.apps {
        for (name, document) in &compiled.imports {
            let is_of = |entity: &str| cx.app.schema.find_from(app.as_str(), entity).is_some_and(|far| far.id == def.id);
            if document.parts.is_empty() && is_of(&document.entity) {
                let full = format!("{app}.{name}");
                found.push((full.clone(), super::shell::label(document.label.as_ref(), &full, &cx.locale)));
            }
        }
    }
    found
}

/// Takes a file in and tries what would become of it.
pub(super) async fn import(State(state): State<RuntimeState>, Path(entity): Path<String>, mut form: PageUpload) -> Result<Response, Missed> {
    let page = form.page.clone();
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(&page))?;
    let (mut files, mut spec) = (Vec::new(), ImportSpec::None);
    while let Some(part) = form.parts.next_field().await.map_err(|error| Turned::Down(broken(error)))? {
        match part.name() {
            Some("file") if part.file_name().is_some_and(|name| !name.is_empty()) => {
                files.push(take(&state, &page.cx, part, MAX_IMPORT).await.map_err(Turned::Down)?.id);
            }
            Some("spec") => {
                let text = part.text().await.map_err(|error| Turned::Down(broken(error)))?;
                spec = ImportSpec::parse(&text).map_err(missed(&page))?;
            }
            _ => {}
        }
    }
    if files.is_empty() {
        return Ok(Redirect::to(&format!("/r/{}/import", def.name)).into_response());
    }
    let request = ImportRequest { spec, files, dry_run: true, entity: Some(def.name.to_string()) };
    match state.engine().import(&page.cx, request).await {
        Ok(job) => Ok(jobs::follow(job.id, &format!("/r/{}", def.name))),
        Err(error @ Error::Invalid(_)) => render(&state, &page, &entity, Some(&error)),
        Err(error) => Err(missed(&page)(error)),
    }
}
