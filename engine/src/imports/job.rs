//! In charge of imports as they are asked for: the document found and checked at once, the rest as a job.
//! Invariant: what can be told before the first row is told before the job begins.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use model::doc::Import;
use model::{Code, Message, Value, Violation};
use rules::policy::Create;
use rules::query::Predicate;
use serde_json::{Map, Value as Json, json};
use store::Tx;
use store::system::Cond;
use store::system::file::FILE;
use uuid::Uuid;

use super::plan;
use super::progress::Progress;
use super::read::{self, Piece};
use super::run::{Journal, Part, Run, of_file, options};
use crate::Engine;
use crate::ctx::{Cause, Ctx};
use crate::error::Error;
use crate::files::{Content, Download, FileInfo};
use crate::jobs::{Halt, JobKind, JobRow, JobView, State as JobState, Work};
use crate::records::Channel;

/// The word of imports in the table of jobs.
const KIND: &str = "import";

/// An import as it is asked for.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    /// The document.
    pub spec: ImportSpec,
    /// Files that were uploaded: one for each part of the document, or one for all.
    pub files: Vec<Uuid>,
    /// Whether nothing is to be kept.
    pub dry_run: bool,
    /// The entity, where the document does not say it.
    pub entity: Option<String>,
}

/// How a file is mapped; closed.
#[derive(Clone, Debug)]
pub enum ImportSpec {
    /// By this document.
    Document(Box<Import>),
    /// By the document of this name, `sales.accounts`; bare while one app has it.
    Named(String),
    /// Header = field.
    None,
}

impl ImportSpec {
    /// What a request says: a document as JSON, or a name.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        match text.as_bytes().first() {
            None => Ok(Self::None),
            Some(b'{') => {
                let refused = |error: serde_json::Error| Error::of(Code::Malformed, Message::new("malformed").with("detail", error));
                serde_json::from_str(text).map(|document| Self::Document(Box::new(document))).map_err(refused)
            }
            Some(b'"') => serde_json::from_str(text)
                .map(Self::Named)
                .map_err(|error| Error::of(Code::Malformed, Message::new("malformed").with("detail", error))),
            Some(_) => Ok(Self::Named(text.to_owned())),
        }
    }
}

/// A document with the app that it is of.
type Found = (Option<String>, Import);

fn document_of(cx: &Ctx, request: &ImportRequest) -> Result<Found, Error> {
    let (app, mut document) = match &request.spec {
        ImportSpec::Document(document) => (None, Import::clone(document)),
        ImportSpec::Named(name) => named(cx, name)?,
        ImportSpec::None => (None, Import::default()),
    };
    if document.entity.is_empty() {
        document.entity = request.entity.clone().unwrap_or_default();
    }
    Ok((app, document))
}

/// The document called `name`.
fn named(cx: &Ctx, name: &str) -> Result<Found, Error> {
    let apps = &cx.app.schema.apps;
    let missing = || Error::Invalid(vec![Violation::at("/spec", Code::BadReference, Message::new("import_no_document").with("name", name))]);
    if let Some((app, bare)) = name.split_once('.') {
        let document = apps.get(app).and_then(|app| app.imports.get(bare)).ok_or_else(missing)?;
        return Ok((Some(app.to_owned()), document.clone()));
    }
    let mut found = apps.iter().filter_map(|(app, documents)| Some((app, documents.imports.get(name)?)));
    match (found.next(), found.next()) {
        (Some((app, document)), None) => Ok((Some(app.to_string()), document.clone())),
        _ => Err(missing()),
    }
}

/// The parts of a document with their files.
pub(crate) fn parts_of(document: &Import, files: &[Content]) -> Result<Vec<Part>, Error> {
    let refused = |message| Err(Error::Invalid(vec![Violation::at("/parts", Code::BadFormat, Message::new(message))]));
    let Some(first) = files.first() else {
        return Err(of_file(Message::new("import_no_files")));
    };
    if document.parts.is_empty() {
        return Ok(vec![Part { document: document.clone(), content: first.clone() }]);
    }
    if document.parts.iter().any(|part| !part.parts.is_empty()) {
        return refused("import_parts_deep");
    }
    let mut parts = Vec::new();
    for (index, part) in document.parts.iter().enumerate() {
        // One workbook holds all parts on its sheets; else each part has its file.
        let Some(content) = (if files.len() == 1 { Some(first) } else { files.get(index) }) else { return refused("import_no_files") };
        let mut part = part.clone();
        if part.entity.is_empty() {
            part.entity.clone_from(&document.entity);
        }
        part.encoding = part.encoding.or_else(|| document.encoding.clone());
        part.delimiter = part.delimiter.or_else(|| document.delimiter.clone());
        part.decimal = part.decimal.or_else(|| document.decimal.clone());
        part.empty = part.empty.or(document.empty);
        part.duplicates = part.duplicates.or(document.duplicates);
        parts.push(Part { document: part, content: content.clone() });
    }
    Ok(parts)
}

