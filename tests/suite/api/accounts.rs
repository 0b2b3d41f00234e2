//! In charge of people over HTTP: who I am, and what administrators may do.
//! Invariant: administration is for administrators; others get what they would get from a route that is not there, or 403.

use serde_json::json;
use tests::app::PASSWORD;
use tests::on_both;

on_both! {
    /// Who I am, in full, and never a secret.
    async fn me_says_who_i_am(app) {
        let ann = app.ann().await;
        let me = ann.get("/me").await;
        assert!(me.text().contains("ann@example.com"), "{}", me.text());
        assert!(!me.text().contains("argon2") && !me.text().contains("password_hash"), "{}", me.text());
    }

    /// Administrators add people; others do not.
    async fn administrators_add_people(app) {
        let (ann, admin) = (app.ann().await, app.admin());
        let body = json!({"email": "new@example.com", "name": "New", "roles": ["sales.rep"], "password": PASSWORD});
        let refused = ann.post("/admin/users", body.clone()).await;
        assert!(matches!(refused.status.as_u16(), 403 | 404), "{}", refused.text());
        admin.post("/admin/users", body.clone()).await.is(201);
        admin.post("/admin/users", body).await.fault(409, "not_unique", "email");
        app.nobody().sign_in("NEW@example.com", PASSWORD).await;
        for wrong in [
            json!({"email": "not an address", "name": "X", "password": PASSWORD}),
            json!({"name": "X", "password": PASSWORD}),
            json!({"email": "y@example.com", "name": "X", "password": "x"}),
            json!({"email": "z@example.com", "name": "X", "roles": ["sales.no_such_role"], "password": PASSWORD}),
        ] {
            let answer = admin.post("/admin/users", wrong.clone()).await;
            assert!(matches!(answer.status.as_u16(), 400 | 422), "{wrong}: {}", answer.text());
        }
    }

    /// A rep cannot make themself an administrator.
    async fn nobody_raises_themself(app) {
        let ann = app.ann().await;
        let answer = ann.patch(&format!("/records/core.user/{}", ann.id), json!({"roles": ["core.admin"]})).await;
        assert!(matches!(answer.status.as_u16(), 400 | 403 | 404 | 422), "{}", answer.text());
        let answer = ann.post("/records/core.user", json!({"name": "Evil", "email": "evil@example.com", "roles": ["core.admin"]})).await;
        assert!(matches!(answer.status.as_u16(), 400 | 403 | 404 | 422), "{}", answer.text());
        assert!(app.admin().find("core.user", json!({"field": "email", "op": "=", "value": "evil@example.com"})).await.is_empty());
    }

    /// The only administrator stays one, whichever way they would go; with a second one, the first may.
    async fn a_workspace_keeps_an_administrator(app) {
        let admin = app.admin();
        let me = admin.get("/me").await.ok(200);
        let mine = format!("/records/core.user/{}", me["id"].as_str().expect("an id"));
        admin.patch(&mine, json!({"active": false})).await.fault(422, "rule_failed", "active");
        admin.patch(&mine, json!({"roles": ["sales.rep"]})).await.fault(422, "rule_failed", "roles");
        admin.patch(&mine, json!({"roles": []})).await.fault(422, "rule_failed", "roles");
        admin.delete(&mine).await.is(409);
        admin.patch(&mine, json!({"name": "Still here"})).await.is(200);
        // One who is switched off does not count.
        let second = admin.create_id("core.user", json!({"email": "two@example.com", "name": "Two", "roles": ["core.admin"], "active": false})).await;
        admin.patch(&mine, json!({"roles": []})).await.fault(422, "rule_failed", "roles");
        admin.patch(&format!("/records/core.user/{second}"), json!({"active": true})).await.is(200);
        admin.patch(&mine, json!({"roles": []})).await.is(200);
    }
}
