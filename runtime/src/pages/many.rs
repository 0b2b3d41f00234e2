//! In charge of deeds over many records of a list: changing or deleting those that are ticked, or all that the list finds.
//! Reading order: `Offered` (what a list offers), `ask` (what is to be done, to how many), `begin`.
//! Invariant: the job decides record by record with the person's own rights; a page only says how many are meant.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use engine::change_sets::{BulkRequest, Deed};
use engine::{Ctx, Error};
use model::field::Role;
use model::{Code, EntityDef, Input, Message};
use rules::policy::Create;
use rules::query::Predicate;
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::control::{Control, Refused, controls};
use super::env;
use super::jobs;
use super::picker::{self, Typed};
use super::press::TICKED;
use super::shell::{Missed, Shell, missed, shell, told};
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// The most records that are ticked: a page holds no more.
const MOST: usize = 1_000;

/// What a list offers over many of its records.
#[derive(Default, Serialize)]
pub(super) struct Offered {
    change: bool,
    delete: bool,
    merge: bool,
    export: bool,
    import: bool,
}

impl Offered {
    /// What somebody may do with many records of an entity.
    pub(super) fn of(cx: &Ctx, def: &EntityDef) -> Self {
        let grant = cx.grants.entity(def.id);
        let may = |predicate: &Predicate| *predicate != Predicate::False;
        let change = may(&grant.update) && !names(cx, def).is_empty();
        // A person is more than a record, and a line is a part of one.
        let whole = !matches!(def.name.as_str(), "core.user" | "core.department") && def.line_of.is_none();
        let delete = may(&grant.delete) && whole;
        Self {
            change,
            delete,
            merge: change && delete,
            export: cx.grants.is_all() || grant.export,
            import: !matches!(grant.create, Create::No) && whole,
        }
    }

    pub(super) fn may_merge(&self) -> bool {
        self.merge
    }

    pub(super) fn may_import(&self) -> bool {
        self.import
    }

    /// Whether records are worth ticking.
    pub(super) fn ticks(&self) -> bool {
        self.change || self.delete
    }
}

/// The fields that may be changed in many records at once. A stage is moved, and a file is of one record.
fn names(cx: &Ctx, def: &EntityDef) -> Vec<String> {
    let grant = cx.grants.entity(def.id);
    let fits = |field: &&model::FieldDef| {
        (!field.system || field.name.as_str() == "owner")
            && !field.computed()
            && !field.doc.common.read_only
            && !matches!(field.role, Role::Stage { .. } | Role::Files { .. } | Role::Lines { .. })
            && grant.may_change(field.id)
            && cx.grants.field(def, field.name.as_str()).is_some()
            && super::control::kind_of(field).is_some_and(|kind| kind != "shown")
    };
    def.fields.iter().filter(fits).map(|field| field.name.to_string()).collect()
}

/// The ids that a list's form ticked.
pub(super) fn ticked(fields: &Query) -> Vec<Uuid> {
    fields.pairs().filter_map(|(name, _)| Uuid::try_parse(name.strip_prefix(TICKED)?).ok()).take(MOST).collect()
}

/// Where a list stood: an address of our own alone.
pub(super) fn back(fields: &Query) -> &str {
    fields.filled("back").filter(|back| back.starts_with('/') && !back.starts_with("//")).unwrap_or("/")
}

#[derive(Serialize)]
struct ManyPage {
    shell: Shell,
    action: String,
    back: String,
    deletes: bool,
    ids: Vec<String>,
    /// The filter of the list, where all that it finds may be meant.
    filter: Option<String>,
    total: String,
    all: bool,
    controls: Vec<Control>,
    error: Option<String>,
}

/// Shows what is to be done with many records, and to how many.
pub(super) async fn ask(State(state): State<RuntimeState>, Path((entity, deed)): Path<(String, String)>, form: PageForm) -> Result<Response, Missed> {
    render(&state, &form.page, &entity, &deed, &form.fields, Typed::default(), None).await
}

