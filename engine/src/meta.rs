//! In charge of what a caller may know of the workspace: apps, entities, fields, pipelines, views.
//! Invariant: names only what the caller may see; what is hidden is not there.

use model::Label;
use model::field::Role;
use rules::policy::{Access, Create};
use serde_json::{Map, Value as Json, json};
use store::Tx;

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::{ListRequest, Shape};

fn label(label: Option<&Label>, name: &str, locale: &str) -> String {
    label.map_or_else(|| name.to_owned(), |label| label.get(locale).to_owned())
}

impl Engine {
    /// The apps, entities, fields, pipelines and views that the caller may see.
    #[must_use]
    pub fn meta(&self, cx: &Ctx) -> Json {
        let apps: Vec<Json> = cx
            .app
            .schema
            .apps
            .iter()
            .map(|(name, app)| json!({"name": name, "label": label(app.app.label.as_ref(), name.as_str(), &cx.locale), "version": app.app.version, "icon": app.app.icon}))
            .collect();
        let entities: Vec<Json> = cx.app.schema.entities.iter().filter(|def| cx.grants.sees(def.id)).map(|def| entity(cx, def)).collect();
        json!({"apps": apps, "entities": entities, "views": views(cx), "revision": cx.app.revision})
    }

    /// Finds records of all entities by words, those of each entity by its own order.
    ///
    /// # Errors
    /// Where the store could not.
    pub async fn search(&self, cx: &Ctx, words: &str, limit: u32) -> Result<Json, Error> {
        let (cx, key, words) = (cx.clone(), self.key().clone(), words.to_owned());
        let limit = limit.clamp(1, 50);
        self.store()
            .read(move |tx: &Tx| {
                let mut data = Vec::new();
                for def in cx.app.schema.entities.iter().filter(|def| cx.grants.sees(def.id) && !cx.app.plan(def.id).search.is_empty()) {
                    let shape = Shape { fields: Some(Vec::new()), ..Shape::default() };
                    let request = ListRequest { q: Some(words.clone()), limit: Some(limit), shape, ..ListRequest::of(def.id) };
                    let found = crate::records::list_in(&cx, tx, &key, &request)?;
                    data.extend(found.titles.into_iter().map(|(id, title)| {
                        json!({"entity": def.name.as_str(), "id": id, "title": title, "subtitle": def.label(&cx.locale), "icon": def.doc.icon})
                    }));
                }
                // What begins with the words stands before what only holds them.
                let folded = model::text::fold(words.trim());
                data.sort_by_key(|hit| !model::text::fold(hit.get("title").and_then(Json::as_str).unwrap_or_default()).starts_with(&folded));
                data.truncate(limit as usize);
                Ok(json!({"data": data}))
            })
            .await
    }
}

fn entity(cx: &Ctx, def: &model::EntityDef) -> Json {
    let grant = cx.grants.entity(def.id);
    let fields: Map<String, Json> = def
        .fields
        .iter()
        .filter(|field| cx.grants.field(def, field.name.as_str()).is_some())
        .map(|field| (field.name.to_string(), field_json(cx, def, field)))
        .collect();
    json!({
        "name": def.name.as_str(),
        "label": def.label(&cx.locale),
        "plural": def.plural(&cx.locale),
        "icon": def.doc.icon,
        "create": !matches!(grant.create, Create::No),
        "export": grant.export,
        "fields": fields,
        "relations": def.inverses.iter().filter(|(_, inverse)| cx.grants.sees(inverse.entity)).map(|(name, inverse)| {
            json!({"name": name, "entity": cx.app.schema.entity(inverse.entity).name.as_str()})
        }).collect::<Vec<_>>(),
        "pipelines": pipelines(cx, def),
        "pools": crate::pools::told(cx, def.id),
        "prints": crate::prints::of_entity(cx, def.id).iter().map(crate::prints::OfferedPrint::to_json).collect::<Vec<_>>(),
        "conversions": crate::conversions::of_entity(cx, def.id).iter().map(crate::conversions::Offered::to_json).collect::<Vec<_>>(),
    })
}

fn field_json(cx: &Ctx, def: &model::EntityDef, field: &model::FieldDef) -> Json {
    let access = match cx.grants.entity(def.id).access(field.id) {
        Access::Hidden => "none",
        Access::Masked => "masked",
        Access::Read => "read",
        Access::Write => "write",
        Access::Scoped { .. } => "scoped",
    };
    let options = match &field.role {
        Role::Choice { options, .. } => Some(
            options
                .iter()
                .map(|(name, option)| json!({"name": name, "label": label(option.label.as_ref(), name.as_str(), &cx.locale), "color": option.color, "retired": option.retired}))
                .collect::<Vec<_>>(),
        ),
        _ => None,
    };
    json!({
        "kind": field.doc.kind,
        "label": field.doc.label(field.name.as_str(), &cx.locale),
        "required": field.doc.common.required,
        "computed": field.computed(),
        "system": field.system,
        "access": access,
        "to": field.targets.iter().map(|target| cx.app.schema.entity(*target).name.as_str()).collect::<Vec<_>>(),
        "options": options,
        "operators": field.typed.as_ref().map(|typed| typed.operators().iter().map(|op| op.as_str()).collect::<Vec<_>>()).unwrap_or_default(),
    })
}

fn pipelines(cx: &Ctx, def: &model::EntityDef) -> Vec<Json> {
    let mut found = Vec::new();
    for stages in &cx.app.plan(def.id).stages {
        if cx.grants.field(def, def.field(stages.field).name.as_str()).is_none() {
            continue;
        }
        for (name, pipeline) in &stages.pipelines {
            let list: Vec<Json> = pipeline
                .doc
                .stage_names()
                .into_iter()
                .map(|stage| {
                    let doc = &pipeline.doc.stages[stage];
                    json!({"name": stage, "label": label(doc.label.as_ref(), stage.as_str(), &cx.locale), "kind": doc.kind.as_str(), "color": doc.color, "probability": doc.probability, "retired": doc.retired})
                })
                .collect();
            found.push(json!({"name": name, "field": def.field(stages.field).name, "stages": list}));
        }
    }
    found
}

fn views(cx: &Ctx) -> Vec<Json> {
    let mut found = Vec::new();
    for (app_name, app) in &cx.app.schema.apps {
        for (name, view) in &app.views {
            let Some(def) = cx.app.schema.find_from(app_name.as_str(), &view.entity).filter(|def| cx.grants.sees(def.id)) else { continue };
            if cx.has_role(app_name.as_str(), &view.roles) {
                found.push(json!({
                    "app": app_name,
                    "name": name,
                    "label": label(view.label.as_ref(), name.as_str(), &cx.locale),
                    "entity": def.name.as_str(),
                    "kind": view.kind,
                }));
            }
        }
    }
    found
}
