//! In charge of showing that files, exports and jobs do what they promise: rights, exactness, whole results after a stop.
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where what it expects is not so")]

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use engine::clock::SystemClock;
use engine::exports::ExportRequest;
use engine::files::{Content, Download};
use engine::imports::{ImportRequest, ImportSpec};
use engine::jobs::{JobView, State};
use engine::records::{Batch, ListRequest, Total};
use engine::{Ctx, Engine, Error, Options, Submission, packages};
use model::Input;
use serde_json::{Value as Json, json};
use uuid::Uuid;

fn shop() -> model::doc::Package {
    packages::read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/import/app")).expect("reads")
}

async fn open(folder: Option<&Path>) -> Engine {
    let location = match folder {
        Some(folder) => store::Location::SqliteFile(folder.join("trellis.db")),
        None => store::Location::SqliteMemory,
    };
    Engine::open(Options { location, data_dir: folder.map(Path::to_path_buf), clock: Arc::new(SystemClock) }).await.expect("opens")
}

async fn workspace(folder: Option<&Path>) -> Engine {
    let engine = open(folder).await;
    engine.install(&engine.system(), shop(), "tests").await.expect("installs");
    engine.start_jobs();
    engine
}

async fn create(engine: &Engine, cx: &Ctx, entity: &str, values: Json) -> Result<Uuid, Error> {
    let Input::Map(values) = Input::from(&values) else { panic!("not an object") };
    let entity = engine.entity(cx, entity).expect("there").id;
    let mut written = engine.write(cx, Batch::one(entity, Submission::Create { id: None, values })).await?;
    written.remove(0).map(|written| written.id)
}

async fn count(engine: &Engine, entity: &str) -> u64 {
    let cx = engine.system();
    let request = ListRequest { total: Total::Exact, ..ListRequest::of(engine.entity(&cx, entity).expect("there").id) };
    engine.list(&cx, request).await.expect("lists").total.unwrap_or_default()
}

async fn begin(engine: &Engine, cx: &Ctx, document: Json, name: &str, bytes: &[u8]) -> JobView {
    let file = engine.put_file(cx, name, bytes).await.expect("is kept");
    let spec = ImportSpec::parse(&document.to_string()).expect("a document");
    engine.import(cx, ImportRequest { spec, files: vec![file.id], dry_run: false, entity: None }).await.expect("begins")
}

fn bytes(download: &Download) -> Vec<u8> {
    match &download.content {
        Content::Bytes(bytes) => bytes.to_vec(),
        Content::Path(path) => std::fs::read(path).expect("readable"),
    }
}

async fn person(engine: &Engine, name: &str, roles: &[&str]) -> Ctx {
    let email = format!("{name}@example.com");
    let id = create(engine, &engine.system(), "core.user", json!({"name": name, "email": email, "roles": roles})).await.expect("a person");
    engine.context(id, None).await.expect("may act")
}

