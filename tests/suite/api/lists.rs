//! In charge of lists over HTTP: filter, order, pages, far fields, titles, expansion, words, totals.
//! Invariant: pages followed to the end hold every row once, in order, whatever the page size.

use serde_json::{Value as Json, json};
use tests::app::App;
use tests::client::{Client, column};
use tests::on_both;

async fn accounts(app: &App) -> Client {
    let admin = app.admin();
    for (name, sector, employees, office) in [
        ("Acme", Some("technology"), Some(10), Some("Oslo")),
        ("beta", Some("retail"), Some(20), Some("oslo")),
        ("Gamma", Some("retail"), None, None),
        ("Ärger", None, Some(30), Some("Berlin")),
        ("张三公司", Some("medical"), Some(40), Some("上海")),
        ("李四公司", Some("technology"), Some(50), Some("北京")),
    ] {
        admin.create("sales.account", json!({"name": name, "sector": sector, "employees": employees, "office_location": office})).await;
    }
    admin
}

async fn names(client: &Client, filter: Json) -> Vec<String> {
    let mut names = column(&client.find("sales.account", filter).await, "name");
    names.sort();
    names
}

on_both! {
    /// Every operator means on both databases what the page on filters says.
    async fn filters_select(app) {
        let admin = accounts(&app).await;
        for (filter, expected) in [
            (json!({"field": "name", "op": "=", "value": "ACME"}), vec!["Acme"]),
            (json!({"field": "office_location", "op": "=", "value": "OSLO"}), vec!["Acme", "beta"]),
            (json!({"field": "office_location", "op": "!=", "value": "oslo"}), vec!["Gamma", "Ärger", "张三公司", "李四公司"]),
            (json!({"field": "office_location", "op": "contains", "value": "SL"}), vec!["Acme", "beta"]),
            (json!({"field": "office_location", "op": "not_contains", "value": "SL"}), vec!["Gamma", "Ärger", "张三公司", "李四公司"]),
            (json!({"field": "name", "op": "starts_with", "value": "äR"}), vec!["Ärger"]),
            (json!({"field": "name", "op": "ends_with", "value": "公司"}), vec!["张三公司", "李四公司"]),
            (json!({"field": "employees", "op": ">", "value": 20}), vec!["Ärger", "张三公司", "李四公司"]),
            (json!({"field": "employees", "op": "<=", "value": 20}), vec!["Acme", "beta"]),
            (json!({"field": "employees", "op": "between", "value": [20, 40]}), vec!["beta", "Ärger", "张三公司"]),
            (json!({"field": "employees", "op": "!=", "value": 20}), vec!["Acme", "Gamma", "Ärger", "张三公司", "李四公司"]),
            (json!({"not": {"field": "employees", "op": ">", "value": 20}}), vec!["Acme", "Gamma", "beta"]),
            (json!({"field": "sector", "op": "in", "value": ["retail", "medical"]}), vec!["Gamma", "beta", "张三公司"]),
            (json!({"field": "sector", "op": "not_in", "value": ["retail", "medical"]}), vec!["Acme", "Ärger", "李四公司"]),
            (json!({"field": "sector", "op": "in", "value": []}), vec![]),
            (json!({"field": "sector", "op": "is_empty"}), vec!["Ärger"]),
            (json!({"field": "sector", "op": "is_set"}), vec!["Acme", "Gamma", "beta", "张三公司", "李四公司"]),
            (json!({"all": []}), vec!["Acme", "Gamma", "beta", "Ärger", "张三公司", "李四公司"]),
            (json!({"any": []}), vec![]),
            (json!({"field": "name", "op": "contains", "value": "%"}), vec![]),
            (json!({"field": "name", "op": "contains", "value": "_"}), vec![]),
            (json!({"field": "created_by", "op": "=", "value": "$me"}), vec!["Acme", "Gamma", "beta", "Ärger", "张三公司", "李四公司"]),
            (json!({"field": "created_at", "op": "within", "value": "today"}), vec!["Acme", "Gamma", "beta", "Ärger", "张三公司", "李四公司"]),
        ] {
            assert_eq!(names(&admin, filter.clone()).await, expected, "{filter}");
        }
    }

    /// Filters reach over references and to what points here.
    async fn filters_walk(app) {
        let (ann, admin) = (app.ann().await, app.admin());
        let (acme, other) = (app.account("Acme").await, app.account("Other").await);
        let south = admin.create_id("sales.account", json!({"name": "Acme South", "parent": acme, "sector": "retail"})).await;
        let one = app.deal_id(&ann, json!({"account": acme, "close_value": 10})).await;
        let two = app.deal_id(&ann, json!({"account": south, "close_value": 20})).await;
        let three = app.deal_id(&ann, json!({"close_value": 30})).await;
        let ids = async |filter: Json| { let mut ids = column(&ann.find("sales.deal", filter).await, "id"); ids.sort(); ids };
        let sorted = |list: &[&String]| { let mut ids: Vec<String> = list.iter().map(|id| (*id).clone()).collect(); ids.sort(); ids };
        assert_eq!(ids(json!({"field": "account.sector", "op": "=", "value": "retail"})).await, sorted(&[&two]));
        assert_eq!(ids(json!({"field": "account.parent.name", "op": "=", "value": "acme"})).await, sorted(&[&two]));
        assert_eq!(ids(json!({"field": "account", "op": "is_empty"})).await, sorted(&[&three]));
        assert_eq!(ids(json!({"field": "account", "op": "under", "value": acme})).await, sorted(&[&one, &two]));
        assert_eq!(ids(json!({"field": "account", "op": "=", "value": other})).await, Vec::<String>::new());
        assert_eq!(names(&admin, json!({"some": "deals", "where": {"field": "close_value", "op": ">", "value": 15}})).await, ["Acme South"]);
        assert_eq!(names(&admin, json!({"none": "deals"})).await, ["Other"]);
        assert_eq!(names(&admin, json!({"every": "deals", "where": {"field": "close_value", "op": "<", "value": 15}})).await, ["Acme", "Other"]);
    }

    /// What a filter cannot mean is refused with its place.
    async fn wrong_filters_are_refused(app) {
        let admin = app.admin();
        for (filter, code) in [
            (json!({"field": "nothing", "op": "=", "value": 1}), "unknown_field"),
            (json!({"field": "name.first", "op": "=", "value": 1}), "unknown_field"),
            (json!({"field": "employees", "op": "contains", "value": 1}), "malformed"),
            (json!({"field": "employees", "op": "like", "value": 1}), "malformed"),
            (json!({"field": "employees", "op": "=", "value": "many"}), "malformed"),
            (json!({"field": "employees", "op": "=", "value": null}), "malformed"),
            (json!({"field": "name"}), "malformed"),
            (json!({"some": "nobody"}), "unknown_field"),
            (json!([]), "malformed"),
            (json!("name"), "malformed"),
            (json!({"all": {"field": "name", "op": "=", "value": "x"}}), "malformed"),
        ] {
            let answer = admin.ask("/records/sales.account", &[("filter", &filter.to_string())]).await;
            assert_eq!(answer.status.as_u16(), 400, "{filter}: {}", answer.text());
            let codes = [answer.json()["code"].clone(), answer.json()["errors"][0]["code"].clone()];
            assert!(codes.iter().any(|one| one == code || one == "wrong_type"), "{filter}: {}", answer.text());
        }
        admin.ask("/records/sales.account", &[("filter", "{not json")]).await.problem(400, "malformed");
        let mut deep = json!({"field": "name", "op": "=", "value": "x"});
        for _ in 0..9 {
            deep = json!({"not": deep});
        }
        admin.ask("/records/sales.account", &[("filter", &deep.to_string())]).await.is(400);
        let wide: Vec<Json> = (0..201).map(|n| json!({"field": "employees", "op": "=", "value": n})).collect();
        admin.ask("/records/sales.account", &[("filter", &json!({"any": wide}).to_string())]).await.is(400);
    }

    /// The order is the same on both databases: text as people read it, empties smallest, choices as they are listed.
    async fn order_is_the_same_everywhere(app) {
        let admin = accounts(&app).await;
        let by = async |sort: &str| column(&admin.list("sales.account", &[("sort", sort)]).await, "name");
        assert_eq!(by("name").await, ["李四公司", "张三公司", "Acme", "Ärger", "beta", "Gamma"], "pinyin: li before zhang");
        assert_eq!(by("-name").await, ["Gamma", "beta", "Ärger", "Acme", "张三公司", "李四公司"]);
        assert_eq!(by("employees").await, ["Gamma", "Acme", "beta", "Ärger", "张三公司", "李四公司"]);
        assert_eq!(by("-employees").await, ["李四公司", "张三公司", "Ärger", "beta", "Acme", "Gamma"]);
        assert_eq!(by("office_location,-name").await, ["Gamma", "李四公司", "张三公司", "Ärger", "beta", "Acme"]);
        admin.ask("/records/sales.account", &[("sort", "nothing")]).await.is(400);
    }

    /// Pages followed to the end hold each row once, in every order and size, while rows come in between.
    async fn pages_hold_every_row_once(app) {
        let admin = app.admin();
        let operations: Vec<Json> = (0..57).map(|n| json!({"op": "create", "values": {"name": format!("Account {n:03}"), "employees": if n % 5 == 0 { json!(null) } else { json!(n % 7) }, "sector": if n % 2 == 0 { "retail" } else { "medical" }}})).collect();
        admin.post("/records/sales.account/batch", json!({"atomic": true, "operations": operations})).await.is(200);
        for sort in ["name", "-name", "employees", "-employees,name", "sector,-employees", "-created_at", "employees,sector,-name"] {
            let all = column(&admin.list("sales.account", &[("sort", sort), ("limit", "1000")]).await, "id");
            assert_eq!(all.len(), 57);
            for limit in ["1", "7", "56", "57", "58"] {
                let paged = column(&admin.pages("sales.account", &[("sort", sort), ("limit", limit)]).await, "id");
                assert_eq!(paged, all, "{sort} by {limit}");
            }
        }
        let first = admin.ask("/records/sales.account", &[("sort", "name"), ("limit", "10")]).await.ok(200);
        let next = first["next"].as_str().expect("a next page").to_owned();
        admin.create("sales.account", json!({"name": "Account 000a"})).await;
        let second = admin.list("sales.account", &[("sort", "name"), ("limit", "10"), ("after", &next)]).await;
        assert_eq!(column(&second, "name")[0], "Account 010", "a row put in before the marker moves nothing");
    }

    /// A marker that was tampered with, or belongs to another question, is refused.
    async fn markers_are_sealed(app) {
        let admin = accounts(&app).await;
        let page = admin.ask("/records/sales.account", &[("sort", "name"), ("limit", "2")]).await.ok(200);
        let next = page["next"].as_str().expect("a next page").to_owned();
        for visible in ["Acme", "rger"] {
            assert!(!next.contains(visible), "a marker shows values: {next}");
        }
        let mut tampered = next.clone().into_bytes();
        let middle = tampered.len() / 2;
        tampered[middle] = if tampered[middle] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(tampered).expect("ascii");
        for wrong in [tampered.as_str(), "x", "AAAA", &next[..next.len() - 3]] {
            admin.ask("/records/sales.account", &[("sort", "name"), ("limit", "2"), ("after", wrong)]).await.is(400);
        }
        admin.ask("/records/sales.account", &[("sort", "-employees"), ("limit", "2"), ("after", &next)]).await.is(400);
    }

    /// A list gives the fields that were asked for, far ones under their path, titles and expansion on demand.
    async fn lists_show_what_was_asked(app) {
        let ann = app.ann().await;
        let account = app.account("Acme").await;
        let id = app.deal_id(&ann, json!({"account": account, "close_value": 5})).await;
        let rows = ann.list("sales.deal", &[("fields", "id,close_value,account.name,owner.name")]).await;
        assert_eq!(rows[0]["account.name"], "Acme");
        assert_eq!(rows[0]["owner.name"], "ann");
        assert_eq!(rows[0]["close_value"], 5.0);
        assert!(rows[0].get("engage_date").is_none(), "{}", rows[0]);
        assert_eq!(rows[0]["id"], id.as_str());
        let rows = ann.list("sales.deal", &[("titles", "true")]).await;
        assert_eq!(rows[0]["titles"]["account"], "Acme");
        assert_eq!(rows[0]["titles"]["owner"], "ann");
        let rows = ann.list("sales.deal", &[("expand", "account")]).await;
        assert_eq!(rows[0]["expanded"]["account"]["name"], "Acme");
        assert_eq!(rows[0]["account"], account.as_str());
        let one = ann.ask(&format!("/records/sales.account/{account}"), &[("expand", "deals")]).await.ok(200);
        assert_eq!(one["expanded"]["deals"]["data"][0]["id"], id.as_str());
        let related = ann.get(&format!("/records/sales.account/{account}/related/deals")).await.ok(200);
        assert_eq!(related["data"][0]["id"], id.as_str());
        ann.ask("/records/sales.deal", &[("fields", "nothing")]).await.is(400);
        ann.ask("/records/sales.deal", &[("expand", "nothing")]).await.is(400);
        ann.get(&format!("/records/sales.account/{account}/related/nothing")).await.problem(404, "not_found");
    }

    /// Limits of a page are told, totals are exact, a long filter may come in a body.
    async fn limits_and_totals(app) {
        let admin = accounts(&app).await;
        for limit in ["0", "1001", "-1", "many"] {
            admin.ask("/records/sales.account", &[("limit", limit)]).await.is(400);
        }
        let answer = admin.ask("/records/sales.account", &[("limit", "2"), ("total", "exact")]).await.ok(200);
        assert_eq!((&answer["total"], answer["data"].as_array().map(Vec::len)), (&json!(6), Some(2)));
        let filtered = admin.post("/records/sales.account/query", json!({"filter": {"field": "sector", "op": "=", "value": "retail"}, "sort": "name", "total": "exact"})).await.ok(200);
        assert_eq!(filtered["total"], 2);
        assert_eq!(column(filtered["data"].as_array().expect("data"), "name"), ["beta", "Gamma"]);
        let found = admin.list("sales.account", &[("q", "zhangsan")]).await;
        assert_eq!(column(&found, "name"), ["张三公司"]);
        admin.get("/records/sales.nothing").await.is(404);
        let bare = admin.get("/records/account").await.ok(200);
        assert_eq!(bare["data"].as_array().map(Vec::len), Some(6), "a bare name while one app has it");
    }
}
