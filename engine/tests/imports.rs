//! In charge of the conformance cases of imports, each in a workspace of its own in memory, run for real and dry.
//! Reading order: `Case`; the files are in tests/cases/import.
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where what it expects is not so")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::clock::ManualClock;
use engine::files::Content;
use engine::imports::{ImportRequest, ImportSpec};
use engine::jobs::{JobView, State};
use engine::records::{Batch, ListRequest};
use engine::{Ctx, Engine, Error, Options, Submission, packages};
use model::Input;
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// One case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[expect(dead_code, reason = "told to whoever reads the file")]
    about: String,
    #[serde(default)]
    lines: Vec<String>,
    #[serde(default)]
    files: Vec<Vec<String>>,
    encode: Option<String>,
    locale: Option<String>,
    #[serde(default)]
    before: BTreeMap<String, Vec<Json>>,
    import: Json,
    counts: Option<Json>,
    #[serde(default)]
    records: BTreeMap<String, Vec<Json>>,
    #[serde(default)]
    errors: Vec<ErrorRow>,
    #[serde(default)]
    refused: Vec<Json>,
}

/// A row of the error file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorRow {
    row: u64,
    has: Vec<String>,
    #[serde(default)]
    cells: BTreeMap<String, String>,
}

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/import")
}

async fn workspace() -> Engine {
    let start = "2026-01-05T09:00:00Z".parse().expect("a moment");
    let clock = Arc::new(ManualClock::new(start));
    let engine = Engine::open(Options { location: store::Location::SqliteMemory, data_dir: None, clock }).await.expect("opens");
    engine.install(&engine.system(), packages::read_folder(&cases().join("app")).expect("reads"), "cases").await.expect("installs");
    engine.start_jobs();
    engine
}

async fn create(engine: &Engine, entity: &str, values: &Json) {
    let cx = engine.system();
    let Input::Map(values) = Input::from(values) else { panic!("not an object") };
    let batch = Batch::one(engine.entity(&cx, &format!("shop.{entity}")).expect("there").id, Submission::Create { id: None, values });
    engine.write(&cx, batch).await.expect("writes").into_iter().for_each(|result| drop(result.expect("is accepted")));
}

async fn records(engine: &Engine, entity: &str) -> Vec<Json> {
    let cx = engine.system();
    let request = ListRequest { sort: Some("name".to_owned()), ..ListRequest::of(engine.entity(&cx, &format!("shop.{entity}")).expect("there").id) };
    let answer = engine.list(&cx, request).await.expect("lists");
    answer.rows.iter().map(|row| serde_json::from_slice(row).expect("JSON")).collect()
}

impl Case {
    fn bytes(&self) -> Vec<Vec<u8>> {
        let files = if self.files.is_empty() { vec![self.lines.clone()] } else { self.files.clone() };
        let encode = |lines: Vec<String>| {
            let text = lines.join("\n");
            match self.encode.as_deref().and_then(|name| encoding_rs::Encoding::for_label(name.as_bytes())) {
                Some(encoding) => encoding.encode(&text).0.into_owned(),
                None => text.into_bytes(),
            }
        };
        files.into_iter().map(encode).collect()
    }

    fn spec(&self) -> ImportSpec {
        match self.import.as_str() {
            Some(name) => ImportSpec::parse(name).expect("a name"),
            None => ImportSpec::parse(&self.import.to_string()).expect("a document"),
        }
    }

    fn context(&self, engine: &Engine) -> Ctx {
        Ctx { locale: self.locale.clone().unwrap_or_else(|| "en".to_owned()), ..engine.system() }
    }

    async fn run(&self, engine: &Engine, dry_run: bool) -> Result<JobView, Error> {
        let cx = self.context(engine);
        let mut files = Vec::new();
        for bytes in self.bytes() {
            files.push(engine.put_file(&cx, "rows.csv", &bytes).await?.id);
        }
        let view = engine.import(&cx, ImportRequest { spec: self.spec(), files, dry_run, entity: None }).await?;
        engine.wait_job(&cx, view.id, |_| {}).await
    }
}

fn counts(view: &JobView) -> Json {
    let of = |key: &str| view.json[key].clone();
    json!({"created": of("created"), "updated": of("updated"), "skipped": of("skipped"), "failed": of("failed")})
}

/// Replaces `$client:Acme` by the id of the client called Acme.
fn resolve(expected: &Json, ids: &BTreeMap<String, String>) -> Json {
    match expected {
        Json::String(text) => match text.strip_prefix('$') {
            Some(name) => ids.get(name).unwrap_or_else(|| panic!("no record {name}")).clone().into(),
            None => expected.clone(),
        },
        Json::Array(items) => items.iter().map(|item| resolve(item, ids)).collect(),
        other => other.clone(),
    }
}