fn rows_of(count: usize) -> Vec<u8> {
    let mut text = String::from("code,name,employees,since,note\n");
    for index in 0..count {
        text.push_str(&format!("C{index},Client {index},{},2020-01-01,\"a note, number {index}\"\n", index % 900));
    }
    text.into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_is_read_back_as_it_was() {
    let engine = workspace(None).await;
    let cx = engine.system();
    let first = create(
        &engine,
        &cx,
        "shop.client",
        json!({"name": "=cmd|' /C calc'!A0", "code": "-1+1", "revenue": "1234567890123.45", "industry": "machinery", "active": true}),
    )
    .await
    .expect("made");
    create(&engine, &cx, "shop.client", json!({"name": "Beta, \"quoted\"\nand long", "since": "1899-05-01", "seen_at": "2026-01-05T09:30:00Z", "tags": ["a", "b"], "parent": first.to_string(), "share": 12.5})).await.expect("made");
    for (format, labels) in [("csv", false), ("csv", true), ("xlsx", false), ("xlsx", true)] {
        let request = ExportRequest::parse(&json!({"entity": "shop.client", "format": format, "labels": labels})).expect("a request");
        let view = engine.export(&cx, request).await.expect("begins");
        let view = engine.wait_job(&cx, view.id, |_| {}).await.expect("ends");
        assert_eq!((view.state, &view.json["done"]), (State::Done, &json!(2)), "{}", view.json);
        let download = engine.export_file(&cx, view.id).await.expect("a file");
        let all = bytes(&download);
        if format == "csv" {
            let text = String::from_utf8(all.clone()).expect("UTF-8");
            assert!(text.contains("'=cmd|") && text.contains("'-1+1") && text.contains("1234567890123.45"), "{text}");
            assert!(text.starts_with(if labels { "id,Name,Code" } else { "id,name,code" }), "{text}");
        }
        // Into a workspace of its own, and out again: the same.
        let other = workspace(None).await;
        let at = other.system();
        let read = begin(&other, &at, json!({"entity": "client", "mode": "create"}), "clients", &all).await;
        let read = other.wait_job(&at, read.id, |_| {}).await.expect("ends");
        assert_eq!(
            (read.state, &read.json["created"], &read.json["failed"]),
            (State::Done, &json!(2), &json!(0)),
            "{format} {labels}: {}",
            read.json
        );
        let show = |engine: Engine| async move {
            let cx = engine.system();
            let fields =
                ["name", "code", "revenue", "industry", "active", "since", "seen_at", "tags", "share", "parent.name"].map(str::to_owned).to_vec();
            let shape = engine::records::Shape { fields: Some(fields), ..engine::records::Shape::default() };
            let request =
                ListRequest { sort: Some("name".to_owned()), shape, ..ListRequest::of(engine.entity(&cx, "shop.client").expect("there").id) };
            engine.list(&cx, request).await.expect("lists").rows.iter().map(|row| String::from_utf8_lossy(row).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(show(other.clone()).await, show(engine.clone()).await, "{format} {labels}");
        other.close().await;
    }
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_needs_the_right_and_shows_what_a_list_shows() {
    let engine = workspace(None).await;
    let stranger = person(&engine, "stranger", &[]).await;
    let request = ExportRequest::parse(&json!({"entity": "shop.client"})).expect("a request");
    assert!(matches!(engine.export(&stranger, request.clone()).await, Err(Error::Invalid(_) | Error::Forbidden)));
    let cx = engine.system();
    for wrong in
        [json!({"entity": "shop.client", "fields": ["nome"]}), json!({"entity": "shop.client", "filter": {"field": "nome", "op": "=", "value": 1}})]
    {
        let request = ExportRequest::parse(&wrong).expect("a request");
        assert!(matches!(engine.export(&cx, request).await, Err(Error::Invalid(_))), "{wrong}");
    }
    assert!(ExportRequest::parse(&json!({"entity": "x", "format": "pdf"})).is_err());
    let view = engine.export(&cx, request).await.expect("begins");
    let view = engine.wait_job(&cx, view.id, |_| {}).await.expect("ends");
    assert_eq!(view.state, State::Done);
    assert!(matches!(engine.export_file(&stranger, view.id).await, Err(Error::NotFound)));
    assert!(matches!(engine.job(&stranger, view.id).await, Err(Error::NotFound)));
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_stopped_goes_on_where_it_was() {
    const ROWS: usize = 6_000;
    let folder = tempfile::tempdir().expect("a folder");
    let engine = workspace(Some(folder.path())).await;
    let cx = engine.system();
    let mut all = rows_of(ROWS);
    all.extend_from_slice(b"C1,Client again,1,2020-01-01,the code is taken\nbroken row\n");
    let view = begin(&engine, &cx, json!({"entity": "client", "mode": "create"}), "rows.csv", &all).await;
    // Stopped in the middle as often as it takes, the last stops being ends of the process.
    let mut notes = engine.jobs().notes();
    loop {
        let note = notes.recv().await.expect("a note");
        if note.view.json["done"].as_u64().is_some_and(|done| done > 500) {
            break;
        }
    }
    let paused = engine.pause_job(&cx, view.id).await.expect("pauses");
    assert_eq!(paused.state, State::Paused);
    let at = engine.job(&cx, view.id).await.expect("there").json["done"].as_u64().expect("a number");
    assert_eq!(count(&engine, "shop.client").await, at);
    engine.resume_job(&cx, view.id).await.expect("resumes");
    notes = engine.jobs().notes();
    while notes.recv().await.expect("a note").view.json["done"].as_u64() < Some(at + 500) {}
    engine.close().await;
    drop(engine);
    let engine = open(Some(folder.path())).await;
    let cx = engine.system();
    let before = engine.job(&cx, view.id).await.expect("there");
    assert!(before.json["done"].as_u64() < Some(ROWS as u64), "{}", before.json);
    engine.start_jobs();
    let view = engine.wait_job(&cx, view.id, |_| {}).await.expect("ends");
    assert_eq!((view.state, &view.json["created"], &view.json["failed"]), (State::Done, &json!(ROWS), &json!(2)), "{}", view.json);
    assert_eq!(count(&engine, "shop.client").await, ROWS as u64);
    let errors = bytes(&engine.import_errors(&cx, view.id, None).await.expect("errors"));
    assert_eq!(String::from_utf8_lossy(&errors).lines().count(), 3, "{}", String::from_utf8_lossy(&errors));
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_may_be_cancelled_and_a_hopeless_one_is_given_up() {
    let engine = workspace(None).await;
    let cx = engine.system();
    let view = begin(&engine, &cx, json!({"entity": "client", "mode": "create"}), "rows.csv", &rows_of(5_000)).await;
    engine.cancel_job(&cx, view.id).await.expect("cancels");
    let view = engine.wait_job(&cx, view.id, |_| {}).await.expect("ends");
    assert_eq!(view.state, State::Cancelled);
    assert!(count(&engine, "shop.client").await < 5_000);
    assert!(engine.resume_job(&cx, view.id).await.is_err());
    assert!(matches!(engine.job(&cx, Uuid::nil()).await, Err(Error::NotFound)));
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workbooks_are_imported_with_their_types() {
    let engine = workspace(None).await;
    let cx = engine.system();
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    let day = rust_xlsxwriter::Format::new().set_num_format("yyyy-mm-dd");
    for (column, name) in ["Name", "Code", "Revenue", "Since", "Active"].into_iter().enumerate() {
        sheet.write(0, u16::try_from(column).expect("few"), name).expect("writes");
    }
    sheet.write(1, 0, "Acme").expect("writes");
    sheet.write(1, 1, 4_711).expect("writes");
    sheet.write(1, 2, 0.1 + 0.2).expect("writes");
    sheet.write_with_format(1, 3, rust_xlsxwriter::ExcelDateTime::from_ymd(2020, 2, 29).expect("a day"), &day).expect("writes");
    sheet.write(1, 4, true).expect("writes");
    let view = begin(&engine, &cx, json!({"entity": "client"}), "not-a-workbook.txt", &book.save_to_buffer().expect("saves")).await;
    let view = engine.wait_job(&cx, view.id, |_| {}).await.expect("ends");
    assert_eq!((view.state, &view.json["created"]), (State::Done, &json!(1)), "{}", view.json);
    let answer = engine.list(&cx, ListRequest::of(engine.entity(&cx, "shop.client").expect("there").id)).await.expect("lists");
    let record: Json = serde_json::from_slice(&answer.rows[0]).expect("JSON");
    assert_eq!(
        (&record["code"], &record["revenue"], &record["since"], &record["active"]),
        (&json!("4711"), &json!(0.3), &json!("2020-02-29"), &json!(true))
    );
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_its_owners_until_it_hangs_on_a_record() {
    for on_disk in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = workspace(on_disk.then(|| folder.path())).await;
        let (ann, bob) = (person(&engine, "ann", &["core.admin"]).await, person(&engine, "bob", &[]).await);
        let picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01";
        let file = engine.put_file(&ann, "../../me.html", picture).await.expect("is kept");
        assert_eq!((file.name.as_str(), file.kind.as_str(), file.size), ("me.html", "image/png", picture.len() as u64));
        let mut content = Vec::new();
        match engine.file(&ann, file.id).await.expect("hers").content {
            Content::Path(path) => drop(std::fs::File::open(path).expect("there").read_to_end(&mut content)),
            Content::Bytes(bytes) => content = bytes.to_vec(),
        }
        assert_eq!(content, picture);
        assert!(matches!(engine.file(&bob, file.id).await, Err(Error::NotFound)));
        // Another's upload is no reference of one's own.
        let user = engine.entity(&ann, "core.user").expect("there").id;
        let avatar = |id: Uuid| Input::from(&json!({"avatar": {"id": id}})).as_map().cloned().expect("a map");
        let set = |values| Submission::Update { id: bob.caller.user().expect("a person"), version: None, values };
        let stolen = engine.put_file(&bob, "mine.png", picture).await.expect("is kept");
        let refused = engine.write(&ann, Batch::one(user, set(avatar(stolen.id)))).await;
        assert!(matches!(&refused, Err(Error::Invalid(faults)) if faults[0].code.as_str() == "bad_reference"), "{refused:?}");
        let page = engine.put_file(&ann, "page.png", b"<html><script>").await.expect("is kept");
        let refused = engine.write(&ann, Batch::one(user, set(avatar(page.id)))).await;
        assert!(matches!(&refused, Err(Error::Invalid(faults)) if faults[0].code.as_str() == "bad_format"), "{refused:?}");
        for result in engine.write(&ann, Batch::one(user, set(avatar(file.id)))).await.expect("writes") {
            result.expect("is accepted");
        }
        let shown = engine.get(&ann, user, bob.caller.user().expect("a person"), &engine::records::Shape::default()).await.expect("there");
        let shown: Json = serde_json::from_slice(&shown.json).expect("JSON");
        assert_eq!(shown["avatar"]["type"], "image/png");
        assert!(engine.file(&ann, file.id).await.is_ok());
        assert_eq!(engine.sweep_files().await.expect("sweeps"), 0);
        engine.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_has_a_greatest_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = workspace(Some(folder.path())).await;
    let mut upload = engine.begin_upload(10).expect("begins");
    upload.write(b"12345").expect("fits");
    assert!(matches!(upload.write(b"6789012"), Err(Error::Invalid(_))));
    drop(upload);
    let left = std::fs::read_dir(folder.path().join("files/tmp")).expect("there").count();
    assert_eq!(left, 0, "what was not finished is gone");
    engine.close().await;
}
