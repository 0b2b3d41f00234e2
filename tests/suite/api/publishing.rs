//! In charge of what a publish does with what is there: values that are filled, stages that go, edits of the workspace.
//! Invariant: nobody's record and nobody's edit is lost; a person is asked where the engine cannot know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use serde_json::{Value as Json, json};
use tests::app::App;
use tests::client::Answer;
use tests::folders::{edit, sales, zip};
use tests::on_both;
use tests::recount::recount;

/// Installs files with what is said to the publish.
async fn install(app: &App, files: &[(String, Vec<u8>)], said: &[(&str, Json)]) -> Answer {
    let admin = app.admin();
    let said = said.iter().map(|(name, json)| (*name, json.as_str().map_or_else(|| json.to_string(), str::to_owned)));
    let url = reqwest::Url::parse_with_params("http://nowhere/design/apps", said).expect("an address");
    let path = format!("/design/apps?{}", url.query().unwrap_or_default());
    admin.send(admin.request(Method::POST, &path).header("content-type", "application/zip").body(zip(files))).await
}

/// What the workspace makes of the sales app.
async fn change(app: &App, change: impl FnOnce(&mut model::doc::App)) {
    let mut package = model::doc::Package::clone(&app.engine.current().packages["sales"]);
    change(&mut package.app);
    app.engine.publish(&app.engine.system(), vec![package], "by hand").await.expect("it is sound");
}

fn without_engaging(files: &mut [(String, Vec<u8>)]) {
    edit(files, "pipelines/sales.json", |pipeline| {
        let stages = pipeline["stages"].as_object_mut().expect("stages");
        stages.shift_remove("engaging");
        for stage in stages.values_mut() {
            if let Some(next) = stage.get_mut("next").and_then(Json::as_object_mut) {
                next.shift_remove("engaging");
            }
        }
    });
    let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).filter(|name| name.ends_with(".json")).collect();
    for name in names {
        edit(files, &name, leave_out);
    }
}

