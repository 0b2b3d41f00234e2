//! In charge of the API's description in OpenAPI 3.1, from the published revision, for the caller's own rights.
//! Invariant: it names only what `meta` names: what is hidden from the caller is not there.

use model::schema::ColumnDef;
use model::{EntityDef, FieldDef, Storage};
use rules::policy::{Access, Create};
use serde_json::{Map, Value as Json, json};

use crate::Engine;
use crate::ctx::Ctx;

/// The calls that every workspace has: method, path, what it does.
const CALLS: &[(&str, &str, &str)] = &[
    ("post", "/auth/login", "Sign in: {\"email\", \"password\"}"),
    ("post", "/auth/logout", "Sign out"),
    ("post", "/auth/password", "Change one's password: {\"current\", \"new\"}"),
    ("get", "/me", "Who I am"),
    ("get", "/me/sessions", "My sessions"),
    ("get", "/me/tokens", "My API tokens"),
    ("post", "/me/tokens", "Make an API token: {\"name\", \"scopes\", \"expires_at\"}"),
    ("get", "/me/preferences", "My preferences"),
    ("patch", "/me/preferences", "Change my preferences (merge patch)"),
    ("get", "/meta", "The apps, entities, fields, pipelines and views that I may see"),
    ("get", "/search", "Find records by words: q, limit"),
    ("get", "/changes", "The change feed: after, limit"),
    ("get", "/events", "The change feed as server-sent events, resumable with Last-Event-ID"),
    ("get", "/recycle-bin", "Deleted records of an entity"),
    ("get", "/saved-views", "My saved views"),
    ("post", "/saved-views", "Save a view: {\"entity\", \"label\", \"body\"}"),
    ("post", "/files", "Upload a file (multipart)"),
    ("get", "/files/{id}", "Download a file"),
    ("post", "/imports", "Begin an import (multipart: file, spec)"),
    ("get", "/imports/{id}", "How an import goes"),
    ("get", "/imports/{id}/errors", "The rows that failed, with reasons"),
    ("post", "/exports", "Begin an export: {\"entity\", \"filter\", \"fields\", \"format\"}"),
    ("get", "/exports/{id}", "How an export goes"),
    ("get", "/exports/{id}/file", "The exported file"),
    ("get", "/admin/users", "All people"),
    ("post", "/admin/users", "Add a person"),
    ("get", "/admin/departments", "All departments"),
    ("get", "/admin/settings", "Settings of apps"),
    ("get", "/admin/jobs", "Jobs"),
    ("get", "/admin/secrets/{app}", "The names of an app's secrets"),
    ("patch", "/admin/secrets/{app}", "Set secrets of an app; null removes one"),
    ("get", "/automations", "All automations, with how many of their runs wait, failed or are dead"),
    ("post", "/automations/{automation}/switch", "Switch an automation on or off: {\"on\", \"cancel_waiting\"}"),
    ("get", "/automations/runs", "Runs of automations, newest first: automation, state, record, before, limit"),
    ("get", "/automations/runs/{id}", "One run with what each step did"),
    ("post", "/automations/runs/{id}/retry", "Let a run go on from the step that failed"),
    ("post", "/automations/runs/{id}/cancel", "Give a run up"),
    ("get", "/automations/{automation}/hook", "Where another system calls an automation"),
    ("get", "/design/apps", "Installed apps"),
    ("post", "/design/apps", "Install an app (ZIP) or a new version of one"),
    ("get", "/design/apps/{app}/export", "An app as a ZIP file"),
    ("get", "/design/revisions", "Published revisions, newest first"),
    ("post", "/design/revisions/{number}/rollback", "Make a former revision current again"),
    ("post", "/approvals", "Begin an approval, or send back what was returned: {\"flow\", \"record\", \"values\", \"select\", \"opinion\"}"),
    ("get", "/approvals/tasks", "A box of mine: box=todo|done|mine|copied, flow, step, record, initiator, since, q, state, unread, limit, after"),
    ("get", "/approvals/flows", "The flows over what I see, with their steps"),
    ("post", "/approvals/bulk", "Approve many tasks, each for itself: {\"tasks\", \"opinion\"}"),
    ("post", "/approvals/forecast", "Who would decide in which order: {\"flow\", \"record\"}"),
    ("get", "/approvals/{id}", "An approval: record, tasks with what I may do, people, path, timeline"),
    ("post", "/approvals/tasks/{id}/approve", "Approve: {\"opinion\", \"values\", \"signature\", \"select\"}"),
    ("post", "/approvals/tasks/{id}/reject", "Reject: {\"opinion\", \"values\"}"),
    ("post", "/approvals/tasks/{id}/return", "Return: {\"to\": initiator, previous or a step, \"resubmit\": straight or replay, \"opinion\"}"),
    ("post", "/approvals/tasks/{id}/transfer", "Hand a task on: {\"to\", \"opinion\"}"),
    ("post", "/approvals/tasks/{id}/delegate", "Ask an opinion: {\"to\", \"opinion\"}"),
    ("post", "/approvals/tasks/{id}/opinion", "Give an opinion: {\"opinion\"}"),
    ("post", "/approvals/tasks/{id}/recall", "Take a question for an opinion back"),
    ("post", "/approvals/tasks/{id}/add_sign", "Have others decide, too: {\"where\": before, after or parallel, \"users\", \"mode\"}"),
    ("post", "/approvals/tasks/{id}/remove_sign", "Take away somebody who was added: {\"user\"}"),
    ("post", "/approvals/tasks/{id}/take_back", "Take my decision back"),
    ("post", "/approvals/tasks/{id}/claim", "Take a task of a pool"),
    ("post", "/approvals/tasks/{id}/release", "Give a claimed task back"),
    ("post", "/approvals/{id}/withdraw", "Take the request back: {\"opinion\"}"),
    ("post", "/approvals/{id}/revoke", "Ask that an approval does not count any more: {\"opinion\"}"),
    ("post", "/approvals/{id}/urge", "Remind those who have to decide"),
    ("post", "/approvals/{id}/comment", "Write: {\"opinion\", \"mentions\", \"files\"}"),
    ("post", "/approvals/{id}/copy", "Give copies: {\"people\"}"),
    ("post", "/approvals/{id}/take_back", "Take my last decision back"),
    ("post", "/approvals/{id}/admin/jump", "Move to a step: {\"to\", \"opinion\"}"),
    ("post", "/approvals/{id}/admin/replace", "Put somebody in another's place: {\"user\", \"by\", \"opinion\"}"),
    ("post", "/approvals/{id}/admin/end", "End it: {\"result\": approved, rejected or ended, \"opinion\"}"),
    ("post", "/approvals/{id}/admin/unlock", "Let the record be changed: {\"opinion\"}"),
    ("post", "/approvals/{id}/admin/suspend", "Let it rest: {\"opinion\"}"),
    ("post", "/approvals/{id}/admin/resume", "Let it go on: {\"opinion\"}"),
    ("get", "/change-sets", "Bulk edits, imports, merges and undoings that can be taken back"),
    ("post", "/change-sets/{id}/undo", "Take a change set back; what people changed since stays"),
    ("get", "/jobs/{id}", "A job of mine"),
    ("get", "/records/{entity}/{id}/members", "People who may see or change this record beside its owner"),
    ("post", "/records/{entity}/{id}/members", "Share it: {\"user\", \"right\": read or write}"),
    ("delete", "/records/{entity}/{id}/members/{user}", "End a membership"),
    ("get", "/records/{entity}/{id}/followers", "Who follows this record: after"),
    ("put", "/records/{entity}/{id}/followers/me", "Follow this record"),
    ("delete", "/records/{entity}/{id}/followers/me", "Follow it no longer"),
    ("post", "/records/{entity}/duplicates", "What may be there already, looked at before saving: {\"values\", \"id\"}"),
    ("post", "/records/{entity}/bulk", "Change or delete many: {\"filter\" or \"ids\", \"values\" or \"delete\": true, \"dry_run\"}"),
    ("post", "/records/{entity}/{id}/merge", "Merge others into this one: {\"from\": [ids], \"keep\": {field: id}, \"version\"}"),
    ("get", "/me/proxies", "Who stands in for me, and for whom I do"),
    ("post", "/me/proxies", "Set a stand-in: {\"by\", \"from\", \"until\", \"flow\", \"open_tasks\"}"),
    ("delete", "/me/proxies/{id}", "End a stand-in"),
    ("get", "/records/{entity}/{id}/approvals", "The approvals of a record, and the flows that I may begin on it"),
    ("get", "/records/{entity}/{id}/pool", "How a record stands to its public pool: what may be done, until when it is protected"),
    ("post", "/records/{entity}/{id}/claim", "Take a record from its public pool, or give it to somebody: {\"pool\", \"to\"}"),
    ("post", "/records/{entity}/{id}/release", "Give a record back to its public pool: {\"pool\"}"),
    ("post", "/records/{entity}/{id}/protect", "Keep a record of mine from going back to its public pool: {\"pool\"}"),
    ("post", "/records/{entity}/{id}/unprotect", "Keep it no longer: {\"pool\"}"),
];

