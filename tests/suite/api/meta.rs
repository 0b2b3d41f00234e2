//! In charge of what a client learns of the workspace: meta, OpenAPI.
//! Invariant: a caller is told of what they may see, and of nothing else.

use tests::on_both;

on_both! {
    /// Entities, fields, pipelines and views, in the caller's language and with the caller's rights.
    async fn meta_is_the_callers(app) {
        let (ann, mo) = (app.ann().await, app.mo().await);
        let mine = ann.get("/meta").await.ok(200).to_string();
        let theirs = mo.get("/meta").await.ok(200).to_string();
        for name in ["sales.deal", "sales.account", "prospecting", "deals_board"] {
            assert!(mine.contains(name), "{name} is missing: {mine}");
        }
        assert!(!mine.contains("manager_note") && theirs.contains("manager_note"));
        assert!(!mine.contains("password") && !mine.contains("sys_"), "{mine}");
        let chinese = ann.reading("zh-CN").get("/meta").await.text();
        assert!(chinese.contains("商机"), "{chinese}");
    }

    /// The description is OpenAPI 3.1 and knows the caller's fields.
    async fn the_description_is_whole(app) {
        let ann = app.ann().await;
        let description = ann.get("/openapi.json").await.ok(200);
        assert!(description["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{}", description["openapi"]);
        let paths = description["paths"].as_object().expect("paths");
        for path in ["sales.deal", "/search", "/changes", "/auth/login"] {
            assert!(paths.keys().any(|one| one.contains(path)), "{path}");
        }
        let mut dangling = Vec::new();
        follow(&description, &description, &mut dangling);
        assert!(dangling.is_empty(), "{dangling:?}");
        ann.get("/docs").await.is(200);
    }
}

/// Every `$ref` leads somewhere.
fn follow(whole: &serde_json::Value, part: &serde_json::Value, dangling: &mut Vec<String>) {
    match part {
        serde_json::Value::Object(members) => {
            if let Some(target) = members.get("$ref").and_then(serde_json::Value::as_str)
                && whole.pointer(target.trim_start_matches('#')).is_none()
            {
                dangling.push(target.to_owned());
            }
            members.values().for_each(|member| follow(whole, member, dangling));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| follow(whole, item, dangling)),
        _ => {}
    }
}
