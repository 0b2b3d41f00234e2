//! In charge of proving what the check lets through and what it tells, each with its place and the likely name.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use indexmap::IndexMap;
use model::doc::App;
use model::{Name, Severity, check, package};
use serde_json::{Value as Json, json};
use support::{APPS, package as read, told, workspace};

/// What the check tells of the kitchen sink after `change`, without its warnings.
fn changed(change: impl FnOnce(&mut Json)) -> Vec<String> {
    let mut apps = workspace("tests/apps/kitchen_sink");
    let name = Name::parse("kitchen_sink").expect("a name");
    let mut json = package::app_to_json(&apps[&name]);
    change(&mut json);
    let app = package::app_from_json(&json).unwrap_or_else(|faults| panic!("{}", told(&faults)));
    apps.insert(name.clone(), Arc::new(app));
    lines(&apps, &name)
}

fn lines(apps: &IndexMap<Name, Arc<App>>, name: &Name) -> Vec<String> {
    let mut faults = check::check(apps, name);
    faults.retain(|fault| fault.severity == Severity::Error);
    told(&faults).lines().map(str::to_owned).collect()
}

/// Changes the value at `pointer` (a key that is not there is added) and expects exactly this fault.
#[track_caller]
fn expect(pointer: &str, value: Json, expected: &str) {
    expect_all(pointer, value, &[expected]);
}

#[track_caller]
fn expect_all(pointer: &str, value: Json, expected: &[&str]) {
    let found = changed(|json| {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        if json.pointer(parent).is_none() {
            let (above, last) = parent.rsplit_once('/').expect("a pointer");
            json.pointer_mut(above).expect("something above")[last] = json!({});
        }
        match json.pointer_mut(parent) {
            Some(Json::Object(map)) => {
                map.insert(key.replace("~1", "/"), value);
            }
            Some(Json::Array(list)) => list.push(value),
            _ => panic!("nothing at {parent}"),
        }
    });
    assert_eq!(found, expected, "{pointer}");
}

#[test]
fn every_app_is_clean() {
    for folder in APPS {
        let apps = workspace(folder);
        for name in apps.keys() {
            let faults = check::check(&apps, name);
            let strange: Vec<_> =
                faults.iter().filter(|fault| fault.severity == Severity::Error || !fault.message.contains("expression language")).cloned().collect();
            assert!(strange.is_empty(), "{folder}, {name}:\n{}", told(&strange));
        }
        let faults = check::files(&read(folder));
        assert!(faults.is_empty(), "{folder}:\n{}", told(&faults));
    }
}

#[test]
fn names_are_held() {
    expect(
        "/entities/lead/fields/version",
        json!({"kind": "text"}),
        "entities/lead.json /entities/lead/fields/version: every record has a field `version` of the engine's: give yours another name",
    );
    expect(
        "/entities/lead/fields/old",
        json!({"kind": "text"}),
        "entities/lead.json /entities/lead/fields/old: `old` has a meaning of its own: give the field another name",
    );
    expect(
        "/entities/lead/fields/title",
        json!({"kind": "formula", "expr": "company"}),
        "entities/lead.json /entities/lead/fields/title: a record's title is computed already: say how in the entity's `title`",
    );
    assert_eq!(changed(|json| json["entities"]["lead"]["fields"]["title"] = json!({"kind": "text"})), [] as [&str; 0]);
    expect("/app/name", json!("Sink"), "app.json /app/name: `Sink` is not a name: a small letter, then small letters, digits and _, 48 at most");
}

