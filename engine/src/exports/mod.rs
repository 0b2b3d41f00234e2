//! In charge of records that become files: CSV and workbooks, page by page, as the caller sees them.
//! Reading order: `ExportRequest`, `Columns` in `columns`, `Sink` in `sink`, `job`.
//! Invariant: an export shows nothing that a list would not, and needs the right to export.
//! Invariant: memory does not grow with the number of records.

mod columns;
pub(crate) mod job;
mod sink;

use model::{Code, EntityDef, Message, Violation};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::files::Download;
use crate::jobs::JobView;

/// The form of an export; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// Text with commas.
    #[default]
    Csv,
    /// A workbook.
    Xlsx,
}

impl ExportFormat {
    /// The ending of file names.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
        }
    }
}

/// An export as it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExportRequest {
    /// The entity.
    pub entity: String,
    /// Which records.
    pub filter: Option<Json>,
    /// Fields and paths; all of the record's own where absent.
    pub fields: Option<Vec<String>>,
    /// Their order, `-amount,name`.
    pub sort: Option<String>,
    /// The words that they are found by.
    pub q: Option<String>,
    /// The form.
    pub format: ExportFormat,
    /// Whether headers and options are written as people see them.
    pub labels: bool,
    /// Whether a text begins with the mark by which sheets know UTF-8.
    pub bom: bool,
}

impl ExportRequest {
    /// The request that a body makes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(body: &Json) -> Result<Self, Error> {
        if let Some(format) = body.get("format").filter(|format| !matches!(format.as_str(), Some("csv" | "xlsx"))) {
            tracing::debug!(%format, "no such format of exports");
            return Err(Error::Invalid(vec![Violation::at("/format", Code::Malformed, Message::new("export_format"))]));
        }
        serde_json::from_value(body.clone()).map_err(|error| Error::of(Code::Malformed, Message::new("malformed").with("detail", error)))
    }
}

/// The entity of an export, where the caller may export it.
fn entity_of<'a>(cx: &'a Ctx, name: &str) -> Result<&'a EntityDef, Error> {
    let def = cx.app.schema.find(name).filter(|def| cx.grants.sees(def.id)).ok_or_else(|| Error::unknown_entity(name))?;
    if cx.grants.is_all() || cx.grants.entity(def.id).export { Ok(def) } else { Err(Error::Forbidden) }
}

impl Engine {
    /// Begins an export; the job's answer.
    ///
    /// # Errors
    /// That the caller may not; faults of filter, fields and order.
    pub async fn export(&self, cx: &Ctx, request: ExportRequest) -> Result<JobView, Error> {
        let def = entity_of(cx, &request.entity)?;
        // Names are resolved now, so that what is wrong is told now.
        let mut probe = job::list_request(cx, def, &request)?;
        probe.limit = Some(1);
        self.list(cx, probe).await?;
        let body = serde_json::json!({"request": request, "locale": cx.locale});
        self.submit_job(cx, job::KIND, body, serde_json::json!({})).await
    }

    /// The file that an export made.
    ///
    /// # Errors
    /// `NotFound` where it is not done, or not the caller's.
    pub async fn export_file(&self, cx: &Ctx, id: Uuid) -> Result<Download, Error> {
        let row = self.job_row(cx, id).await?;
        let file = row.progress.get("file").and_then(Json::as_str).and_then(|id| Uuid::try_parse(id).ok());
        let file = file.filter(|_| row.kind == job::KIND).ok_or(Error::NotFound)?;
        let row = self.file_row(file).await?.filter(|row| row.record == Some(id)).ok_or(Error::NotFound)?;
        self.download(&row)
    }
}
