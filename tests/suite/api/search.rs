//! In charge of search over HTTP: words, their beginnings, Chinese pairs, pinyin, initials.
//! Invariant: what was written is found at once; what was deleted or is out of sight is not.

use serde_json::json;
use tests::client::{Client, column};
use tests::on_both;

async fn titles(client: &Client, words: &str) -> Vec<String> {
    let answer = client.ask("/search", &[("q", words)]).await.ok(200);
    let mut titles = column(answer["data"].as_array().unwrap_or_else(|| panic!("{answer}")), "title");
    titles.sort();
    titles
}

on_both! {
    /// Found by what a person types.
    async fn people_type_as_they_like(app) {
        let admin = app.admin();
        for name in ["Condax Industries", "华为技术有限公司", "中国银行重庆分行", "Straße & Söhne"] {
            app.account(name).await;
        }
        for (words, expected) in [
            ("condax", vec!["Condax Industries"]),
            ("indus cond", vec!["Condax Industries"]),
            ("华为", vec!["华为技术有限公司"]),
            ("技术", vec!["华为技术有限公司"]),
            ("huawei", vec!["华为技术有限公司"]),
            ("hwjs", vec!["华为技术有限公司"]),
            ("chongqing", vec!["中国银行重庆分行"]),
            ("yinhang", vec!["中国银行重庆分行"]),
            ("公司", vec!["华为技术有限公司"]),
            ("sohne", vec!["Straße & Söhne"]),
            ("STRASSE", vec!["Straße & Söhne"]),
            ("nowhere", vec![]),
            ("'\"*() OR NEAR", vec![]),
        ] {
            assert_eq!(titles(&admin, words).await, expected, "{words}");
        }
        admin.ask("/search", &[("q", "")]).await.problem(400, "malformed");
    }

    /// The index follows each write in its transaction.
    async fn the_index_follows(app) {
        let admin = app.admin();
        let id = app.account("Initech").await;
        admin.change("sales.account", &id, json!({"name": "Globex"})).await;
        assert_eq!(titles(&admin, "initech").await, Vec::<String>::new());
        assert_eq!(titles(&admin, "globex").await, ["Globex"]);
        admin.delete(&format!("/records/sales.account/{id}")).await.is(204);
        assert_eq!(titles(&admin, "globex").await, Vec::<String>::new());
        admin.post(&format!("/records/sales.account/{id}/restore"), json!({})).await.is(200);
        assert_eq!(titles(&admin, "globex").await, ["Globex"]);
    }

    /// A deal is found by its product, through the formula that names it; a renamed product is found by its new name.
    async fn computed_names_are_found(app) {
        let (ann, admin) = (app.ann().await, app.admin());
        let product = app.product("Zeppelin", "550").await;
        let id = app.deal_id(&ann, json!({"product": product})).await;
        assert!(column(&ann.list("sales.deal", &[("q", "zepp")]).await, "id").contains(&id));
        admin.change("sales.product", &product, json!({"name": "Montgolfier"})).await;
        assert!(ann.list("sales.deal", &[("q", "zepp")]).await.is_empty());
        assert_eq!(ann.list("sales.deal", &[("q", "montgolf")]).await.len(), 1);
    }
}
