//! In charge of import and export over HTTP.
//! Invariant: every row of a file is counted once: created, updated, skipped or failed with its reason.

use reqwest::Method;
use serde_json::{Value as Json, json};
use tests::client::{Client, column};
use tests::on_both;

async fn import(client: &Client, name: &str, bytes: Vec<u8>, spec: Json) -> Json {
    import_all(client, vec![(name, bytes)], spec, false).await
}

async fn import_all(client: &Client, files: Vec<(&str, Vec<u8>)>, spec: Json, dry_run: bool) -> Json {
    let mut form = reqwest::multipart::Form::new().text("spec", spec.to_string()).text("dry_run", dry_run.to_string());
    for (name, bytes) in files {
        form = form.part("file", reqwest::multipart::Part::bytes(bytes).file_name(name.to_owned()));
    }
    let answer = client.send(client.request(Method::POST, "/imports").multipart(form)).await;
    assert!(matches!(answer.status.as_u16(), 200..=202), "{}: {}", answer.asked, answer.text());
    finished(client, "/imports", &answer.json()).await
}

async fn finished(client: &Client, route: &str, job: &Json) -> Json {
    let id = job["id"].as_str().unwrap_or_else(|| panic!("{job}")).to_owned();
    for _ in 0..600 {
        let job = client.get(&format!("{route}/{id}")).await.ok(200);
        if matches!(job["state"].as_str(), Some("done" | "failed" | "cancelled")) {
            return job;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the job did not end");
}

async fn errors(client: &Client, job: &Json) -> String {
    let answer = client.get(&format!("/imports/{}/errors", job["id"].as_str().unwrap_or_default())).await;
    answer.is(200);
    answer.text().trim_start_matches('\u{feff}').to_owned()
}

/// An app of orders with one or two lines each.
fn orders() -> Vec<(String, Vec<u8>)> {
    let file = |name: &str, json: Json| (name.to_owned(), json.to_string().into_bytes());
    vec![
        file(
            "app.json",
            json!({"name": "shop", "label": "Shop", "version": "1.0.0", "format": 1, "requires": {"core": "^1"}, "locales": ["en"], "currency": "EUR"}),
        ),
        file(
            "entities/order.json",
            json!({"label": "Order", "title": "{{ number }}", "fields": {
                "number": {"kind": "text", "unique": true}, "items": {"kind": "lines", "of": "order_line", "by": "order", "min": 1, "max": 2}}}),
        ),
        file(
            "entities/order_line.json",
            json!({"label": "Line", "title": "{{ what }}", "fields": {
                "order": {"kind": "reference", "to": "order", "on_delete": "cascade", "required": true}, "what": {"kind": "text", "required": true}}}),
        ),
    ]
}

fn spec() -> Json {
    json!({"entity": "account", "key": ["name"], "mode": "upsert", "values": {
        "name": {"from": "Company"}, "sector": {"from": "Sector", "map": {"technolgy": "technology"}, "else": {"from": "Sector"}},
        "employees": {"from": "Staff"}, "parent": {"from": "Parent", "find": {"entity": "account", "by": "name"}}
    }})
}

on_both! {
    /// Good rows come in, rows that wait for later rows too, bad rows come back with reasons.
    async fn rows_come_in(app) {
        let admin = app.admin();
        let csv = "Company,Sector,Staff,Parent\nAcme,technolgy,10,\nAcme South,retail,5,Acme East\nAcme East,retail,,Acme\nBad,nosuch,5,\nWorse,retail,-3,Nobody\n";
        let job = import(&admin, "accounts.csv", csv.into(), spec()).await;
        assert_eq!((&job["state"], &job["total"], &job["created"], &job["failed"]), (&json!("done"), &json!(5), &json!(3), &json!(2)), "{job}");
        let acme = admin.find("sales.account", json!({"field": "name", "op": "=", "value": "Acme"})).await;
        assert_eq!(acme[0]["sector"], "technology");
        let south = admin.find("sales.account", json!({"field": "parent.name", "op": "=", "value": "acme east"})).await;
        assert_eq!(column(&south, "name"), ["Acme South"], "a row may wait for a later one");
        let errors = admin.get(&format!("/imports/{}/errors", job["id"].as_str().unwrap_or_default())).await;
        errors.is(200);
        let text = errors.text().trim_start_matches('\u{feff}').to_owned();
        assert!(text.starts_with("Company,Sector,Staff,Parent") && text.contains("_row") && text.contains("_reason"), "{text}");
        assert!(text.contains("Bad,") && text.contains("Worse,") && !text.contains("Acme South"), "{text}");
        let again = import(&admin, "accounts.csv", "Company,Sector,Staff,Parent\nACME,technology,11,\nNew,retail,1,\n".into(), spec()).await;
        assert_eq!((&again["created"], &again["updated"]), (&json!(1), &json!(1)), "{again}");
    }

    /// Files as offices write them: GBK, semicolons, a mark at the front.
    async fn encodings_are_found(app) {
        let admin = app.admin();
        let gbk: Vec<u8> = [b"Company,Sector,Staff,Parent\n".to_vec(), vec![0xbb, 0xaa, 0xce, 0xaa, 0xbc, 0xbc, 0xca, 0xf5, 0xd3, 0xd0, 0xcf, 0xde, 0xb9, 0xab, 0xcb, 0xbe], b",retail,5,\n".to_vec()].concat();
        let job = import(&admin, "gbk.csv", gbk, spec()).await;
        assert_eq!(job["created"], 1, "{job}");
        assert_eq!(admin.find("sales.account", json!({"field": "name", "op": "=", "value": "华为技术有限公司"})).await.len(), 1);
        let marked = import(&admin, "bom.csv", "\u{feff}Company;Sector;Staff;Parent\r\n\"Semi; colon\";retail;5;\r\n".into(), spec()).await;
        assert_eq!(marked["created"], 1, "{marked}");
    }

    /// A trial run writes nothing.
    async fn a_trial_run_writes_nothing(app) {
        let admin = app.admin();
        let part = reqwest::multipart::Part::bytes(b"Company,Sector,Staff,Parent\nAcme,retail,5,\n".to_vec()).file_name("a.csv");
        let form = reqwest::multipart::Form::new().text("spec", spec().to_string()).text("dry_run", "true").part("file", part);
        let answer = admin.send(admin.request(Method::POST, "/imports").multipart(form)).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        let job = finished(&admin, "/imports", &answer.json()).await;
        assert_eq!(job["created"], 1, "{job}");
        assert!(admin.find("sales.account", json!({"all": []})).await.is_empty());
    }

    /// An export holds what its reader may see; cells that a table program would run are made harmless.
    async fn exports_are_safe(app) {
        let (admin, ann, mo) = (app.admin(), app.ann().await, app.mo().await);
        admin.create("sales.account", json!({"name": "=1+cmd|' /C calc'!A0", "employees": 5})).await;
        let account = app.account("Acme").await;
        let id = app.deal_id(&ann, json!({"account": account})).await;
        mo.change("sales.deal", &id, json!({"manager_note": "Xylophone"})).await;
        let refused = ann.post("/exports", json!({"entity": "sales.deal", "format": "csv"})).await;
        refused.problem(403, "forbidden");
        let answer = mo.post("/exports", json!({"entity": "sales.account", "fields": ["name", "employees"], "format": "csv"})).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        let job = finished(&mo, "/exports", &answer.json()).await;
        let url = job["file_url"].as_str().unwrap_or_else(|| panic!("{job}")).to_owned();
        let file = mo.get(url.strip_prefix("/api/v1").unwrap_or(&url)).await;
        file.is(200);
        let text = file.text();
        assert!(text.contains("Acme"), "{text}");
        assert!(!text.lines().any(|line| line.trim_start_matches('\u{feff}').starts_with('=') || line.starts_with("\"=")), "{text}");
        let stolen = app.zoe().await.get(url.strip_prefix("/api/v1").unwrap_or(&url)).await;
        stolen.problem(404, "not_found");
    }

    /// Broken files and wrong mappings are refused with words.
    async fn broken_files_are_refused(app) {
        let admin = app.admin();
        for (bytes, spec) in [
            (b"Company\n\"unclosed".to_vec(), spec()),
            (b"".to_vec(), spec()),
            (b"PK\x03\x04 not really a workbook".to_vec(), spec()),
            (b"Company\nAcme\n".to_vec(), json!({"entity": "nothing", "values": {}})),
            (b"Company\nAcme\n".to_vec(), json!({"entity": "account", "values": {"nothing": {"from": "Company"}}})),
            (b"Company\nAcme\n".to_vec(), json!("no_such_import")),
        ] {
            let part = reqwest::multipart::Part::bytes(bytes).file_name("file.csv");
            let form = reqwest::multipart::Form::new().text("spec", spec.to_string()).part("file", part);
            let answer = admin.send(admin.request(Method::POST, "/imports").multipart(form)).await;
            let status = answer.status.as_u16();
            if answer.status.is_success() {
                let job = finished(&admin, "/imports", &answer.json()).await;
                assert!(job["state"] == "failed" || job["failed"].as_u64().unwrap_or_default() > 0, "{spec}: {job}");
            } else {
                assert!(matches!(status, 400 | 404 | 422), "{spec}: {} {}", status, answer.text());
            }
        }
    }

    /// A trial run counts what the real one will: what is unique is so across all of the file.
    async fn a_trial_run_sees_duplicates(app) {
        let admin = app.admin();
        let mut csv = String::from("Company,Staff\n");
        (0..1200).for_each(|n| csv.push_str(&format!("Company {n},1\n")));
        csv.push_str("company 0,1\nCOMPANY 1199,1\n");
        let spec = json!({"entity": "account", "mode": "create", "values": {"name": {"from": "Company"}, "employees": {"from": "Staff"}}});
        let trial = import_all(&admin, vec![("a.csv", csv.clone().into_bytes())], spec.clone(), true).await;
        let real = import(&admin, "a.csv", csv.into_bytes(), spec).await;
        for job in [&trial, &real] {
            assert_eq!((&job["created"], &job["failed"]), (&json!(1200), &json!(2)), "{job}");
        }
        let said = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(said(errors(&admin, &trial).await), said(errors(&admin, &real).await));
    }

    /// Rows whose codes nobody knows yet wait for a person: listed, counted apart, and taken when they come again.
    async fn unknown_codes_are_queued(app) {
        let admin = app.admin();
        let mut spec = spec();
        spec["values"]["parent"]["if_missing"] = json!("queue");
        let csv = "Company,Sector,Staff,Parent\nAcme,retail,1,\nChild,retail,1,Nobody\nGrandchild,retail,1,Child\nLater,retail,1,Last\nLast,retail,1,\n";
        let job = import(&admin, "a.csv", csv.into(), spec.clone()).await;
        let counts = (&job["state"], &job["total"], &job["created"], &job["waiting"], &job["failed"]);
        assert_eq!(counts, (&json!("done"), &json!(5), &json!(3), &json!(2), &json!(0)), "{job}");
        let text = errors(&admin, &job).await;
        assert!(text.contains("Child,retail,1,Nobody,3,") && text.contains("Nobody”") && text.contains("Grandchild") && !text.contains("Later"), "{text}");
        admin.create("sales.account", json!({"name": "Nobody"})).await;
        let again = import(&admin, "a.csv", text.into_bytes(), spec).await;
        assert_eq!((&again["created"], &again["waiting"]), (&json!(2), &json!(0)), "{again}");
    }

    /// A row with a look-up that leads nowhere is told with all else that is wrong with it.
    async fn all_faults_of_a_row_are_told(app) {
        let admin = app.admin();
        let job = import(&admin, "a.csv", "Company,Sector,Staff,Parent\nWorse,nosuch,-3,Nobody\n".into(), spec()).await;
        assert_eq!(job["failed"], 1, "{job}");
        let text = errors(&admin, &job).await;
        assert!(text.contains("Nobody”") && text.contains("nosuch") && text.contains("0") && text.matches("; ").count() >= 2, "{text}");
        assert!(admin.find("sales.account", json!({"all": []})).await.is_empty());
    }

    /// Headers and lines come in two files; what has too few lines or too many is not kept.
    async fn lines_are_counted_at_the_end(app) {
        let admin = app.admin();
        app.install_files(orders()).await;
        let spec = json!({"entity": "shop.order", "parts": [
            {"entity": "shop.order", "mode": "create", "values": {"number": {"from": "No"}}},
            {"entity": "shop.order_line", "mode": "create", "values": {"what": {"from": "What"}, "order": {"from": "No", "find": {"entity": "shop.order", "by": "number"}}}}
        ]});
        let heads = "No\nA\nB\nC\nD\n".to_owned().into_bytes();
        let lines = "No,What\nA,one\nB,one\nB,two\nC,one\nC,two\nC,three\n".to_owned().into_bytes();
        let job = import_all(&admin, vec![("heads.csv", heads), ("lines.csv", lines)], spec, false).await;
        assert_eq!((&job["state"], &job["created"], &job["failed"]), (&json!("done"), &json!(8), &json!(2)), "{job}");
        let kept = admin.find("shop.order", json!({"all": []})).await;
        let mut kept = column(&kept, "number");
        kept.sort();
        assert_eq!(kept, ["A", "B"]);
        assert_eq!(column(&admin.find("shop.order_line", json!({"all": []})).await, "what").len(), 3);
        let text = errors(&admin, &job).await;
        assert!(text.starts_with("No,_row,_reason") && text.contains("C,4,") && text.contains("D,5,"), "{text}");
    }
}