#[test]
fn dangling_names_are_told_with_the_likely_one() {
    expect(
        "/entities/lead/rules/r",
        json!({"require": "true", "field": "compny"}),
        "entities/lead.json /entities/lead/rules/r/field: `kitchen_sink.lead` has no field `compny` (company?)",
    );
    expect(
        "/entities/lead/unique/u",
        json!({"fields": ["emial"]}),
        "entities/lead.json /entities/lead/unique/u/fields/0: `kitchen_sink.lead` has no field `emial` (email?)",
    );
    expect("/entities/lead/locked_except", json!(["x"]), "entities/lead.json /entities/lead/locked_except/0: `kitchen_sink.lead` has no field `x`");
    expect(
        "/entities/lead/indexes",
        json!([["-scor"]]),
        "entities/lead.json /entities/lead/indexes/0/0: `kitchen_sink.lead` has no field `scor` (score?)",
    );
    expect("/entities/lead/order", json!(["compny"]), "entities/lead.json /entities/lead/order/0: there is no field `compny` (company?)");
    expect(
        "/entities/lead/fields/x",
        json!({"kind": "reference", "to": "custmer"}),
        "entities/lead.json /entities/lead/fields/x/to: there is no entity `custmer` (customer?)",
    );
    expect(
        "/entities/lead/fields/x",
        json!({"kind": "reference", "to": "user"}),
        "entities/lead.json /entities/lead/fields/x/to: there is no entity `user` (core.user?)",
    );
    expect(
        "/entities/lead/fields/x",
        json!({"kind": "lookup", "path": "region.cod"}),
        "entities/lead.json /entities/lead/fields/x/path: `kitchen_sink.region` has no field `cod` (code?)",
    );
    expect(
        "/entities/lead/fields/x",
        json!({"kind": "choice", "options": "industy"}),
        "entities/lead.json /entities/lead/fields/x/options: there is no option list `industy` (industry?)",
    );
    expect(
        "/entities/customer/fields/x",
        json!({"kind": "rollup", "of": "contract"}),
        "entities/customer.json /entities/customer/fields/x/of: there is no relation to many `contract` (contracts?)",
    );
    expect("/pipelines/visits/start", json!("bookd"), "pipelines/visits.json /pipelines/visits/start: there is no stage `bookd` (booked?)");
    expect(
        "/pipelines/visits/stages/arrived/requires",
        json!(["machin"]),
        "pipelines/visits.json /pipelines/visits/stages/arrived/requires/0: `kitchen_sink.booking` has no field `machin` (machine?)",
    );
    expect(
        "/pipelines/visits/stages/arrived/next",
        json!({"boked": {}}),
        "pipelines/visits.json /pipelines/visits/stages/arrived/next/boked: there is no stage `boked` (booked?)",
    );
    expect(
        "/views/bookings/rows",
        json!("customr"),
        "views/bookings.json /views/bookings/rows: `kitchen_sink.booking` has no field `customr` (customer?)",
    );
    expect("/views/bookings/roles", json!(["reps"]), "views/bookings.json /views/bookings/roles/0: there is no role `reps` (rep?)");
    expect(
        "/views/lead_table/columns/region.cod",
        json!({}),
        "views/lead_table.json /views/lead_table/columns/region.cod: `kitchen_sink.region` has no field `cod` (code?)",
    );
    expect(
        "/dashboards/everything/widgets/pie/by",
        json!(["sorce"]),
        "dashboards/everything.json /dashboards/everything/widgets/pie/by/0: `kitchen_sink.lead` has no field `sorce` (source?)",
    );
    expect(
        "/roles/rep/entities/lead/fields",
        json!({"phon": "none"}),
        "roles/rep.json /roles/rep/entities/lead/fields/phon: `kitchen_sink.lead` has no field `phon` (phone?)",
    );
    expect("/roles/rep/entities/leed", json!({}), "roles/rep.json /roles/rep/entities/leed: there is no entity `leed` (lead?)");
    expect(
        "/roles/rep/entities/booking/read",
        json!({"through": "starts_at"}),
        "roles/rep.json /roles/rep/entities/booking/read/through: `starts_at` is of kind `datetime`: rights go through a reference",
    );
    expect(
        "/imports/customers/values/nam",
        json!({"from": "N"}),
        "imports/customers.json /imports/customers/values/nam: `kitchen_sink.customer` has no field `nam` (name?)",
    );
    expect("/app/home/rep", json!("view:leed_table"), "app.json /app/home/rep: there is no view `leed_table` (lead_table?)");
    expect(
        "/app/today/calls",
        json!({"view": "lead_table", "date": "company"}),
        "app.json /app/today/calls/date: `company` is a field of kind `text`: a date is needed",
    );
    expect("/app/seed/reigon", json!({"key": ["code"]}), "app.json /app/seed/reigon: there is no entity `reigon` (region?)");
    expect(
        "/entities/lead/clocks/follow_up/calendar",
        json!("offce"),
        "entities/lead.json /entities/lead/clocks/follow_up/calendar: there is no calendar `offce` (office?)",
    );
    let found = changed(|json| json["locales"]["zh-TW"]["/entities/qoute/label"] = json!("x"));
    assert_eq!(found, ["locales/zh-TW.json /locales/zh-TW/~1entities~1qoute~1label: /entities/qoute/label leads nowhere (/entities/quote/label?)"]);
}

