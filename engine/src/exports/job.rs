//! In charge of running an export: pages of the list, one after the other, into a file.
//! Invariant: each page is what the caller sees at that moment; an export that is taken up again begins anew.

use futures_util::future::BoxFuture;
use model::{EntityDef, Input};
use serde_json::{Map, Value as Json, json};

use super::columns::{Column, columns, default_fields};
use super::sink::Sink;
use super::{ExportFormat, ExportRequest, entity_of};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::jobs::{Halt, JobKind, JobRow, Work};
use crate::records::{ListRequest, Shape, Total};

/// The word of exports in the table of jobs.
pub(super) const KIND: &str = "export";
/// Records of a page.
const PAGE: u32 = 1_000;

/// The kind of job.
pub(crate) struct ExportKind;

impl JobKind for ExportKind {
    fn name(&self) -> &'static str {
        KIND
    }

    fn run(&self, work: Work) -> BoxFuture<'static, Result<(), Halt>> {
        Box::pin(run(work))
    }

    fn tell(&self, job: &JobRow, answer: &mut Map<String, Json>) {
        let is_there = job.progress.get("file").is_some_and(Json::is_string);
        answer.insert("file_url".to_owned(), if is_there { format!("/api/v1/exports/{}/file", job.id).into() } else { Json::Null });
    }
}

/// The fields of an export.
fn fields_of(cx: &Ctx, def: &EntityDef, request: &ExportRequest) -> Vec<String> {
    request.fields.clone().filter(|fields| !fields.is_empty()).unwrap_or_else(|| default_fields(cx, def))
}

/// The first page of an export.
pub(super) fn list_request(cx: &Ctx, def: &EntityDef, request: &ExportRequest) -> Result<ListRequest, Error> {
    let fields = fields_of(cx, def, request);
    columns(cx, def, &fields, request.labels)?;
    Ok(ListRequest {
        filter: request.filter.clone(),
        sort: request.sort.clone(),
        q: request.q.clone(),
        limit: Some(PAGE),
        shape: Shape { fields: Some(fields), titles: true, ..Shape::default() },
        ..ListRequest::of(def.id)
    })
}

/// Writes a page; the sink comes back for the next.
async fn write(sink: Sink, columns: std::sync::Arc<Vec<Column>>, rows: Vec<Vec<u8>>) -> Result<Sink, Error> {
    let written = tokio::task::spawn_blocking(move || {
        let mut sink = sink;
        for row in rows {
            let record = Input::parse(&row).map_err(|error| Error::Internal(error.to_string()))?;
            let cells: Vec<_> = columns.iter().map(|column| column.cell(&record)).collect();
            sink.row(&cells)?;
        }
        Ok(sink)
    });
    written.await.map_err(|error| Error::Internal(error.to_string()))?
}

async fn run(work: Work) -> Result<(), Halt> {
    let cx = work.context().await?;
    let engine = work.engine.clone();
    let request: ExportRequest = serde_json::from_value(work.job.body.get("request").cloned().unwrap_or_default())
        .map_err(|error| Error::Internal(format!("a job's body: {error}")))?;
    let def = entity_of(&cx, &request.entity)?;
    let mut page = list_request(&cx, def, &request)?;
    page.total = Total::Exact;
    let columns = std::sync::Arc::new(columns(&cx, def, &fields_of(&cx, def, &request), request.labels)?);
    let mut sink = match request.format {
        ExportFormat::Csv => Sink::csv(engine.begin_upload(u64::MAX)?, &columns, request.bom)?,
        ExportFormat::Xlsx => Sink::xlsx(&columns, cx.zone)?,
    };
    let (mut done, mut total) = (0_u64, None);
    loop {
        let answer = engine.list(&cx, page.clone()).await?;
        total = total.or(answer.total);
        done += answer.rows.len() as u64;
        sink = write(sink, std::sync::Arc::clone(&columns), answer.rows).await?;
        keep(&work, json!({"total": total, "done": done, "starts": 0})).await?;
        page.total = Total::No;
        match answer.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    let files = engine.clone();
    let upload = tokio::task::spawn_blocking(move || sink.end(|| files.begin_upload(u64::MAX)))
        .await
        .map_err(|error| Error::Internal(error.to_string()))??;
    let name = format!("{}-{}.{}", def.plural(&cx.locale), engine.now().with_timezone(&cx.zone).format("%Y-%m-%d"), request.format.ending());
    let file = engine.keep_file(&cx, upload, &name, Some(("job", work.job.id))).await?;
    keep(&work, json!({"total": done, "done": done, "file": file.id.to_string()})).await
}

/// Writes how far the export is.
async fn keep(work: &Work, progress: Json) -> Result<(), Halt> {
    let (at, json, now) = (work.clone(), progress.clone(), work.engine.now());
    work.engine.store().write(move |tx| at.keep(tx, &json, now)).await?;
    work.tell(&progress);
    Ok(())
}
