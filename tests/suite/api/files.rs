//! In charge of files over HTTP.
//! Invariant: a file is served only to whom its record is shown, as a download, under the type that it really has.

use serde_json::{Value as Json, json};
use tests::on_both;

/// A picture of one pixel.
const PIXEL: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01,
    0x08, 0x06, 0x00, 0x00, 0x00, 0x1f, 0x15, 0xc4, 0x89, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x00, 0x01, 0x00, 0x00,
    0x05, 0x00, 0x01, 0x0d, 0x0a, 0x2d, 0xb4, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

on_both! {
    /// Uploaded, hung on a record, read by those who see the record.
    async fn files_follow_their_record(app) {
        let (ann, ben, zoe) = (app.ann().await, app.ben().await, app.zoe().await);
        let deal = app.deal_id(&ann, json!({})).await;
        let file = ann.upload("offer.png", "image/png", PIXEL.to_vec()).await.ok(201);
        let id = file["id"].as_str().unwrap_or_else(|| panic!("{file}")).to_owned();
        assert_eq!((&file["name"], &file["size"], &file["type"]), (&json!("offer.png"), &json!(PIXEL.len()), &json!("image/png")));
        zoe.get(&format!("/files/{id}")).await.problem(404, "not_found");
        ann.create("core.file", json!({"about": {"entity": "sales.deal", "id": deal}, "file": {"id": id}})).await;
        let read = ben.get(&format!("/files/{id}")).await;
        read.is(200);
        assert_eq!(read.body, PIXEL);
        assert_eq!(read.header("x-content-type-options"), "nosniff");
        zoe.get(&format!("/files/{id}")).await.problem(404, "not_found");
    }

    /// A page that calls itself a picture is not served as a page, nor under its name.
    async fn a_lying_upload_does_no_harm(app) {
        let ann = app.ann().await;
        let page = b"<html><script>alert(1)</script></html>".to_vec();
        let answer = ann.upload("../../evil\u{202e}gpj.html", "image/png", page.clone()).await;
        if answer.status.is_success() {
            let file: Json = answer.json();
            assert_ne!(file["type"], "image/png", "the type is looked at, not believed: {file}");
            let name = file["name"].as_str().unwrap_or_default();
            assert!(!name.contains('/') && !name.contains('\u{202e}'), "{name}");
            let read = ann.get(&format!("/files/{}", file["id"].as_str().unwrap_or_default())).await;
            assert!(read.header("content-disposition").starts_with("attachment"), "{:?}", read.headers);
            assert!(read.header("content-security-policy").contains("sandbox") || read.header("content-type") == "application/octet-stream", "{:?}", read.headers);
        } else {
            assert!(matches!(answer.status.as_u16(), 400 | 415 | 422), "{}", answer.text());
        }
    }
}