impl Engine {
    /// The description, for the caller's own rights.
    #[must_use]
    pub fn openapi(&self, cx: &Ctx) -> Json {
        let seen: Vec<&EntityDef> = cx.app.schema.entities.iter().filter(|def| cx.grants.sees(def.id)).collect();
        let mut paths: Map<String, Json> = Map::new();
        for (method, path, summary) in CALLS {
            add(&mut paths, path, method, operation(path, summary, None));
        }
        for def in &seen {
            records(cx, def, &mut paths);
        }
        let schemas: Map<String, Json> =
            seen.iter().map(|def| (def.name.to_string(), schema(cx, def))).chain([("problem".to_owned(), problem())]).collect();
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Trellis",
                "version": cx.app.revision.to_string(),
                "description": "Records, and everything around them. Errors are problem documents (RFC 9457) with all faults of a request at once.",
            },
            "servers": [{"url": "/api/v1"}],
            "security": [{"bearer": []}, {"cookie": []}],
            "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "cookie": {"type": "apiKey", "in": "cookie", "name": "__Host-trellis"},
                },
            },
        })
    }
}

fn add(paths: &mut Map<String, Json>, path: &str, method: &str, operation: Json) {
    if let Some(operations) = paths.entry(path).or_insert_with(|| json!({})).as_object_mut() {
        operations.insert(method.to_owned(), operation);
    }
}

