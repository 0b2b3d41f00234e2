//! In charge of proving that versions of an app are told apart, patched into each other and merged by name.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::LazyLock;

use model::diff::{Alteration, diff};
use model::doc::App;
use model::merge::merge3;
use model::package::{app_from_json, app_to_json, canonicalise};
use model::{Name, patch};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use support::{APPS, package, told};

static SINK: LazyLock<App> = LazyLock::new(|| package("tests/apps/kitchen_sink").app);

fn sink() -> App {
    SINK.clone()
}

/// A change of the document, and what is told of it.
type Told = (fn(&mut Json), Vec<Alteration>);

fn with(app: &App, change: impl FnOnce(&mut Json)) -> App {
    let mut json = app_to_json(app);
    change(&mut json);
    app_from_json(&json).unwrap_or_else(|faults| panic!("{}", told(&faults)))
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

#[test]
fn equal_apps_do_not_differ() {
    for folder in APPS {
        let app = package(folder).app;
        assert_eq!(diff(&app, &app), []);
    }
}

#[test]
fn each_change_is_told_by_name() {
    let old = sink();
    let lead = || "lead".to_owned();
    let changes: [Told; 14] = [
        (|json| json["entities"]["lead"]["fields"]["x"] = json!({"kind": "text"}), vec![Alteration::AddField { entity: lead(), field: name("x") }]),
        (
            |json| {
                json["entities"]["lead"]["fields"]["score"] = json!({"kind": "integer", "label": "Score"});
            },
            vec![
                Alteration::ChangeFieldKind { entity: lead(), field: name("score"), from: "rating".to_owned(), to: "integer".to_owned() },
                Alteration::ChangeField { entity: lead(), field: name("score"), keys: vec!["label".to_owned(), "max".to_owned()] },
            ],
        ),
        (
            |json| json["entities"]["lead"]["fields"]["email"]["required"] = json!(true),
            vec![Alteration::ChangeField { entity: lead(), field: name("email"), keys: vec!["required".to_owned()] }],
        ),
        (|json| json["entities"]["new"] = json!({"fields": {"a": {"kind": "text"}}}), vec![Alteration::AddEntity { entity: "new".to_owned() }]),
        (
            |json| json["entities"]["lead"]["title"] = json!("{{ person }}"),
            vec![Alteration::ChangeEntity { entity: lead(), keys: vec!["title".to_owned()] }],
        ),
        (
            |json| json["entities"]["lead"]["unique"] = json!({"u": {"fields": ["email"]}}),
            vec![Alteration::AddUnique { entity: lead(), key: name("u") }],
        ),
        (
            |json| json["entities"]["booking"]["unique"]["no_double_booking"]["fields"] = json!(["customer"]),
            vec![Alteration::ChangeUnique { entity: "booking".to_owned(), key: name("no_double_booking") }],
        ),
        (
            |json| json["entities"]["quote"]["indexes"] = json!([["stage"]]),
            vec![
                Alteration::DropIndex { entity: "quote".to_owned(), columns: vec!["stage".to_owned(), "-total".to_owned()] },
                Alteration::AddIndex { entity: "quote".to_owned(), columns: vec!["stage".to_owned()] },
            ],
        ),
        (
            |json| json["pipelines"]["visits"]["stages"]["arrived"]["retired"] = json!(true),
            vec![Alteration::RetireStage { pipeline: name("visits"), stage: name("arrived") }],
        ),
        (
            |json| json["options"]["branch"]["options"]["dairy"]["color"] = json!("blue"),
            vec![Alteration::ChangeOption { list: name("branch"), option: name("dairy"), keys: vec!["color".to_owned()] }],
        ),
        (
            |json| json["views"]["lead_table"]["page_size"] = json!(10),
            vec![Alteration::ChangeDocument { folder: "views", name: "lead_table".to_owned(), keys: vec!["page_size".to_owned()] }],
        ),
        (
            |json| json["scripts"]["check_lead"] = json!("fn run(record) {}"),
            vec![Alteration::ChangeDocument { folder: "scripts", name: "check_lead".to_owned(), keys: vec![] }],
        ),
        (|json| json["app"]["currency"] = json!("EUR"), vec![Alteration::ChangeApp { keys: vec!["currency".to_owned()] }]),
        (
            |json| {
                json["entities"]["core.user"]["fields"]["nick"] = json!({"kind": "text"});
            },
            vec![Alteration::AddField { entity: "core.user".to_owned(), field: name("nick") }],
        ),
    ];
    for (change, expected) in changes {
        let new = with(&old, change);
        assert_eq!(diff(&old, &new), expected);
        for alteration in diff(&old, &new) {
            assert!(app_to_json(&new).pointer(&alteration.pointer()).is_some(), "{}", alteration.pointer());
        }
    }
}

#[test]
fn what_goes_is_retired_and_what_moves_is_a_change() {
    let old = sink();
    let mut new = old.clone();
    let lead = new.entities.get_mut("lead").expect("the lead");
    lead.fields.shift_remove("campaign");
    lead.order = lead.order.take().map(|order| order.into_iter().filter(|field| *field != "campaign").collect());
    assert_eq!(diff(&old, &new), [Alteration::RetireField { entity: "lead".to_owned(), field: name("campaign") }]);
    let mut moved = old.clone();
    moved.entities.get_mut("lead").and_then(|lead| lead.order.as_mut()).expect("an order").reverse();
    assert_eq!(diff(&old, &moved), [Alteration::ChangeEntity { entity: "lead".to_owned(), keys: vec!["order".to_owned()] }]);
}

#[test]
fn both_sides_of_a_merge_are_kept() {
    let base = sink();
    let ours = with(&base, |json| {
        json["entities"]["lead"]["fields"]["ours"] = json!({"kind": "text"});
        json["entities"]["lead"]["fields"]["email"]["required"] = json!(true);
        json["entities"]["lead"]["label"] = json!("Prospect");
        json["forms"]["lead_public"]["root"] = json!(["phone", "email", "company"]);
    });
    let theirs = with(&base, |json| {
        json["entities"]["lead"]["fields"]["theirs"] = json!({"kind": "date"});
        json["entities"]["lead"]["fields"]["email"]["unique"] = json!(true);
        json["entities"]["lead"]["label"] = json!("Enquiry");
        json["forms"]["lead_public"]["root"] = json!(["company", "person", "country", "phone", "email"]);
        json["views"].as_object_mut().expect("views").shift_remove("machine_gallery");
    });
    let merged = merge3(&base, &ours, &theirs);
    let app = merged.app().unwrap_or_else(|faults| panic!("{}", told(&faults)));
    let lead = &app.entities["lead"];
    assert!(lead.fields.contains_key("ours") && lead.fields.contains_key("theirs"));
    assert!(lead.fields["email"].common.required && lead.fields["email"].common.unique);
    let order: Vec<&str> = lead.order.iter().flatten().map(Name::as_str).collect();
    assert!(order.contains(&"ours") && order.contains(&"theirs"), "{order:?}");
    let root: Vec<&str> = app.forms["lead_public"].root.iter().map(Name::as_str).collect();
    assert_eq!(root, ["phone", "email", "company", "country"]);
    assert!(!app.views.contains_key("machine_gallery"));
    let pointers: Vec<&str> = merged.conflicts.iter().map(|conflict| conflict.pointer.as_str()).collect();
    assert_eq!(pointers, ["/entities/lead/label"]);
    assert_eq!(merged.conflicts[0].theirs, Some(json!("Enquiry")));
    assert_eq!(merged.json["entities"]["lead"]["label"], json!("Prospect"));
}

#[test]
fn a_merge_with_one_changed_side_is_that_side() {
    let base = sink();
    let changed = with(&base, |json| {
        json["entities"]["lead"]["fields"]["score"] = json!({"kind": "integer"});
        json["pipelines"].as_object_mut().expect("pipelines").shift_remove("project");
        json["app"]["menu"]["figures"]["label"] = json!("Numbers");
    });
    for (ours, theirs) in [(&base, &changed), (&changed, &base), (&changed, &changed)] {
        let merged = merge3(&base, ours, theirs);
        assert_eq!(merged.conflicts, []);
        assert_eq!(merged.json, app_to_json(&changed));
    }
}

/// One small change of an app, by where and how.
fn change(app: &mut App, place: usize, how: u8) {
    let count = app.entities.len();
    let Some((_, entity)) = app.entities.get_index_mut(place % count) else { return };
    let field = entity.fields.get_index(place % entity.fields.len().max(1)).map(|(name, _)| name.clone());
    match (how, field) {
        (0, Some(field)) => {
            entity.fields.shift_remove(&field);
            entity.order.iter_mut().for_each(|order| order.retain(|name| *name != field));
        }
        (1, _) => {
            entity.fields.insert(name(&format!("new_{place}")), model::doc::Field::of_kind("boolean"));
        }
        (2, Some(field)) => entity.fields[&field].common.search ^= true,
        (3, _) => {
            if let Some(order) = &mut entity.order {
                order.reverse();
            }
        }
        (4, _) => entity.icon = Some(format!("icon-{place}")),
        (5, _) => {
            let count = app.views.len().max(1);
            app.views.shift_remove_index(place % count);
        }
        (6, _) => app.app.version = format!("1.0.{place}"),
        _ => {
            if let Some((_, pipeline)) = app.pipelines.get_index_mut(place % 4)
                && let Some((_, stage)) = pipeline.stages.get_index_mut(place % 3)
            {
                stage.retired ^= true;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn two_versions_differ_exactly_where_something_changed(changes in prop::collection::vec((0..60_usize, 0..8_u8), 0..6)) {
        let old = sink();
        let mut new = old.clone();
        for (place, how) in changes {
            change(&mut new, place, how);
        }
        canonicalise(&mut new);
        let (before, after) = (app_to_json(&old), app_to_json(&new));
        prop_assert_eq!(diff(&old, &new).is_empty(), before == after);
        let between = patch::between(&before, &after);
        prop_assert_eq!(patch::apply(&before, &between).expect("it fits"), after.clone());
        let made = patch::apply_to_app(&old, &between).expect("no fault");
        prop_assert_eq!(diff(&made, &new), vec![]);
        let back = patch::invert(&before, &between).expect("it fits");
        prop_assert_eq!(diff(&patch::apply_to_app(&made, &back).expect("no fault"), &old), vec![]);
        let merged = merge3(&old, &new, &old);
        prop_assert_eq!((merged.json, merged.conflicts.len()), (after, 0));
    }
}
