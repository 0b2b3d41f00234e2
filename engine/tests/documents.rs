//! In charge of proving that an app with faults of every sort is told all of them at once, and a sound one none.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use engine::{Error, examine_package};
use model::{Diagnostic, Severity};

fn told(faults: &[Diagnostic]) -> Vec<String> {
    let line = |fault: &Diagnostic| format!("{} {}: {}", fault.file.as_deref().unwrap_or("-"), fault.pointer, fault.message);
    faults.iter().filter(|fault| fault.severity == Severity::Error).map(line).collect()
}

#[test]
fn every_app_compiles_to_its_last_filter() {
    for folder in ["core_app", "../examples/sales", "../examples/service_desk", "../tests/apps/kitchen_sink", "../tests/apps/approvals"] {
        let package = engine::packages::read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("an app");
        assert_eq!(told(&examine_package(&package)), [] as [&str; 0], "{folder}");
    }
}

#[test]
fn every_language_is_told_of_in_one_run() {
    let files: BTreeMap<String, Vec<u8>> = [
        ("app.json", r#"{"name": "shop", "version": "1.0.0", "requires": {"core": "^1"}}"#),
        (
            "entities/deal.json",
            r#"{"title": "{{ name", "owner": "required", "fields": {
                "name": {"kind": "text", "show_if": "amuont > 1"},
                "amount": {"kind": "money", "mni": 0},
                "double": {"kind": "formula", "result": "money", "expr": "amount * naem"},
                "buyer": {"kind": "reference", "to": "core.user", "filter": {"field": "activ", "op": "=", "value": true}}},
              "rules": {"positive": {"require": {"field": "amount", "op": "contains", "value": 1}}}}"#,
        ),
        ("views/deals.json", r#"{"entity": "deal", "columns": {"nme": {}}, "filter": {"field": "amount", "op": ">", "value": "much"}}"#),
        ("forms/deal.json", r#"{"entity": "deal", "items": {"name": {"show_if": "amount >"}}, "root": ["name"]}"#),
        ("roles/rep.json", r#"{"entities": {"deal": {"read": {"filter": {"field": "ownr", "op": "=", "value": "$me"}}}}}"#),
        ("dashboards/team.json", r#"{"widgets": {"a": {"kind": "number", "entity": "deal", "measures": ["count"], "filter": {"field": "name", "op": ">", "value": 1}}}}"#),
        ("templates/hello.json", r#"{"subject": "{{ record.name }}", "body": "{% if %}"}"#),
        ("automations/a.json", r#"{"on": {"record": "created", "entity": "deal"}, "if": {"field": "amunt", "op": "is_set"}, "steps": {"s": {"kind": "script", "script": "nowhere"}}, "root": ["s"]}"#),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .collect();
    let Err(Error::Documents(faults)) = engine::packages::read_files(files) else { panic!("no faults") };
    let places: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(
        places,
        [
            "/automations/a/if/field",
            "/automations/a/steps/s/script",
            "/dashboards/team/widgets/a/filter/op",
            "/entities/deal/fields/amount/mni",
            "/entities/deal/fields/buyer/filter/field",
            "/entities/deal/fields/double/expr",
            "/entities/deal/fields/name/show_if",
            "/entities/deal/rules/positive/require",
            "/entities/deal/title",
            "/forms/deal/items/name/show_if",
            "/roles/rep/entities/deal/read/filter/field",
            "/templates/hello/body",
            "/views/deals/columns/nme",
            "/views/deals/filter/value",
        ],
        "{:#?}",
        told(&faults)
    );
}