/// Whether the caller may write such records at all.
fn may_write(cx: &Ctx, app: Option<&str>, entity: &str) -> Result<(), Error> {
    let def = plan::entity_of(cx, app, entity)?;
    let grant = cx.grants.entity(def.id);
    if matches!(grant.create, Create::No) && *grant.update == Predicate::False { Err(Error::Forbidden) } else { Ok(()) }
}

/// Reads the header of each part and compiles the document for it: all faults before the job begins.
fn check(cx: &Ctx, app: Option<&str>, parts: &[Part]) -> Result<(), Error> {
    let written: Vec<model::EntityId> =
        parts.iter().filter_map(|part| plan::entity_of(cx, app, &part.document.entity).ok()).map(|def| def.id).collect();
    for part in parts {
        let mut header = None;
        read::rows(&part.content, &options(cx, &part.document)?, &mut |piece| {
            if let Piece::Header(names) = piece {
                header = Some(names);
            }
            false
        })
        .map_err(of_file)?;
        let header = header.ok_or_else(|| of_file(Message::new("import_empty")))?;
        plan::compile(cx, app, &part.document, &header, &written, 0)?;
    }
    Ok(())
}

impl Engine {
    /// Begins an import; the job's answer.
    ///
    /// # Errors
    /// Every fault of the document and the header; that the caller may not write such records; `NotFound` of a file.
    pub async fn import(&self, cx: &Ctx, request: ImportRequest) -> Result<JobView, Error> {
        let (app, document) = document_of(cx, &request)?;
        let mut files = Vec::new();
        for id in &request.files {
            let row = self.file_row(*id).await?.filter(|row| row.record.is_none()).ok_or(Error::NotFound)?;
            if row.by != cx.caller.user() {
                return Err(Error::NotFound);
            }
            files.push(self.files().content(&row.hash).ok_or(Error::NotFound)?);
        }
        let parts = parts_of(&document, &files)?;
        for part in &parts {
            may_write(cx, app.as_deref(), &part.document.entity)?;
        }
        let (at, of) = (cx.clone(), app.clone());
        let checked = tokio::task::spawn_blocking(move || check(&at, of.as_deref(), &parts)).await;
        checked.map_err(|error| Error::Internal(error.to_string()))??;
        let body = json!({"app": app, "document": document, "files": request.files, "dry_run": request.dry_run, "locale": cx.locale});
        let progress = serde_json::to_value(Progress::default()).unwrap_or_default();
        let view = self.submit_job(cx, KIND, body, progress).await?;
        self.hold_files(view.id, &request.files).await?;
        Ok(view)
    }

    /// From now on the files are the job's: nobody attaches them elsewhere, and no sweep takes them.
    async fn hold_files(&self, job: Uuid, files: &[Uuid]) -> Result<(), Error> {
        let ids: Vec<Value> = files.iter().copied().map(Value::Uuid).collect();
        self.store()
            .write(move |tx| {
                let set = [("entity", Value::text("job")), ("record", Value::Uuid(job))];
                tx.change(&FILE, &set, &[Cond::In("id", ids.clone())]).map(drop).map_err(Error::from)
            })
            .await
    }

    /// Begins, for good, an import that was only tried: the same files by the same document.
    ///
    /// # Errors
    /// `NotFound` where there is no such job of the caller's or its files went on already; that it was no try, or has not
    /// ended; that the caller may no longer write such records.
    pub async fn import_for_good(&self, cx: &Ctx, tried: Uuid) -> Result<JobView, Error> {
        let row = self.job_row(cx, tried).await?;
        let body = |key: &str| row.body.get(key).cloned().unwrap_or_default();
        if row.kind != KIND || row.state != JobState::Done || body("dry_run") != true {
            return Err(Error::of(Code::Locked, Message::new("job_state").with("state", row.state.as_str()).with("verb", "imported")));
        }
        let damaged = |error: serde_json::Error| Error::Internal(format!("a job's body: {error}"));
        let document: Import = serde_json::from_value(body("document")).map_err(damaged)?;
        let files: Vec<Uuid> = serde_json::from_value(body("files")).map_err(damaged)?;
        let mut contents = Vec::new();
        for id in &files {
            let file = self.file_row(*id).await?.filter(|file| file.record == Some(tried)).ok_or(Error::NotFound)?;
            contents.push(self.files().content(&file.hash).ok_or(Error::NotFound)?);
        }
        let app = body("app").as_str().map(str::to_owned);
        for part in &parts_of(&document, &contents)? {
            may_write(cx, app.as_deref(), &part.document.entity)?;
        }
        let body = json!({"app": app, "document": document, "files": files, "dry_run": false, "locale": cx.locale});
        let view = self.submit_job(cx, KIND, body, serde_json::to_value(Progress::default()).unwrap_or_default()).await?;
        self.hold_files(view.id, &files).await?;
        Ok(view)
    }