/// No list of stages names it any more.
fn leave_out(json: &mut Json) {
    match json {
        Json::Array(items) => {
            items.retain(|item| item != "engaging");
            items.iter_mut().for_each(leave_out);
        }
        Json::Object(map) => map.values_mut().for_each(leave_out),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

on_both! {
    /// Values that a publish adds are right for every record, also for those that others write while it fills; what was
    /// computed before stays right for them until the switch.
    async fn many_records_are_filled_beside_writers(app) {
        let admin = app.admin();
        let product = app.product("GTX", "550").await;
        for batch in 0..2 {
            let rows: Vec<_> = (0..400).map(|n| json!({"op": "create", "values": {"name": format!("Account {batch}-{n}"), "employees": n}})).collect();
            admin.post("/records/sales.account/batch", json!({"operations": rows})).await.is(200);
        }
        let accounts: Vec<String> = admin.pages("sales.account", &[("limit", "500")]).await.iter().map(tests::client::id_of).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..3_usize).map(|writer| {
            let (admin, accounts, product, stop) = (app.admin(), accounts.clone(), product.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut deals: Vec<String> = Vec::new();
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let account = &accounts[(n * 7 + writer * 131) % accounts.len()];
                    match n % 4 {
                        0 | 1 => deals.push(admin.create_id("sales.deal", json!({"product": product, "account": account, "close_value": n})).await),
                        2 => drop(admin.change("sales.account", account, json!({"employees": n})).await),
                        _ => match deals.pop() {
                            Some(deal) if n % 8 == 3 => drop(admin.delete(&format!("/records/sales.deal/{deal}")).await),
                            Some(deal) => drop(admin.change("sales.deal", &deal, json!({"account": account, "close_value": n + 1})).await),
                            None => {}
                        },
                    }
                }
            })
        }).collect();
        for round in 1..=3 {
            let mut files = sales();
            edit(&mut files, "entities/deal.json", |entity| entity["fields"]["more"] = json!({"kind": "formula", "label": "More", "result": "money", "expr": format!("close_value * {round}")}));
            edit(&mut files, "entities/account.json", |entity| {
                entity["fields"]["staff"] = json!({"kind": "formula", "label": "Staff", "result": "integer", "expr": format!("employees + {round}")});
                entity["fields"]["most"] = json!({"kind": "rollup", "label": "Most", "of": "deals", "fn": "sum", "field": "more"});
                entity["fields"]["many"] = json!({"kind": "rollup", "label": "Many", "of": "deals", "fn": "count"});
            });
            let answer = install(&app, &files, &[]).await;
            assert!(answer.status.is_success(), "{}", answer.text());
        }
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.await.expect("a writer");
        }
        recount(&admin).await;
        let deals = admin.pages("sales.deal", &[("limit", "500")]).await;
        for deal in &deals {
            let cents = |value: &Json| tests::recount::cents(value);
            assert!(deal["more"].is_null() == deal["close_value"].is_null() && (deal["more"].is_null() || cents(&deal["more"]) == cents(&deal["close_value"]) * 3), "{deal}");
        }
        for account in admin.pages("sales.account", &[("limit", "500")]).await {
            let own: Vec<&Json> = deals.iter().filter(|deal| deal["account"] == account["id"]).collect();
            assert_eq!(account["staff"], account["employees"].as_i64().expect("a number") + 3, "{account}");
            assert_eq!(account["many"], own.len(), "{account}");
            assert_eq!(tests::recount::cents(&account["most"]), own.iter().map(|deal| tests::recount::cents(&deal["more"])).sum::<i64>(), "{account}");
        }
        assert!(app.engine.leftovers().await.expect("they can be read").is_empty());
    }

    /// A stage that records are in goes only when somebody says where they go; history keeps its name.
    async fn a_stage_that_goes_asks_where_its_records_go(app) {
        let (admin, ann) = (app.admin(), app.ann().await);
        let account = app.account("Acme").await;
        let deal = app.deal_id(&ann, json!({"account": account, "engage_date": "2026-03-01", "close_value": 10})).await;
        ann.step("sales.deal", &deal, json!({"stage": "engaging"})).await.is(200);
        let mut files = sales();
        without_engaging(&mut files);
        let asked = install(&app, &files, &[]).await.problem(422, "needs_target");
        assert_eq!((&asked["errors"][0]["field"], &asked["errors"][0]["value"], &asked["errors"][0]["count"]), (&json!("sales.deal.stage"), &json!("engaging"), &json!(1)));
        assert!(asked["errors"][0]["offered"].as_array().expect("a list").contains(&json!("prospecting")));
        assert_eq!(admin.read("sales.deal", &deal).await["stage"], "engaging");
        let wrong = install(&app, &files, &[("targets", json!({"sales.deal.stage": {"engaging": "nowhere"}}))]).await;
        wrong.problem(422, "needs_target");
        let done = install(&app, &files, &[("targets", json!({"sales.deal.stage": {"engaging": "prospecting"}}))]).await;
        assert!(done.status.is_success(), "{}", done.text());
        assert_eq!(admin.read("sales.deal", &deal).await["stage"], "prospecting");
        let history = admin.get(&format!("/records/sales.deal/{deal}/history")).await.ok(200);
        assert_eq!((&history["data"][0]["cause"], &history["data"][0]["changes"][0]["before"]), (&json!("publish"), &json!("engaging")), "{history}");
        recount(&admin).await;
    }

    /// A new version takes nothing from the workspace: what only one side changed is taken, what both did is asked for.
    async fn an_upgrade_keeps_what_the_workspace_changed(app) {
        let admin = app.admin();
        let label = |text: &str| model::Label::Plain(text.to_owned());
        change(&app, |sales| {
            let account = sales.entities.get_mut("account").expect("there");
            account.fields.get_mut("revenue").expect("there").common.label = Some(label("Turnover"));
            account.fields.get_mut("employees").expect("there").common.label = Some(label("Heads"));
        }).await;
        let mut files = sales();
        edit(&mut files, "entities/account.json", |entity| {
            entity["fields"]["employees"]["label"] = json!("People");
            entity["fields"]["website"] = json!({"kind": "url", "label": "Website"});
        });
        let before = admin.get("/design/revisions").await.ok(200)["data"][0]["number"].clone();
        let asked = install(&app, &files, &[]).await.problem(409, "conflicts");
        let errors = asked["errors"].as_array().expect("a list");
        assert_eq!(errors.len(), 1, "{asked}");
        assert_eq!((&errors[0]["pointer"], &errors[0]["ours"], &errors[0]["theirs"]), (&json!("/entities/account/fields/employees/label"), &json!("Heads"), &json!("People")));
        assert_eq!(admin.get("/design/revisions").await.ok(200)["data"][0]["number"], before);
        let chosen = install(&app, &files, &[("choices", json!({"/entities/account/fields/employees/label": "theirs"}))]).await;
        assert!(chosen.status.is_success(), "{}", chosen.text());
        let account = app.engine.current().app("sales").expect("there").entities["account"].clone();
        let shown = |name: &str| account.fields[name].common.label.as_ref().map(|label| label.get("en").to_owned());
        assert_eq!((shown("revenue").as_deref(), shown("employees").as_deref()), (Some("Turnover"), Some("People")));
        assert!(account.fields.contains_key("website"));
        // The same version again: nothing is left to choose, and the edit is still there.
        let again = install(&app, &files, &[]).await;
        assert!(again.status.is_success(), "{}", again.text());
        let account = app.engine.current().app("sales").expect("there").entities["account"].clone();
        assert_eq!(account.fields["revenue"].common.label.as_ref().map(|label| label.get("en")), Some("Turnover"));
    }

    /// An app that another builds on cannot lose what that one uses.
    async fn apps_that_build_on_it_are_looked_at(app) {
        let dependent = json!({
            "app": {"name": "extra", "label": "Extra", "version": "1.0.0", "format": 1, "requires": {"core": "^1", "sales": "^1"}},
            "views": {"big": {"label": "Big", "kind": "table", "entity": "sales.account", "columns": {"name": {}}, "filter": {"field": "employees", "op": ">", "value": 10}}},
        });
        app.admin().post("/design/apps", dependent).await.is(201);
        let mut files = sales();
        edit(&mut files, "entities/account.json", |entity| {
            entity["fields"].as_object_mut().expect("fields").shift_remove("employees");
        });
        for (name, bytes) in &mut files {
            // Nothing of its own speaks of the field any more.
            if name.ends_with(".json") && name != "entities/account.json" {
                let text = String::from_utf8(bytes.clone()).expect("text");
                *bytes = text.replace("\"employees\", ", "").replace(", \"employees\"", "").into_bytes();
            }
        }
        let answer = install(&app, &files, &[]).await;
        answer.is(422);
        assert!(answer.text().contains("in the app `extra`"), "{}", answer.text());
    }

    /// Opening the workspace again makes no revision.
    async fn a_publish_is_read_back_as_it_was(app) {
        let current = app.engine.current();
        assert_eq!(current.shipped.get("core"), current.packages.get("core"));
        assert_eq!(**current.shipped.get("core").expect("there"), engine::core_package().expect("sound"));
    }

    /// Records that agree already keep a field from becoming unique, and are named.
    async fn what_agrees_cannot_become_unique(app) {
        for name in ["Acme", "Globex"] {
            app.admin().create("sales.account", json!({"name": name, "office_location": "Berlin"})).await;
        }
        let mut files = sales();
        edit(&mut files, "entities/account.json", |entity| entity["fields"]["office_location"]["unique"] = json!(true));
        let answer = install(&app, &files, &[]).await;
        let problem = answer.problem(422, "invalid_documents");
        assert!(problem["errors"][0]["pointer"].as_str().is_some_and(|pointer| pointer.ends_with("office_location/unique")), "{problem}");
        app.admin().create("sales.account", json!({"name": "Initech", "office_location": "Berlin"})).await;
    }

    /// A rule that comes later leaves records alone until somebody writes them; they are listed.
    async fn a_rule_holds_at_the_next_write(app) {
        let admin = app.admin();
        let id = admin.create_id("sales.account", json!({"name": "Acme", "employees": 3})).await;
        admin.create("sales.account", json!({"name": "Globex", "employees": 30})).await;
        let mut files = sales();
        edit(&mut files, "entities/account.json", |entity| entity["rules"]["large"] = json!({"require": "employees >= 10", "message": {"en": "Too small"}}));
        assert!(install(&app, &files, &[]).await.status.is_success());
        let failing = app.engine.examine().await.expect("it can be looked over").failing;
        assert_eq!(failing.len(), 1, "{failing:?}");
        assert_eq!((failing[0].count, failing[0].reason.as_str(), failing[0].some[0].to_string()), (1, "Too small", id.clone()));
        admin.patch(&format!("/records/sales.account/{id}"), json!({"name": "Acme Ltd"})).await.is(422);
    }

    /// What an expression in a document names is looked up before it is published, wherever it stands.
    async fn expressions_in_documents_are_tried(app) {
        let document = json!({
            "app": {"name": "extra", "label": "Extra", "version": "1.0.0", "format": 1, "requires": {"core": "^1", "sales": "^1"}},
            "imports": {"firms": {"entity": "sales.account", "values": {"name": {"expr": "row[\"A\"]"}, "employees": {"expr": "rwo[\"B\"]"}}}},
            "automations": {"follow": {
                "on": {"record": "created", "entity": "sales.account"},
                "steps": {"task": {"kind": "create", "entity": "core.task", "values": {"subject": {"expr": "record.nmae"}}}},
                "root": ["task"],
            }},
        });
        let problem = app.admin().post("/design/apps", document).await.problem(422, "invalid_documents");
        let pointers: Vec<&str> = problem["errors"].as_array().expect("a list").iter().filter_map(|error| error["pointer"].as_str()).collect();
        assert_eq!(pointers, ["/automations/follow/steps/task/values/subject", "/imports/firms/values/employees/expr"], "{problem}");
    }
}