#[test]
fn trees_hold_everything_once() {
    expect(
        "/forms/customer_mobile/root",
        json!(["main", "main"]),
        "forms/customer_mobile.json /forms/customer_mobile/root/1: `main` stands in two places, or within itself",
    );
    expect_all(
        "/forms/customer_mobile/items/main",
        json!({"kind": "section", "children": ["main", "name", "phne"]}),
        &[
            "forms/customer_mobile.json /forms/customer_mobile/items/main/children/0: `main` stands in two places, or within itself",
            "forms/customer_mobile.json /forms/customer_mobile/items/main/children/2: there is no item or field `phne` (phone?)",
        ],
    );
    expect(
        "/forms/customer_mobile/items/lost",
        json!({"kind": "spacer"}),
        "forms/customer_mobile.json /forms/customer_mobile/items/lost: nothing leads to `lost`: add it to `root` or to the children of another item",
    );
    expect(
        "/automations/nightly/root",
        json!(["old", "each", "drop"]),
        "automations/nightly.json /automations/nightly/root/2: the step `drop` stands in two places, or within itself",
    );
    expect_all(
        "/automations/nightly/root",
        json!(["old", "eech"]),
        &[
            "automations/nightly.json /automations/nightly/root/1: there is no step `eech` (each?)",
            "automations/nightly.json /automations/nightly/steps/bin: nothing leads to the step `bin`: add it to `root` or below another step",
            "automations/nightly.json /automations/nightly/steps/drop: nothing leads to the step `drop`: add it to `root` or below another step",
            "automations/nightly.json /automations/nightly/steps/each: nothing leads to the step `each`: add it to `root` or below another step",
        ],
    );
    expect(
        "/approvals/discount/steps/both/branches/money",
        json!({"steps": ["finance", "heads"]}),
        "approvals/discount.json /approvals/discount/steps/both/branches/money/steps/1: the step `heads` stands in two places, or within itself",
    );
    expect(
        "/app/root",
        json!(["sales", "machines", "figures", "contracts"]),
        "app.json /app/root/3: the menu entry `contracts` stands in two places, or within itself",
    );
}

