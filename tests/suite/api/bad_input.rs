//! In charge of what people and machines send by mistake or on purpose.
//! Invariant: a clear problem, nothing half stored, never a 500, and the next request is served.

use reqwest::Method;
use serde_json::json;
use tests::on_both;

on_both! {
    /// Bodies that are no JSON, too deep, too large, not text.
    async fn broken_bodies(app) {
        let admin = app.admin();
        let accounts = "/records/sales.account";
        for body in ["", "{", "{\"name\": }", "nul", "{\"name\": \"a\"} trailing", "{\"name\": \"\\ud800\"}", "[1]", "\"text\"", "5", "null", "{\"name\": 1e999}", "{\"name\": \"a\\u0000b\"}"] {
            let answer = admin.post_raw(accounts, body.to_owned()).await;
            assert!(matches!(answer.status.as_u16(), 400 | 422), "{body}: {} {}", answer.status, answer.text());
        }
        admin.post_raw(accounts, vec![b'{', b'"', b'n', 0xff, 0xfe, b'"', b':', b'1', b'}']).await.problem(400, "malformed");
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            let answer = admin.post_raw(accounts, deep).await;
            assert!(matches!(answer.status.as_u16(), 400 | 413), "{}", answer.status);
        }
        let large = format!("{{\"name\": \"{}\"}}", "x".repeat(10 << 20));
        let answer = admin.post_raw(accounts, large).await;
        assert!(matches!(answer.status.as_u16(), 413 | 422), "{}", answer.status);
        let wide: String = (0..100_000).map(|n| format!("\"f{n}\":1,")).collect();
        let answer = admin.post_raw(accounts, format!("{{{}\"name\":\"x\"}}", wide)).await;
        assert!(matches!(answer.status.as_u16(), 400 | 413), "{}", answer.status);
        assert!(answer.body.len() < 1 << 20, "the answer is as large as the question: {}", answer.body.len());
        let untyped = admin.send(admin.request(Method::POST, accounts).header("content-type", "text/plain").body("{\"name\": \"x\"}")).await;
        assert!(matches!(untyped.status.as_u16(), 400 | 415), "{}", untyped.status);
        assert!(admin.find("sales.account", json!({"all": []})).await.is_empty(), "nothing was stored");
    }

    /// Values of the wrong kind or out of range, alike on both databases.
    async fn wrong_values(app) {
        let admin = app.admin();
        for (values, code, field) in [
            (json!({"name": 5}), "wrong_type", "name"),
            (json!({"name": ["a"]}), "wrong_type", "name"),
            (json!({"name": {"a": 1}}), "wrong_type", "name"),
            (json!({"name": true}), "wrong_type", "name"),
            (json!({"name": ""}), "required", "name"),
            (json!({"name": "   "}), "required", "name"),
            (json!({"name": null}), "required", "name"),
            (json!({"name": "x".repeat(121)}), "out_of_range", "name"),
            (json!({"name": "a", "employees": 1.5}), "wrong_type", "employees"),
            (json!({"name": "a", "employees": "many"}), "wrong_type", "employees"),
            (json!({"name": "a", "employees": -1}), "out_of_range", "employees"),
            (json!({"name": "a", "year_established": 99999}), "out_of_range", "year_established"),
            (json!({"name": "a", "revenue": "12.345"}), "out_of_range", "revenue"),
            (json!({"name": "a", "revenue": "99999999999999999999"}), "out_of_range", "revenue"),
            (json!({"name": "a", "revenue": "NaN"}), "wrong_type", "revenue"),
            (json!({"name": "a", "sector": "nothing"}), "bad_reference", "sector"),
            (json!({"name": "a", "parent": "not-an-id"}), "bad_reference", "parent"),
            (json!({"name": "a", "parent": "018f0000-0000-7000-8000-000000000000"}), "bad_reference", "parent"),
            (json!({"name": "a", "parent": 7}), "wrong_type", "parent"),
        ] {
            let answer = admin.post("/records/sales.account", values.clone()).await;
            assert!(matches!(answer.status.as_u16(), 422), "{values}: {} {}", answer.status, answer.text());
            let errors = answer.json()["errors"].as_array().cloned().unwrap_or_default();
            let at_field: Vec<_> = errors.iter().filter(|error| error["field"] == field).collect();
            assert_eq!(at_field.len(), 1, "{values}: {}", answer.text());
            let close = [code, "bad_format", "out_of_range", "wrong_type"];
            assert!(close.iter().any(|one| at_field[0]["code"] == *one), "{values}: {}", answer.text());
        }
        assert!(admin.find("sales.account", json!({"all": []})).await.is_empty());
    }

    /// Text of every kind comes back as it was sent.
    async fn text_comes_back(app) {
        let admin = app.admin();
        for (number, text) in ["👨‍👩‍👧‍👦 family", "e\u{301}", "שלום עולם", "مرحبا", "\u{202e}reversed", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "İstanbul ı ß ẞ", "'; drop table sales__account; --", "{{ 7 * 7 }}", "<script>alert(1)</script>", "\u{feff}bom", "=1+1"].iter().enumerate() {
            let id = admin.create_id("sales.account", json!({"name": format!("A{number}"), "office_location": text})).await;
            let read = admin.read("sales.account", &id).await;
            let expected = text.trim_start_matches('\u{feff}');
            assert!(read["office_location"] == **text || read["office_location"] == expected, "{text}: {}", read["office_location"]);
            let found = admin.find("sales.account", json!({"field": "office_location", "op": "=", "value": text})).await;
            assert_eq!(found.len(), 1, "{text}");
        }
    }

    /// Ids, names and methods that lead nowhere.
    async fn wrong_addresses(app) {
        let admin = app.admin();
        for path in ["/records/sales.account/not-an-id", "/records/sales.account/018f0000-0000-7000-8000-000000000000", "/records/sales.account/../../etc/passwd", "/records/sales.account/%00", "/records/%ff", "/records/sales.", "/records/.", "/nothing", "/records/sales.account/018f0000-0000-7000-8000-000000000000/nothing"] {
            let answer = admin.get(path).await;
            assert!(matches!(answer.status.as_u16(), 400 | 404), "{path}: {} {}", answer.status, answer.text());
        }
        for method in [Method::PUT, Method::PATCH] {
            let answer = admin.send(admin.request(method, "/records/sales.account").json(&json!({}))).await;
            assert!(matches!(answer.status.as_u16(), 404 | 405), "{}", answer.status);
        }
        let long = format!("/records/sales.account?q={}", "x".repeat(30_000));
        let answer = admin.send(admin.request(Method::GET, &long)).await;
        assert!(matches!(answer.status.as_u16(), 200 | 400 | 414 | 431), "{}", answer.status);
        admin.get("/me").await.is(200);
    }

    /// A text of any length can be unique, is found as a whole and sorts; one letter under thousands of accents is too long.
    async fn long_texts_are_unique_on_either_database(app) {
        let file = |name: &str, json: serde_json::Value| (name.to_owned(), json.to_string().into_bytes());
        let about = json!({"name": "shop", "label": "Shop", "version": "1.0.0", "format": 1, "requires": {"core": "^1"}, "locales": ["en"]});
        let thing = json!({"label": "Thing", "title": "{{ name }}", "fields": {
            "name": {"kind": "text", "unique": true},
            "code": {"kind": "text", "unique": true, "max_length": 2000},
            "kind": {"kind": "text"}, "part": {"kind": "text", "max_length": 2000}},
            "unique": {"part_of_kind": {"fields": ["kind", "part"]}}, "indexes": [["name", "-code"]]});
        app.install_files(vec![file("app.json", about), file("entities/thing.json", thing)]).await;
        let admin = app.admin();
        // No two of them alike, so that nothing can be packed.
        let long = |last: &str| (0..999_u32).filter_map(|n| char::from_u32(0x4E00 + n * 7)).chain(last.chars()).collect::<String>();
        let first = admin.create_id("shop.thing", json!({"name": "A", "code": long("甲"), "kind": "k", "part": long("甲")})).await;
        admin.create_id("shop.thing", json!({"name": "B", "code": long("乙"), "kind": "k", "part": long("乙")})).await;
        admin.post("/records/shop.thing", json!({"name": "C", "code": long("甲")})).await.fault(409, "not_unique", "code");
        admin.post("/records/shop.thing", json!({"name": "C", "kind": "k", "part": long("乙")})).await.fault(409, "not_unique", "part");
        let found = admin.find("shop.thing", json!({"field": "code", "op": "=", "value": long("甲")})).await;
        assert_eq!(found.iter().map(|row| row["id"].as_str()).collect::<Vec<_>>(), [Some(first.as_str())]);
        let found = admin.find("shop.thing", json!({"field": "part", "op": "in", "value": [long("甲"), long("乙"), long("丙")]})).await;
        assert_eq!(found.len(), 2);
        let accents: String = "e".chars().chain((0..20_u32).filter_map(|n| char::from_u32(0x300 + n))).collect();
        admin.create_id("shop.thing", json!({"name": accents.repeat(250)})).await;
        admin.post("/records/shop.thing", json!({"name": accents.repeat(250)})).await.fault(409, "not_unique", "name");
        let sorted = admin.list("shop.thing", &[("sort", "name"), ("fields", "name")]).await;
        assert_eq!(sorted.len(), 3);
        let tower = format!("e{}", "\u{301}".repeat(200_000));
        admin.post("/records/shop.thing", json!({"name": tower})).await.fault(422, "out_of_range", "name");
    }
}