async fn render(
    state: &RuntimeState,
    page: &Page,
    entity: &str,
    deed: &str,
    fields: &Query,
    typed: Typed,
    failed: Option<&Error>,
) -> Result<Response, Missed> {
    let cx = &page.cx;
    let def = state.engine().entity(cx, entity).map_err(missed(page))?;
    let offered = Offered::of(cx, def);
    let deletes = match deed {
        "change" if offered.change => false,
        "delete" if offered.delete => true,
        _ => return Err(missed(page)(Error::NotFound)),
    };
    let ids = ticked(fields);
    if ids.is_empty() {
        return Ok(Redirect::to(back(fields)).into_response());
    }
    let faults = match failed {
        Some(Error::Invalid(faults)) => faults.as_slice(),
        _ => &[],
    };
    let mut inputs = Vec::new();
    if !deletes {
        let sent: Vec<String> = typed.values.keys().cloned().collect();
        let refused = Refused { sent: typed.values, faults, offers: typed.offers };
        inputs = controls(state, page, def, None, &names(cx, def), &refused).await?;
        inputs.retain(|control| control.kind != "shown");
        for control in &mut inputs {
            // What a new record would begin with is no change that somebody asked for.
            if !sent.contains(&control.name) && control.error.is_none() {
                (control.value, control.text, control.chosen) = (String::new(), String::new(), Vec::new());
            }
            (control.required, control.visible) = (false, true);
        }
    }
    let (status, error) = failed.map_or((StatusCode::OK, None), |error| {
        let (status, text) = told(error, &cx.locale);
        (status, Some(text))
    });
    let title = env::text(&cx.locale, if deletes { "delete_many" } else { "change_many" }).replace("{what}", def.plural(&cx.locale));
    let context = ManyPage {
        shell: shell(page, title, &format!("/r/{}", def.name)),
        action: format!("/r/{}/many/{deed}/begin", def.name),
        back: back(fields).to_owned(),
        deletes,
        ids: ids.iter().map(Uuid::to_string).collect(),
        filter: fields.filled("filter").map(str::to_owned),
        total: fields.get("total").unwrap_or_default().to_owned(),
        all: fields.get("all") == Some("true"),
        controls: inputs,
        error,
    };
    Ok(env::page(status, "many.html", &context))
}

/// Begins what was asked for; it goes on behind the page.
pub(super) async fn begin(
    State(state): State<RuntimeState>,
    Path((entity, deed)): Path<(String, String)>,
    form: PageForm,
) -> Result<Response, Missed> {
    let (page, fields) = (&form.page, &form.fields);
    let def = state.engine().entity(&page.cx, &entity).map_err(missed(page))?;
    let mut typed = Typed::default();
    let deed_of = match deed.as_str() {
        "delete" => Deed::Delete,
        "change" => {
            typed = picker::typed(&state, page, def, None, fields).await?;
            typed.values.retain(|_, value| *value != Input::Null);
            if typed.faults.is_empty() && typed.values.is_empty() {
                let nothing = Error::of(Code::Malformed, Message::new("bulk_what"));
                return render(&state, page, &entity, &deed, fields, typed, Some(&nothing)).await;
            }
            Deed::Set(typed.values.clone())
        }
        _ => return Err(missed(page)(Error::NotFound)),
    };
    if !typed.faults.is_empty() {
        let faults = Error::Invalid(std::mem::take(&mut typed.faults));
        return render(&state, page, &entity, &deed, fields, typed, Some(&faults)).await;
    }
    let filter = fields.filled("filter").filter(|_| fields.get("all") == Some("true")).and_then(|text| serde_json::from_str::<Json>(text).ok());
    let ids = filter.is_none().then(|| ticked(fields));
    let request = BulkRequest { filter, ids, deed: deed_of, dry_run: false };
    match state.engine().bulk(&page.cx, def.id, request).await {
        Ok(job) => Ok(jobs::follow(job.id, back(fields))),
        Err(error @ Error::Invalid(_)) => render(&state, page, &entity, &deed, fields, typed, Some(&error)).await,
        Err(error) => Err(missed(page)(error)),
    }
}
