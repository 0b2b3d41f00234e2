//! In charge of the JSON Schemas of every kind of document, made from the types.
//! Invariant: what a type reads, its schema lets through; an unknown key or kind is refused by both.

use indexmap::IndexMap;
use schemars::generate::SchemaSettings;
use serde_json::{Value as Json, json};

use crate::doc::folders::FOLDERS;
use crate::doc::{self, App, AppInfo};

/// The schema of every kind of document, by the kind's word; `app` is `app.json`, `whole` the one document.
#[must_use]
pub fn all() -> IndexMap<&'static str, Json> {
    let mut schemas = IndexMap::new();
    schemas.insert("app", of::<AppInfo>("app.json"));
    for folder in FOLDERS {
        if let Some(schema) = of_kind(folder.kind) {
            schemas.insert(folder.kind, schema);
        }
    }
    schemas.insert("whole", of::<App>("An app as one document"));
    schemas
}

/// The schema of one kind of document; scripts have none.
#[must_use]
pub fn of_kind(kind: &str) -> Option<Json> {
    Some(match kind {
        "app" => of::<AppInfo>("app.json"),
        "entity" => of::<doc::Entity>("entities/*.json"),
        "option_list" => of::<doc::OptionList>("options/*.json"),
        "form" => of::<doc::Form>("forms/*.json"),
        "view" => of::<doc::View>("views/*.json"),
        "pipeline" => of::<doc::Pipeline>("pipelines/*.json"),
        "approval" => of::<doc::Approval>("approvals/*.json"),
        "automation" => of::<doc::Automation>("automations/*.json"),
        "template" => of::<doc::MessageTemplate>("templates/*.json"),
        "conversion" => of::<doc::Conversion>("conversions/*.json"),
        "role" => of::<doc::Role>("roles/*.json"),
        "dashboard" => of::<doc::Dashboard>("dashboards/*.json"),
        "print" => of::<doc::Print>("prints/*.json"),
        "web_form" => of::<doc::WebForm>("web_forms/*.json"),
        "pool" => of::<doc::Pool>("pools/*.json"),
        "calendar" => of::<doc::Calendar>("calendars/*.json"),
        "holidays" => of::<doc::Holidays>("holidays/*.json"),
        "import" => of::<doc::Import>("imports/*.json"),
        "connector" => of::<doc::Connector>("connectors/*.json"),
        "locale" => locale(),
        "scenario" => of::<doc::Scenario>("scenarios/*.json"),
        "whole" => of::<App>("An app as one document"),
        _ => return None,
    })
}

/// The schema of a part of a document that stands in it as plain JSON: the settings of a step, `step.create`; of a step of
/// an approval flow, `flow.approve`; `trigger`; `flow_start` and `flow_settings`.
pub(crate) fn of_part(part: &str) -> Option<Json> {
    use crate::doc::approval::{self, STEPS as NODES};
    use crate::doc::step::{STEPS, TriggerDoc};
    use schemars::JsonSchema;
    let named = |list: &[(&str, crate::doc::step::PartSchema)], name: &str| list.iter().find(|(there, _)| *there == name).map(|(_, schema)| *schema);
    let schema = match part {
        "trigger" => TriggerDoc::json_schema,
        "flow_start" => approval::FlowStart::json_schema,
        "flow_settings" => approval::FlowSettings::json_schema,
        other => match other.split_once('.')? {
            ("step", kind) => named(&STEPS, kind)?,
            ("flow", kind) => named(&NODES, kind)?,
            _ => return None,
        },
    };
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut json = schema(&mut generator).to_value();
    if let Some(map) = json.as_object_mut() {
        map.insert("$defs".to_owned(), Json::Object(generator.take_definitions(true).into_iter().collect()));
    }
    Some(json)
}

/// The schema of `T` as a document of its own, which may name its schema and itself.
fn of<T: schemars::JsonSchema>(title: &str) -> Json {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let mut json = schema.to_value();
    if let Some(map) = json.as_object_mut() {
        map.insert("title".to_owned(), title.into());
        if let Some(properties) = map.get_mut("properties").and_then(Json::as_object_mut) {
            properties.entry("name").or_insert_with(|| json!({"type": "string", "description": "The file's name again; it may be left out."}));
            properties.insert("$schema".to_owned(), json!({"type": "string", "description": "Where editors find this schema."}));
        }
    }
    json
}

/// Translations: a text by the JSON Pointer of what it translates.
fn locale() -> Json {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "locales/*.json",
        "description": "Translations into one locale: the text by the JSON Pointer of what it translates.",
        "type": "object",
        "properties": {"$schema": {"type": "string"}},
        "patternProperties": {"^/": {"type": "string"}},
        "additionalProperties": false
    })
}

#[cfg(test)]
mod tests {
    use super::{all, of_kind, of_part};
    use crate::doc::approval::STEPS as NODES;
    use crate::doc::folders::FOLDERS;
    use crate::doc::step::STEPS;

    #[test]
    fn every_kind_of_document_has_a_schema_that_compiles() {
        for folder in FOLDERS.iter().filter(|folder| folder.kind != "script") {
            assert!(of_kind(folder.kind).is_some(), "{} has no schema", folder.kind);
        }
        for (kind, schema) in all() {
            assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{kind}");
            jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|error| panic!("{kind}: {error}"));
            assert!(jsonschema::validator_for(&schema).is_ok(), "{kind} does not compile");
        }
    }

    #[test]
    fn every_part_has_a_schema_that_compiles_and_is_closed() {
        let others = ["trigger", "flow_start", "flow_settings"].map(str::to_owned);
        let steps = STEPS.iter().map(|(name, _)| format!("step.{name}"));
        for part in steps.chain(NODES.iter().map(|(name, _)| format!("flow.{name}"))).chain(others) {
            let schema = of_part(&part).unwrap_or_else(|| panic!("{part} has no schema"));
            let validator = jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{part}: {error}"));
            assert!(!validator.is_valid(&serde_json::json!({"no_such_key": 1})), "{part} takes anything");
        }
    }
}