#[test]
fn steps_triggers_and_flows_name_what_is_there() {
    expect(
        "/automations/message_in/off",
        json!(false),
        "automations/message_in.json /automations/message_in/on/message: no channel brings messages in yet, so this would never run: let the other system call a `webhook`, or say `\"off\": true`",
    );
    expect(
        "/prints/quote/template",
        json!("quote.docx"),
        "prints/quote.json /prints/quote/template: `quote.docx`: DOCX cannot be printed yet: write HTML",
    );
    expect(
        "/automations/gone/on",
        json!({"record": "delted", "entity": "customer"}),
        "automations/gone.json /automations/gone/on/record: there is no event `delted` (deleted?)",
    );
    expect(
        "/automations/gone/on",
        json!({"recrd": "deleted"}),
        "automations/gone.json /automations/gone/on: nothing sets this off: say one of record, stage, approval, clock, schedule, date, webhook, form, message, button",
    );
    expect("/automations/gone/on/feilds", json!(["name"]), "automations/gone.json /automations/gone/on/feilds: `feilds` is not known here (fields?)");
    expect(
        "/automations/check_lead/steps/run/script",
        json!("chek_lead"),
        "automations/check_lead.json /automations/check_lead/steps/run/script: there is no script `chek_lead` (check_lead?)",
    );
    expect(
        "/automations/check_lead/steps/run/kind",
        json!("skript"),
        "automations/check_lead.json /automations/check_lead/steps/run/kind: there is no kind of step `skript` (script?)",
    );
    expect(
        "/automations/check_lead/steps/run",
        json!({"kind": "wait", "for": "PT1H"}),
        "automations/check_lead.json /automations/check_lead/steps/run/kind: `wait` reaches outside: it cannot run before the save",
    );
    expect(
        "/automations/gone/steps/tell/to",
        json!(["ownr"]),
        "automations/gone.json /automations/gone/steps/tell/to/0: `kitchen_sink.customer` has no field `ownr` (owner?)",
    );
    expect(
        "/automations/gone/steps/tell/to",
        json!([{"role": "manger"}]),
        "automations/gone.json /automations/gone/steps/tell/to/0/role: there is no role `manger` (manager?)",
    );
    expect(
        "/automations/plan_visits/steps/task/values/onwer",
        json!({"from": "owner"}),
        "automations/plan_visits.json /automations/plan_visits/steps/task/values/onwer: `core.task` has no field `onwer` (owner?)",
    );
    expect(
        "/approvals/discount/steps/again/to",
        json!("hedas"),
        "approvals/discount.json /approvals/discount/steps/again/to: there is no step `hedas` (heads?)",
    );
    expect(
        "/approvals/discount/on_aproved",
        json!({}),
        "approvals/discount.json /approvals/discount/on_aproved: `on_aproved` is not known here (on_approved?)",
    );
    expect(
        "/approvals/discount/steps/paper/fields/totl",
        json!("read"),
        "approvals/discount.json /approvals/discount/steps/paper/fields/totl: `kitchen_sink.quote` has no field `totl` (total?)",
    );
    let deep = [
        (
            "/automations/gone/steps/tell/subjct",
            json!("Gone"),
            "automations/gone.json /automations/gone/steps/tell/subjct: `subjct` is not known here (subject?)",
        ),
        (
            "/automations/gone/steps/tell/to",
            json!([{"role": "manager", "were": {"all": []}}]),
            "automations/gone.json /automations/gone/steps/tell/to/0/were: `were` is not known here (where?)",
        ),
        (
            "/automations/plan_visits/steps/task/if",
            json!(7),
            "automations/plan_visits.json /automations/plan_visits/steps/task/if: expected string or object, found number",
        ),
        (
            "/approvals/discount/steps/paper/labl",
            json!("Paper"),
            "approvals/discount.json /approvals/discount/steps/paper/labl: `labl` is not known here (label?)",
        ),
        (
            "/approvals/discount/on_rejected",
            json!({"steps": {"say": {"kind": "notify", "to": ["owner"], "subject": "No", "body": "No", "robot": {}}}, "root": ["say"]}),
            "approvals/discount.json /approvals/discount/on_rejected/steps/say/robot: `robot` is not known here (robots?)",
        ),
        ("/approvals/discount/settings/lok", json!({}), "approvals/discount.json /approvals/discount/settings/lok: `lok` is not known here (lock?)"),
    ];
    for (pointer, value, expected) in deep {
        expect(pointer, value, expected);
    }
    expect("/approvals/discount/start/by", json!(["rap"]), "approvals/discount.json /approvals/discount/start/by/0: there is no role `rap` (rep?)");
}

/// What the engine would drop or could never decide is told before it is published.
#[test]
fn flows_that_could_not_work() {
    let at = "approvals/discount.json /approvals/discount";
    let own = |key: &str| format!("{at}/{key}: `kitchen_sink.quote` has no field `account.name`");
    for key in ["watched", "summary", "lock/editable", "lock/fields"] {
        expect(&format!("/approvals/discount/settings/{key}"), json!(["account.name"]), &own(&format!("settings/{key}/0")));
    }
    let months = |key: &str| format!("{at}/{key}: `P1M` has no fixed length: say it in days or hours, as P30D");
    expect("/approvals/discount/settings/revoke_within", json!("P1M"), &months("settings/revoke_within"));
    expect("/approvals/discount/steps/heads/timeouts", json!([{"after": "P1M", "do": "remind"}]), &months("steps/heads/timeouts/0/after"));
    for (mode, key, told) in [
        (json!({"kind": "percent", "percent": 0}), "mode/percent", "0 cannot decide anything: expected 1 to 100"),
        (json!({"kind": "percent", "percent": 101}), "mode/percent", "101 cannot decide anything: expected 1 to 100"),
        (json!({"kind": "count", "approvals": 0}), "mode/approvals", "0 cannot decide anything: expected at least 1"),
        (json!({"kind": "weight", "weight": 0}), "mode/weight", "0 cannot decide anything: expected at least 1"),
    ] {
        expect("/approvals/discount/steps/heads/mode", mode, &format!("{at}/steps/heads/{key}: {told}"));
    }
    let weightless = json!([{"by": "owner", "weight": 0}]);
    let told = format!("{at}/steps/heads/approvers/0/weight: 0 cannot decide anything: expected at least 1");
    expect("/approvals/discount/steps/heads/approvers", weightless, &told);
    let found = changed(|json| {
        json["approvals"]["discount"]["steps"]["round"] = json!({"kind": "subflow", "approval": "discount"});
        json["approvals"]["discount"]["root"].as_array_mut().expect("a list").push("round".into());
    });
    assert_eq!(found, [format!("{at}/steps/round/approval: flows would start one another without end: this leads back to `discount`")]);
    let found = changed(|json| {
        let wait = json!({"kind": "action", "steps": {"later": {"kind": "wait", "for": "P1D"}}, "root": ["later"]});
        json["approvals"]["discount"]["steps"]["pause"] = wait;
        json["approvals"]["discount"]["root"].as_array_mut().expect("a list").push("pause".into());
    });
    let told = "the flow goes on when these steps are done: put a step of kind `delay` beside this one";
    assert_eq!(found, [format!("{at}/steps/pause/steps/later/kind: {told}")]);
}

