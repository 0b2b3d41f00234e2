//! In charge of one's own notices: how many are unread, and that nobody reads another's.

use serde_json::json;
use tests::on_both;

on_both! {
    /// A count of one's own, one read and then all; those of others are nobody's business, an administrator's neither.
    async fn notices_are_counted_and_read(app) {
        let (admin, ann, ben) = (app.admin(), app.ann().await, app.ben().await);
        let deal = app.deal_id(&ann, json!({})).await;
        let tell = async |whom: &str, subject: &str| {
            let about = json!({"entity": "sales.deal", "id": deal});
            admin.create_id("core.notification", json!({"owner": whom, "kind": "test", "subject": subject, "about": about})).await
        };
        let first = tell(&ann.id, "first").await;
        tell(&ann.id, "second").await;
        tell(&ben.id, "third").await;
        let unread = async |client: &tests::client::Client| client.get("/me/notices").await.ok(200)["unread"].clone();
        assert_eq!((unread(&ann).await, unread(&ben).await, unread(&admin).await), (json!(2), json!(1), json!(0)));
        assert_eq!(ann.post("/me/notices/read", json!({"id": first})).await.ok(200), json!({"unread": 1}));
        assert!(!ann.read("core.notification", &first).await["read_at"].is_null());
        ben.post("/me/notices/read", json!({"id": first})).await.problem(404, "not_found");
        admin.post("/me/notices/read", json!({"id": first})).await.problem(404, "not_found");
        ann.post("/me/notices/read", json!({"id": 7})).await.fault(422, "wrong_type", "id");
        assert_eq!(ann.post("/me/notices/read", json!({})).await.ok(200), json!({"unread": 0}));
        assert_eq!(unread(&ben).await, json!(1));
        app.nobody().get("/me/notices").await.is(401);
    }
}