fn operation(path: &str, summary: &str, answer: Option<Json>) -> Json {
    let parameters: Vec<Json> = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    let mut good = json!({"description": "Done"});
    if let Some(answer) = answer {
        good["content"] = json!({"application/json": {"schema": answer}});
    }
    json!({
        "summary": summary,
        "parameters": parameters,
        "responses": {
            "2XX": good,
            "default": {"description": "A problem", "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/problem"}}}},
        },
    })
}

/// The calls of one entity's records, as far as the caller may make them.
fn records(cx: &Ctx, def: &EntityDef, paths: &mut Map<String, Json>) {
    let (name, grant) = (def.name.as_str(), cx.grants.entity(def.id));
    let one = json!({"$ref": format!("#/components/schemas/{name}")});
    let page = json!({"type": "object", "properties": {"data": {"type": "array", "items": one}, "next": {"type": ["string", "null"]}, "total": {"type": "integer"}}});
    let (all, single) = (format!("/records/{name}"), format!("/records/{name}/{{id}}"));
    let (label, plural) = (def.label(&cx.locale), def.plural(&cx.locale));
    let body = json!({"required": true, "content": {"application/json": {"schema": one}}});
    let mut put = |path: &str, method: &str, summary: String, answer: Option<Json>, body: Option<&Json>| {
        let mut operation = operation(path, &summary, answer);
        if let Some(body) = body {
            operation["requestBody"] = body.clone();
        }
        add(paths, path, method, operation);
    };
    put(&all, "get", format!("{plural}: filter, sort, fields, limit, after, q, total, titles, expand"), Some(page.clone()), None);
    put(&format!("{all}/query"), "post", format!("{plural}, asked for by a body"), Some(page), None);
    put(&format!("{all}/aggregate"), "post", format!("{plural} in groups, with measures"), None, None);
    put(&single, "get", label.to_owned(), Some(one.clone()), None);
    put(&format!("{single}/history"), "get", format!("{label}: history"), None, None);
    put(&format!("{single}/timeline"), "get", format!("{label}: everything that happened"), None, None);
    if !crate::conversions::of_entity(cx, def.id).is_empty() {
        let summary = format!("{label}: becomes others: {{\"conversion\", \"values\", \"targets\", \"lines\", \"dry_run\"}}");
        put(&format!("{single}/convert"), "post", summary, None, None);
    }
    if !crate::prints::of_entity(cx, def.id).is_empty() {
        put(&format!("{single}/prints"), "get", format!("{label}: the papers that it offers"), None, None);
        put(&format!("{single}/prints/{{print}}"), "get", format!("{label}: a paper, as HTML that prints"), None, None);
    }
    put(&format!("{single}/conversions"), "get", format!("{label}: what it may become, what it came of and became"), None, None);
    if !matches!(grant.create, Create::No) {
        put(&all, "post", format!("{label}: create"), Some(one.clone()), Some(&body));
    }
    if !matches!(*grant.update, rules::query::Predicate::False) {
        put(&single, "patch", format!("{label}: change (merge patch; If-Match or version)"), Some(one.clone()), Some(&body));
        if !def.stages.is_empty() {
            put(&format!("{single}/move"), "post", format!("{label}: move to a stage"), Some(one.clone()), None);
        }
    }
    if !matches!(*grant.delete, rules::query::Predicate::False) {
        put(&single, "delete", format!("{label}: to the recycle bin"), None, None);
        put(&format!("{single}/restore"), "post", format!("{label}: back from the recycle bin"), Some(one), None);
    }
}