#[test]
fn scenarios_speak_known_words() {
    let scenario = |steps: Json| json!({"users": {"amy": {"roles": ["rep"]}}, "steps": steps});
    expect_all(
        "/scenarios/x",
        scenario(json!([
            {"as": "amy", "create": "lead", "values": {"company": "A"}, "save": "l"},
            {"as": "any", "update": "$l", "vales": {}},
            {"as": "amy", "mvoe": "$l", "to": "qualified"},
            {"as": "amy", "move": "$d", "to": "qualified"},
            {"create": "lead", "values": {"compny": "A"}},
            {"create": "lead", "values": {"compny": "A"}, "expect_error": {"cod": "unknown_field"}},
            {"create": "lead", "delete": "$l"},
            {"advance_clock": "3 days"},
        ])),
        &[
            "scenarios/x.json /scenarios/x/steps/1/as: there is no person `any` (amy?)",
            "scenarios/x.json /scenarios/x/steps/1/vales: `vales` is not known here (values?)",
            "scenarios/x.json /scenarios/x/steps/2: this step does nothing that is known (move?)",
            "scenarios/x.json /scenarios/x/steps/3/move: there is no saved record `d`",
            "scenarios/x.json /scenarios/x/steps/4/values/compny: `kitchen_sink.lead` has no field `compny` (company?)",
            "scenarios/x.json /scenarios/x/steps/5/expect_error/cod: `cod` is not known here (code?)",
            "scenarios/x.json /scenarios/x/steps/6: a step does one thing: create, delete",
            "scenarios/x.json /scenarios/x/steps/7/advance_clock: `3 days` is no duration such as P14D or PT4H",
        ],
    );
}

#[test]
fn extensions_and_needs_are_held() {
    let extension = |fields: Json| json!({"extends": "core.user", "fields": fields});
    expect(
        "/entities/core.user/fields/email",
        json!({"kind": "text"}),
        "entities/core.user.json /entities/core.user/fields/email: `core.user` has a field `email` already, of the app `core`",
    );
    expect(
        "/entities/core.department/unique",
        json!({"one_name": {"fields": ["name"]}}),
        "entities/core.department.json /entities/core.department/unique/one_name: `core.department` has this name in `unique` already, of the app `core`",
    );
    expect(
        "/entities/core.user/owner",
        json!("required"),
        "entities/core.user.json /entities/core.user/owner: an extension adds fields, rules, unique keys, clocks and indexes: `owner` is the entity's own",
    );
    expect_all(
        "/entities/core.usr",
        json!({"extends": "core.usr", "fields": {"x": {"kind": "text"}}}),
        &["entities/core.usr.json /entities/core.usr/extends: there is no entity `core.usr` (core.user?)"],
    );
    expect(
        "/entities/core.note",
        json!({"fields": {"x": {"kind": "text"}}}),
        "entities/core.note.json /entities/core.note: a document called `core.note` adds to that entity: it says `\"extends\": \"core.note\"`",
    );
    expect(
        "/entities/user",
        extension(json!({"nick": {"kind": "text"}})),
        "entities/user.json /entities/user/extends: the document is called `user`: what extends `core.user` is called so too",
    );
    expect("/app/requires/core", json!("^2"), "app.json /app/requires/core: `core` is installed in version 1.0.0, which ^2 does not take in");
    let missing = changed(|json| json["app"]["requires"] = json!({"cor": "^1"}));
    assert!(missing.contains(&"app.json /app/requires/cor: there is no app `cor` (core?)".to_owned()), "{missing:?}");
    assert!(missing.iter().any(|fault| fault.ends_with("`requires` in app.json does not name the app `core` (cor?)")), "{missing:?}");
}