fn same(there: &Json, wanted: &Json) -> bool {
    match (there, wanted) {
        (Json::Number(there), Json::Number(wanted)) => there.as_f64() == wanted.as_f64(),
        (there, wanted) => there == wanted,
    }
}

async fn check_records(name: &str, engine: &Engine, case: &Case) {
    let mut ids = BTreeMap::new();
    for entity in ["client", "contact"] {
        for record in records(engine, entity).await {
            ids.insert(format!("{entity}:{}", record["name"].as_str().unwrap_or_default()), record["id"].as_str().unwrap_or_default().to_owned());
        }
    }
    for (entity, expected) in &case.records {
        let there = records(engine, entity).await;
        assert_eq!(there.len(), expected.len(), "{name}: {there:#?}");
        // Where the words of a language order otherwise, the name says which is which.
        for wanted in expected {
            let record = there.iter().find(|record| record["name"] == wanted["name"]).unwrap_or_else(|| panic!("{name}: no {}", wanted["name"]));
            for (field, value) in wanted.as_object().expect("an object") {
                assert!(same(&record[field], &resolve(value, &ids)), "{name}: {field} of {record:#} is not {value}");
            }
        }
    }
}

async fn check_errors(name: &str, engine: &Engine, case: &Case, view: &JobView) {
    if case.errors.is_empty() {
        assert_eq!(view.json["errors_url"], Json::Null, "{name}: {}", view.json);
        return;
    }
    let download = engine.import_errors(&case.context(engine), view.id, None).await.expect("errors");
    let Content::Bytes(bytes) = download.content else { panic!("in memory") };
    let marked = bytes.strip_prefix(b"\xEF\xBB\xBF");
    assert_eq!(marked.is_none(), bytes.is_ascii(), "{name}: sheets are told what plain letters do not tell");
    let text = marked.unwrap_or(&bytes);
    let mut reader = csv::ReaderBuilder::new().from_reader(text);
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().collect::<Result<_, _>>().expect("a table");
    assert_eq!(
        rows.iter().map(|row| row["_row"].clone()).collect::<Vec<_>>(),
        case.errors.iter().map(|row| row.row.to_string()).collect::<Vec<_>>(),
        "{name}: {rows:#?}"
    );
    for (row, wanted) in rows.iter().zip(&case.errors) {
        for part in &wanted.has {
            assert!(row["_reason"].contains(part), "{name}, row {}: `{}` lacks `{part}`", wanted.row, row["_reason"]);
        }
        for (column, cell) in &wanted.cells {
            assert_eq!(&row[column], cell, "{name}, row {}", wanted.row);
        }
    }
}

fn check_refusal(name: &str, case: &Case, outcome: Result<JobView, Error>) {
    let Err(Error::Invalid(faults)) = outcome else { panic!("{name}: not refused: {outcome:?}") };
    let told: Vec<Json> = faults.iter().map(|fault| json!({"code": fault.code.as_str(), "field": fault.field, "pointer": fault.pointer})).collect();
    assert_eq!(told.len(), case.refused.len(), "{name}: {told:#?}");
    for (there, wanted) in told.iter().zip(&case.refused) {
        for (key, value) in wanted.as_object().expect("an object") {
            assert_eq!(&there[key], value, "{name}: {there}");
        }
    }
}

async fn check(name: &str, case: &Case) {
    let engine = workspace().await;
    for (entity, all) in &case.before {
        for values in all {
            create(&engine, entity, values).await;
        }
    }
    if !case.refused.is_empty() {
        check_refusal(name, case, case.run(&engine, false).await);
        return;
    }
    let untouched = (records(&engine, "client").await, records(&engine, "contact").await);
    let dry = case.run(&engine, true).await.expect("runs dry");
    assert_eq!((dry.state, counts(&dry)), (State::Done, case.counts.clone().unwrap_or_default()), "{name}, dry: {}", dry.json);
    assert_eq!((records(&engine, "client").await, records(&engine, "contact").await), untouched, "{name}: a dry run left something");
    check_errors(name, &engine, case, &dry).await;
    let view = case.run(&engine, false).await.expect("runs");
    assert_eq!((view.state, counts(&view)), (State::Done, case.counts.clone().unwrap_or_default()), "{name}: {}", view.json);
    check_records(name, &engine, case).await;
    check_errors(name, &engine, case, &view).await;
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_comes_out_as_it_says() {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(cases()).expect("there").map(|entry| entry.expect("readable").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    paths.sort();
    assert!(paths.len() >= 15, "the cases are gone");
    for path in paths {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let case: Case = serde_json::from_slice(&std::fs::read(&path).expect("readable")).unwrap_or_else(|error| panic!("{name}: {error}"));
        check(&name, &case).await;
    }
}