/// A record of one entity.
fn schema(cx: &Ctx, def: &EntityDef) -> Json {
    let properties: Map<String, Json> = def
        .fields
        .iter()
        .filter(|field| cx.grants.field(def, field.name.as_str()).is_some())
        .map(|field| (field.name.to_string(), property(cx, def, field)))
        .collect();
    json!({"type": "object", "title": def.label(&cx.locale), "properties": properties})
}

fn property(cx: &Ctx, def: &EntityDef, field: &FieldDef) -> Json {
    let column: Option<&ColumnDef> = field.slot().and_then(|slot| def.columns.get(slot));
    let mut property = match column.map(|column| column.storage) {
        Some(Storage::Bool) => json!({"type": ["boolean", "null"]}),
        Some(Storage::Int) => json!({"type": ["integer", "null"]}),
        Some(Storage::Decimal(_)) => json!({"type": ["number", "null"]}),
        Some(Storage::Text) => json!({"type": ["string", "null"]}),
        Some(Storage::Date) => json!({"type": ["string", "null"], "format": "date"}),
        Some(Storage::Time) => json!({"type": ["string", "null"], "format": "time"}),
        Some(Storage::Timestamp) => json!({"type": ["string", "null"], "format": "date-time"}),
        Some(Storage::Uuid) => json!({"type": ["string", "null"], "format": "uuid"}),
        Some(Storage::Json | Storage::Bytes) | None => json!({}),
    };
    property["description"] = format!("{} ({})", field.doc.label(field.name.as_str(), &cx.locale), field.doc.kind).into();
    let writable = matches!(cx.grants.entity(def.id).access(field.id), Access::Write | Access::Scoped { .. });
    if field.computed() || !writable {
        property["readOnly"] = true.into();
    }
    property
}

fn problem() -> Json {
    json!({
        "type": "object",
        "title": "Problem",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string"},
            "detail": {"type": "string"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"pointer": {"type": "string"}, "field": {"type": ["string", "null"]}, "code": {"type": "string"}, "message": {"type": "string"}},
                },
            },
        },
    })
}