#[test]
fn options_of_another_app_are_added_to() {
    let read = |json: Json| Arc::new(package::app_from_json(&json).unwrap_or_else(|faults| panic!("{}", told(&faults))));
    let base = json!({
        "app": {"name": "base", "version": "1.0.0"},
        "entities": {"deal": {"fields": {"sector": {"kind": "choice", "options": "sector"}}}},
        "options": {"sector": {"options": {"steel": {}}}}
    });
    let more = |options: Json| json!({"app": {"name": "more", "version": "1.0.0", "requires": {"base": "^1"}}, "options": {"sectors": {"extends": "base.sector", "options": options}}});
    let name = |text: &str| Name::parse(text).expect("a name");
    let mut apps = IndexMap::from([(name("base"), read(base)), (name("more"), read(more(json!({"wood": {}}))))]);
    assert_eq!(lines(&apps, &name("more")), [] as [&str; 0]);
    let schema = model::schema::build(&apps, &model::schema::Layout::default(), &|_| false, &model::field::sealed::no_key())
        .unwrap_or_else(|faults| panic!("{}", told(&faults)));
    let sector = schema.find("base.deal").and_then(|deal| deal.find("sector")).expect("the field");
    let model::field::Role::Choice { options, .. } = &sector.role else { panic!("no choice") };
    assert_eq!(options.keys().map(Name::as_str).collect::<Vec<_>>(), ["steel", "wood"]);
    apps.insert(name("more"), read(more(json!({"steel": {}}))));
    assert_eq!(lines(&apps, &name("more")), ["options/sectors.json /options/sectors/options/steel: `base.sector` has an option `steel` already"]);
}

#[test]
fn values_and_kinds_fit() {
    expect(
        "/entities/lead/fields/x",
        json!({"kind": "integer", "default": "many"}),
        "entities/lead.json /entities/lead/fields/x/default: the field does not take its own default: Expected 1.23",
    );
    expect(
        "/entities/lead/fields/x",
        json!({"kind": "choice", "options": {"a": {}}, "default": "b"}),
        "entities/lead.json /entities/lead/fields/x/default: the field does not take its own default: “b” is not one of the options",
    );
    expect(
        "/entities/lead/fields/x",
        json!({"kind": "money", "currency": "euro"}),
        "entities/lead.json /entities/lead/fields/x/currency: `euro` is no ISO 4217 code",
    );
    expect(
        "/entities/lead/fields/x",
        json!({"kind": "reference", "to": "region", "tree": true}),
        "entities/lead.json /entities/lead/fields/x/tree: a tree's parent is a record of the same entity",
    );
    expect(
        "/entities/lead/fields/x",
        json!({"kind": "formula", "expr": "1", "required": true}),
        "entities/lead.json /entities/lead/fields/x/required: `x` is computed: `required` has nothing to say",
    );
    expect("/views/lead_table/kind", json!("gallery"), "views/lead_table.json /views/lead_table/image: `image` is missing: the picture of a card");
    expect(
        "/dashboards/everything/widgets/pie/at",
        json!({"x": 10, "y": 0, "w": 3, "h": 1}),
        "dashboards/everything.json /dashboards/everything/widgets/pie/at: the grid has 12 columns: x and w together are 12 at most",
    );
    expect(
        "/calendars/office/zone",
        json!("Asia/Shangai"),
        "calendars/office.json /calendars/office/zone: `Asia/Shangai` is no time zone such as Asia/Shanghai",
    );
    expect(
        "/pipelines/visits/stages/arrived/probability",
        json!(101),
        "pipelines/visits.json /pipelines/visits/stages/arrived/probability: a probability is a number from 0 to 100",
    );
    expect(
        "/conversions/qualify/order",
        json!(["quote", "customer", "contact"]),
        "conversions/qualify.json /conversions/qualify/targets/quote/values/customer/target: `customer` is made after `quote`: put it before in `order`",
    );
}

