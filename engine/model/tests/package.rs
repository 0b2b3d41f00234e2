//! In charge of proving that a folder is read whole, told all its faults, and written out the same every time.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;

use model::package::{self, Package};
use support::{APPS, files, package, told};

fn read(files: &[(&str, &str)]) -> Result<Package, String> {
    let files: BTreeMap<String, Vec<u8>> = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    Package::from_files(None, files).map_err(|faults| told(&faults))
}

const APP: (&str, &str) = ("app.json", r#"{"name": "shop", "version": "1.0.0", "format": 1}"#);

#[test]
fn every_app_is_read_and_exported_the_same_twice() {
    for folder in APPS {
        let first = package(folder);
        let exported = first.to_files();
        let again = Package::from_files(None, exported.clone()).unwrap_or_else(|faults| panic!("{folder}:\n{}", told(&faults)));
        assert_eq!(again.app, first.app, "{folder}");
        let exported_again = again.to_files();
        assert_eq!(exported.keys().collect::<Vec<_>>(), exported_again.keys().collect::<Vec<_>>());
        for (path, bytes) in &exported {
            assert!(exported_again[path] == *bytes, "{folder}/{path} differs");
        }
        let written: Vec<String> = files(folder).into_keys().collect();
        assert_eq!(exported.into_keys().collect::<Vec<_>>(), written, "{folder}: a file got lost or was made up");
    }
}

#[test]
fn one_document_says_the_same_as_the_folder() {
    for folder in APPS {
        let app = package(folder).app;
        let json = package::app_to_json(&app);
        let read = package::app_from_json(&json).unwrap_or_else(|faults| panic!("{folder}:\n{}", told(&faults)));
        assert_eq!(serde_json::to_string(&package::app_to_json(&read)).ok(), serde_json::to_string(&json).ok());
    }
}

#[test]
fn order_is_completed_and_kept() {
    let deal =
        r#"{"order": ["b"], "fields": {"a": {"kind": "text"}, "b": {"kind": "choice", "options": {"y": {}, "x": {}}}, "c": {"kind": "date"}}}"#;
    let package = read(&[APP, ("entities/deal.json", deal)]).expect("no fault");
    let entity = &package.app.entities["deal"];
    assert_eq!(entity.order.as_ref().map(|order| order.iter().map(model::Name::as_str).collect::<Vec<_>>()), Some(vec!["b", "a", "c"]));
    assert_eq!(entity.fields.keys().map(model::Name::as_str).collect::<Vec<_>>(), ["b", "a", "c"]);
    assert_eq!(entity.fields["b"].settings["order"], serde_json::json!(["y", "x"]));
}

#[test]
fn every_fault_is_told_at_once_with_file_and_pointer() {
    let faults = read(&[
        APP,
        ("entities/deal.json", r#"{"labl": "Deal", "owner": "requierd", "fields": {"a": {"kind": "text", "requred": true}, "B": {"kind": "text"}}}"#),
        ("entities/task.json", r#"{"fields": {"a": {"kind": "tex"}, "b": {"kind": "decimal", "scale": 12}, "c": {}}}"#),
        ("entities/broken.json", "{\"fields\": \n{]}"),
        ("views/deals.json", r#"{"entity": "deal", "filter": {"all": [{"field": "a", "opp": "=", "value": 1}, {"field": "a", "op": "=="}]}}"#),
        ("views/other.json", r#"{"entity": "deal", "filter": "a > 1", "kind": "tabel"}"#),
        ("forms/deal.json", r#"{"entity": "deal", "items": {"a": {"kind": "sektion"}}}"#),
        ("imports/deal.json", r#"{"entity": "deal", "values": {"a": {"from": "A", "fnd": {"entity": "x", "by": "y"}}}}"#),
        ("entites/more.json", "{}"),
        ("views/Big.json", r#"{"entity": "deal"}"#),
        ("roles/rep.json", r#"{"entities": {"deal": {"read": "departmnt", "create": "yes"}}}"#),
        ("holidays/cn_2026.json", r#"{"set": "cn", "year": 2026, "holidays": ["2026-02-30"]}"#),
    ])
    .expect_err("faults");
    let expected = [
        "entites/more.json : nothing of an app is kept here (entities?)",
        "entities/broken.json /entities/broken: not valid JSON: key must be a string at line 2 column 2",
        "entities/deal.json /entities/deal/fields/B: `B` is not a name: a small letter, then small letters, digits and _, 48 at most",
        "entities/deal.json /entities/deal/fields/a/requred: `requred` is not known here (required?)",
        "entities/deal.json /entities/deal/labl: `labl` is not known here (label?)",
        "entities/deal.json /entities/deal/owner: `requierd` is not one of required, optional, none (required?)",
        "entities/task.json /entities/task/fields/a/kind: there is no `tex` (text?)",
        "entities/task.json /entities/task/fields/b/scale: 12 is greater than the maximum of 9",
        "entities/task.json /entities/task/fields/c: `kind` is missing",
        "forms/deal.json /forms/deal/items/a/kind: `sektion` is not one of tab, section, field, lines, related, text, button, spacer (section?)",
        "holidays/cn_2026.json /holidays/cn_2026/holidays/0: \"2026-02-30\" is not a \"date\"",
        "imports/deal.json /imports/deal/values/a/fnd: `fnd` is not known here (find?)",
        "roles/rep.json /roles/rep/entities/deal/create: expected boolean or object, found string",
        "roles/rep.json /roles/rep/entities/deal/read: `departmnt` is not one of none, own, reports, department, department_and_below, all (department?)",
        "views/Big.json /views/Big: `Big` is not a name: a small letter, then small letters, digits and _, 48 at most",
        "views/deals.json /views/deals/filter/all/0: `op` is missing",
        "views/deals.json /views/deals/filter/all/0/opp: `opp` is not known here (op?)",
        "views/deals.json /views/deals/filter/all/1/op: there is no `==` (=?)",
        "views/other.json /views/other/filter: expected object, found string",
        "views/other.json /views/other/kind: `tabel` is not one of table, board, calendar, timeline, gallery (table?)",
    ];
    assert_eq!(faults.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn names_of_files_and_paths_are_held() {
    let faults = read(&[("x.json", "{}"), ("../etc/passwd", ""), ("entities/deal.json", r#"{"name": "lead", "fields": {}}"#)]).expect_err("faults");
    assert!(faults.contains("app.json /app: `app.json` is missing"), "{faults}");
    assert!(faults.contains("../etc/passwd : is no path within the app's folder"), "{faults}");
    assert!(faults.contains("/entities/deal/name: the file's name is the name: `deal` (deal?)"), "{faults}");
    assert!(faults.contains("x.json : nothing of an app is kept here"), "{faults}");
}

#[test]
fn a_zip_may_have_a_folder_around_the_app() {
    let package = read(&[("shop-main/app.json", APP.1), ("shop-main/README.md", "hello"), ("shop-main/.git/config", "x")]).expect("no fault");
    assert_eq!(package.app.app.name, "shop");
    assert_eq!(package.files.keys().collect::<Vec<_>>(), ["README.md"]);
}

#[test]
fn translations_land_in_labels() {
    let app = ("app.json", r#"{"name": "shop", "version": "1.0.0", "format": 1, "locales": ["en", "zh-CN"]}"#);
    let entity =
        ("entities/deal.json", r#"{"label": "Deal", "fields": {"a": {"kind": "text"}, "b": {"kind": "text", "label": {"en": "B", "zh-CN": "乙"}}}}"#);
    let locale =
        ("locales/zh-CN.json", r#"{"/entities/deal/label": "商机", "/entities/deal/fields/a/label": "甲", "/entities/deal/fields/b/label": "已"}"#);
    let package = read(&[app, entity, locale]).expect("no fault");
    let localised = package::localise(&package.app);
    let deal = &localised.entities["deal"];
    assert_eq!(deal.label.as_ref().map(|label| (label.get("en"), label.get("zh-CN"))), Some(("Deal", "商机")));
    assert_eq!((deal.field_label("a", "en"), deal.field_label("a", "zh-CN"), deal.field_label("b", "zh-CN")), ("a", "甲", "已"));
    assert_eq!(package::localise(&localised), localised);
}
