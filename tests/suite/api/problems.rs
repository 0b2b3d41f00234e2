//! In charge of what surrounds every answer: security headers, request ids, health, metrics.
//! Invariant: no answer leaves without them, whatever its status.

use tests::on_both;

on_both! {
    /// The headers that keep a browser from doing harm.
    async fn headers_are_on_every_answer(app) {
        let ann = app.ann().await;
        for answer in [ann.get("/me").await, ann.get("/nothing").await, app.nobody().get("/me").await, ann.get("//").await] {
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{}", answer.asked);
            assert!(answer.header("content-security-policy").contains("default-src 'none'"), "{}: {}", answer.asked, answer.header("content-security-policy"));
            assert!(!answer.header("content-security-policy").contains("unsafe"), "{}", answer.asked);
            assert!(!answer.header("referrer-policy").is_empty(), "{}", answer.asked);
            assert!(!answer.header("x-request-id").is_empty(), "{}", answer.asked);
        }
        assert_eq!(ann.get("/me").await.header("cache-control"), "no-store");
    }

    /// Health is for machines; metrics show no data.
    async fn machines_can_look(app) {
        let nobody = app.nobody();
        nobody.get("//healthz").await.is(200);
        nobody.get("//readyz").await.is(200);
        let metrics = nobody.get("//metrics").await;
        assert!(matches!(metrics.status.as_u16(), 200 | 401 | 403), "{}", metrics.status);
        assert!(!metrics.text().contains("admin@example.com"));
    }
}