#[test]
fn sizes_are_limited() {
    let leaf = json!({"field": "score", "op": ">", "value": 1});
    let deep = (0..8).fold(leaf.clone(), |inner, _| json!({"not": inner}));
    expect("/views/lead_table/filter", deep, "views/lead_table.json /views/lead_table/filter: a filter is nested 8 deep at most");
    expect(
        "/views/lead_table/filter",
        json!({"all": vec![leaf; 201]}),
        "views/lead_table.json /views/lead_table/filter: 201 conditions: a filter has 200 at most",
    );
    let many: serde_json::Map<String, Json> = (0..401).map(|index| (format!("f{index}"), json!({"kind": "boolean"}))).collect();
    expect("/entities/many", json!({"fields": many}), "entities/many.json /entities/many/fields: 401 fields: an entity has 400 at most");
    let far_too_many: serde_json::Map<String, Json> = (0..10_000).map(|index| (format!("f{index}"), json!({"kind": "text"}))).collect();
    expect("/entities/many", json!({"fields": far_too_many}), "entities/many.json /entities/many/fields: 10000 fields: an entity has 400 at most");
    let found = changed(|json| {
        for index in 0..300 {
            json["entities"][format!("e{index}")] = json!({"fields": {"a": {"kind": "boolean"}}});
        }
    });
    assert_eq!(found, ["- /entities: 313 entities: an app has 300 at most"]);
    expect("/scripts/long", json!("x".repeat(1_000_001)), "scripts/long.rhai /scripts/long: 1000003 bytes: a document has 1000000 at most");
    expect(
        "/entities/lead/fields/x",
        json!({"kind": "lookup", "path": "owner.manager.manager.manager.manager.name"}),
        "entities/lead.json /entities/lead/fields/x/path: `owner.manager.manager.manager.manager.name` walks more than 4 references",
    );
}

#[test]
fn everything_is_told_in_one_run() {
    let core = read("engine/core_app").app;
    let files = [
        ("app.json", r#"{"name": "shop", "version": "1.0.0", "requires": {"core": "^1"}, "home": {"rep": "view:deals"}}"#),
        (
            "entities/deal.json",
            r#"{"fields": {"name": {"kind": "tekst", "max_length": 10}, "amount": {"kind": "money", "mni": 0}, "account": {"kind": "reference", "to": "acount"}}}"#,
        ),
        ("entities/account.json", "{\"fields\": {,}}"),
        ("views/deals.json", r#"{"entity": "deal", "kind": "tabel", "columns": {"name": {}, "amuont": {}}, "sort": ["acount.name"]}"#),
        ("views/accounts.json", r#"{"entity": "account"}"#),
        (
            "forms/deal.json",
            r#"{"entity": "deal", "items": {"main": {"kind": "section", "children": ["name", "amont"], "colums": 2}}, "root": ["main"]}"#,
        ),
        ("roles/rep.json", r#"{"entities": {"deal": {"read": "al"}, "lead": {"read": "all"}}}"#),
    ];
    let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect();
    let examined = package::examine(None, files);
    let name = |text: &str| Name::parse(text).expect("a name");
    let apps = IndexMap::from([(name("core"), Arc::new(core)), (name("shop"), Arc::new(examined.package.app.clone()))]);
    let later: Vec<_> = check::check(&apps, &name("shop")).into_iter().filter(|fault| !examined.may_explain(fault)).collect();
    let mut all: Vec<String> = told(&[examined.faults, later].concat()).lines().map(str::to_owned).collect();
    all.sort();
    assert_eq!(
        all,
        [
            "entities/account.json /entities/account: not valid JSON: key must be a string at line 1 column 13",
            "entities/deal.json /entities/deal/fields/account/to: there is no entity `acount`",
            "entities/deal.json /entities/deal/fields/amount/mni: `mni` is not known here (min?)",
            "entities/deal.json /entities/deal/fields/name/kind: there is no `tekst` (text?)",
            "forms/deal.json /forms/deal/items/main/children/1: there is no item or field `amont` (amount?)",
            "forms/deal.json /forms/deal/items/main/colums: `colums` is not known here (columns?)",
            "roles/rep.json /roles/rep/entities/deal/read: `al` is not one of none, own, reports, department, department_and_below, all (all?)",
            "roles/rep.json /roles/rep/entities/lead: there is no entity `lead`",
            "views/deals.json /views/deals/columns/amuont: `shop.deal` has no field `amuont` (amount?)",
            "views/deals.json /views/deals/kind: `tabel` is not one of table, board, calendar, timeline, gallery (table?)",
            "views/deals.json /views/deals/sort/0: `shop.deal` has no field `acount` (account?)",
        ]
    );
}
