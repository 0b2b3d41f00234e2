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
    for folder in [
        "core_app",
        "../examples/sales",
        "../examples/service_desk",
        "../tests/apps/kitchen_sink",
        "../tests/apps/approvals",
        "../tests/apps/scripts",
    ] {
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

#[test]
fn faults_of_scripts_are_told_with_file_line_and_column() {
    let files: BTreeMap<String, Vec<u8>> = [
        ("app.json", r#"{"name": "shop", "version": "1.0.0", "requires": {"core": "^1"}}"#),
        (
            "entities/deal.json",
            r#"{"title": "{{ name }}", "owner": "optional", "fields": {"name": {"kind": "text"}, "amount": {"kind": "money"}, "cost": {"kind": "money"},
                "state": {"kind": "choice", "options": {"open": {}, "done": {}}}}}"#,
        ),
        ("roles/rep.json", r#"{"entities": {"deal": {"read": "all", "create": true, "update": "all", "fields": {"cost": "none"}}}}"#),
        (
            "automations/a.json",
            r#"{"on": {"record": "created", "entity": "deal"}, "run": "before", "steps": {"s": {"kind": "script", "script": "check"}}, "root": ["s"]}"#,
        ),
        (
            "automations/b.json",
            r#"{"on": {"button": "b", "entity": "deal", "label": "B", "ask": {"on": {"kind": "date"}}}, "as": "system",
                "steps": {"s": {"kind": "script", "script": "asked"}, "t": {"kind": "script", "script": "asked"}}, "root": ["s", "t"]}"#,
        ),
        (
            "scripts/check.rhai",
            "fn run(record) {\n    let open = find(\"deal\", #{ ownr: 1, state: \"opne\" });\n    record.amont = 1;\n    mail(record.owner, \"x\");\n    record.cost\n}\n",
        ),
        ("scripts/asked.rhai", "fn run(record, ask) {\n    record.cost = ask.no;\n    record.amount = ask.on;\n}\n"),
        ("scripts/spare.rhai", "fn run(record) {\n    cuont(\"deal\");\n}\n"),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .collect();
    let faults = match engine::packages::read_files(files) {
        Ok(package) => examine_package(&package),
        Err(Error::Documents(faults)) => faults,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(
        told(&faults),
        [
            "scripts/check.rhai /scripts/check: There is no field “ownr”. Did you mean “owner”? (line 2, column 32)",
            "scripts/check.rhai /scripts/check: `opne` is not one of the options of `state` (line 2, column 48)",
            "scripts/check.rhai /scripts/check: `shop.deal` has no field `amont` (line 3, column 12)",
            "scripts/check.rhai /scripts/check: `mail` reaches outside: it cannot run before the save (line 4, column 5)",
            "scripts/check.rhai /scripts/check: `shop.deal` has no field `cost` (line 5, column 12)",
            "scripts/asked.rhai /scripts/asked: there is no `no` in it (line 2, column 23)",
            "scripts/asked.rhai /scripts/asked: `amount` is a number, not a date (line 3, column 24)",
            "scripts/spare.rhai /scripts/spare: there is no function `cuont` (line 2, column 5)",
        ]
    );
}

#[test]
fn what_depends_on_the_clock_is_in_no_key_and_no_index() {
    let files: BTreeMap<String, Vec<u8>> = [
        ("app.json", r#"{"name": "shop", "version": "1.0.0", "requires": {"core": "^1"}}"#),
        (
            "entities/deal.json",
            r#"{"title": "{{ name }}", "fields": {"name": {"kind": "text"}, "due": {"kind": "date"},
                "left": {"kind": "formula", "result": "integer", "expr": "days_between(today(), due)", "unique": true},
                "age": {"kind": "formula", "result": "integer", "expr": "days_between(due, today())"}},
              "unique": {"once": {"fields": ["name", "age"]}}, "indexes": [["name", "-age"]]}"#,
        ),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .collect();
    let faults = match engine::packages::read_files(files) {
        Ok(package) => examine_package(&package),
        Err(Error::Documents(faults)) => faults,
        Err(other) => panic!("{other}"),
    };
    let places: Vec<&str> = faults.iter().filter(|fault| fault.severity == Severity::Error).map(|fault| fault.pointer.as_str()).collect();
    let wanted = ["/entities/deal/fields/left/unique", "/entities/deal/unique/once/fields/1", "/entities/deal/indexes/0/1"];
    for place in wanted {
        assert!(places.contains(&place), "{place} in {:#?}", told(&faults));
    }
    assert_eq!(places.len(), wanted.len(), "{:#?}", told(&faults));
}
