//! In charge of `trellis import` and `trellis export`: files in and out, with a bar that shows how far.

use std::io::Read;
use std::path::{Path, PathBuf};

use engine::exports::ExportRequest;
use engine::files::{Content, Download, MAX_IMPORT};
use engine::imports::{ImportRequest, ImportSpec};
use engine::jobs::{JobView, State};
use engine::{Engine, Error};
use model::Diagnostic;
use serde_json::{Value as Json, json};

use crate::cli::{Export, Format, Import};
use crate::terminal::Terminal;

/// How much of a file is read at once.
const PIECE: usize = 256 << 10;

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::Documents(vec![Diagnostic::error("", format!("{}: {error}", path.display()))])
}

pub(super) async fn import(engine: &Engine, asked: &Import, terminal: &Terminal) -> Result<u8, Error> {
    let (path, cx) = (terminal.path(&asked.file), engine.system());
    let spec = match &asked.map {
        None => ImportSpec::None,
        Some(map) => {
            let file = terminal.path(Path::new(map));
            if file.is_file() {
                ImportSpec::parse(&std::fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?)?
            } else {
                ImportSpec::Named(map.clone())
            }
        }
    };
    let mut upload = engine.begin_upload(MAX_IMPORT)?;
    let mut file = std::fs::File::open(&path).map_err(|error| unreadable(&path, &error))?;
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece).map_err(|error| unreadable(&path, &error))?;
        if read == 0 {
            break;
        }
        upload.write(piece.get(..read).unwrap_or_default())?;
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let info = engine.finish_upload(&cx, upload, &name).await?;
    let request = ImportRequest { spec, files: vec![info.id], dry_run: asked.dry_run, entity: Some(asked.entity.clone()) };
    let job = engine.import(&cx, request).await?;
    let job = engine.wait_job(&cx, job.id, |view| progress(view, terminal)).await?;
    let count = |name: &str| job.json[name].as_u64().unwrap_or_default();
    let kept = if asked.dry_run { " (a trial: nothing was kept)" } else { "" };
    terminal.say(format!(
        "{} created, {} updated, {} skipped, {} failed{kept}",
        count("created"),
        count("updated"),
        count("skipped"),
        count("failed")
    ));
    if count("failed") > 0 {
        let target = beside(&path);
        keep(engine.import_errors(&cx, job.id, None).await?, &target)?;
        terminal.complain(format!("the rows that failed, with reasons: {}", target.display()));
    }
    ended(&job, terminal, count("failed") == 0)
}

fn progress(view: &JobView, terminal: &Terminal) {
    terminal.progress(view.json["done"].as_u64().unwrap_or_default(), view.json["total"].as_u64());
}

/// `accounts.csv` becomes `accounts.errors.csv`.
fn beside(path: &Path) -> PathBuf {
    path.with_extension("errors.csv")
}

fn ended(job: &JobView, terminal: &Terminal, good: bool) -> Result<u8, Error> {
    if job.state != State::Done {
        let reason = job.json["error"].as_str().map_or_else(|| job.json["error"].to_string(), str::to_owned);
        terminal.complain(format!("trellis: the job {}: {reason}", job.state.as_str()));
    }
    Ok(if job.state == State::Done && good { crate::DONE } else { crate::FAILED })
}

/// Writes a file that was made for the caller.
fn keep(download: Download, target: &Path) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::Internal(format!("{}: {error}", target.display()));
    match download.content {
        Content::Path(path) => std::fs::copy(path, target).map(drop).map_err(failed),
        Content::Bytes(bytes) => std::fs::write(target, bytes).map_err(failed),
    }
}

pub(super) async fn export(engine: &Engine, asked: &Export, terminal: &Terminal) -> Result<u8, Error> {
    let cx = engine.system();
    let format = match asked.format {
        Format::Csv => "csv",
        Format::Xlsx => "xlsx",
    };
    let mut request = json!({"entity": asked.entity, "format": format});
    if let Some(filter) = &asked.filter {
        let read: Json =
            serde_json::from_str(filter).map_err(|error| Error::Documents(vec![Diagnostic::error("", format!("--filter is no JSON: {error}"))]))?;
        request["filter"] = read;
    }
    if !asked.fields.is_empty() {
        request["fields"] = json!(asked.fields);
    }
    let job = engine.export(&cx, ExportRequest::parse(&request)?).await?;
    let job = engine.wait_job(&cx, job.id, |view| progress(view, terminal)).await?;
    if job.state == State::Done {
        let target = terminal.path(&asked.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.{format}", asked.entity))));
        keep(engine.export_file(&cx, job.id).await?, &target)?;
        terminal.say(target.display().to_string());
    }
    ended(&job, terminal, true)
}