    /// The rows that failed, as CSV with `_row` and `_reason`.
    ///
    /// # Errors
    /// `NotFound` where there are none, or no such import in sight.
    pub async fn import_errors(&self, cx: &Ctx, id: Uuid, part: Option<usize>) -> Result<Download, Error> {
        let row = self.job_row(cx, id).await?;
        if row.kind != KIND {
            return Err(Error::NotFound);
        }
        let progress: Progress = serde_json::from_value(row.progress).unwrap_or_default();
        let part = part.or_else(|| progress.first_errors()).ok_or(Error::NotFound)?;
        let file = progress.error_file(part).ok_or(Error::NotFound)?;
        let content = self.files().scratch().content(id, file).ok_or(Error::NotFound)?;
        let info = FileInfo { id, name: "errors.csv".to_owned(), kind: "text/csv".to_owned(), size: 0 };
        Ok(Download::of(info, format!("\"{id}-{}\"", progress.failed), content))
    }
}

/// The kind of job.
pub(crate) struct ImportKind;

impl JobKind for ImportKind {
    fn name(&self) -> &'static str {
        KIND
    }

    fn run(&self, work: Work) -> BoxFuture<'static, Result<(), Halt>> {
        Box::pin(run(work))
    }

    fn tell(&self, job: &JobRow, answer: &mut Map<String, Json>) {
        let is_some = |key: &str| job.progress.get(key).and_then(Json::as_u64).is_some_and(|count| count > 0);
        let has_errors = is_some("failed") || is_some("held");
        let url = has_errors.then(|| format!("/api/v1/imports/{}/errors", job.id));
        answer.insert("errors_url".to_owned(), url.map_or(Json::Null, Json::String));
        answer.insert("dry_run".to_owned(), job.body.get("dry_run").cloned().unwrap_or_default());
    }
}

/// Writes an import's progress into its job.
struct InJob(Work);

impl Journal for InJob {
    fn keep(&self, tx: &Tx, progress: &Progress, now: DateTime<Utc>) -> Result<(), Halt> {
        let json = serde_json::to_value(progress).map_err(|error| Error::Internal(error.to_string()))?;
        self.0.keep(tx, &json, now)
    }

    fn tell(&self, progress: &Progress) {
        self.0.tell(&serde_json::to_value(progress).unwrap_or_default());
    }
}

async fn run(work: Work) -> Result<(), Halt> {
    // Whoever sent the file looks at what is refused.
    let cx = Ctx { channel: Channel::Import, cause: Cause::Import, asks: true, ..work.context().await? };
    let body = &work.job.body;
    let damaged = |error: serde_json::Error| Halt::Failed(Error::Internal(format!("a job's body: {error}")));
    let document: Import = serde_json::from_value(body.get("document").cloned().unwrap_or_default()).map_err(damaged)?;
    let ids: Vec<Uuid> = serde_json::from_value(body.get("files").cloned().unwrap_or_default()).map_err(damaged)?;
    let mut files = Vec::new();
    for id in ids {
        let row = work.engine.file_row(id).await?.ok_or(Error::NotFound)?;
        files.push(work.engine.files().content(&row.hash).ok_or(Error::NotFound)?);
    }
    let mut run = Run {
        engine: work.engine.clone(),
        app: body.get("app").and_then(Json::as_str).map(str::to_owned),
        parts: parts_of(&document, &files)?,
        dry_run: body.get("dry_run").and_then(Json::as_bool).unwrap_or_default(),
        shift: 0,
        keep_edits: false,
        id: work.job.id,
        progress: serde_json::from_value(work.job.progress.clone()).unwrap_or_default(),
        journal: Arc::new(InJob(work)),
        made: None,
        ghosts: Arc::default(),
        counts_lines: true,
        refused: None,
        cx,
    };
    run.run().await
}
