//! In charge of files: taken in piece by piece, handed out with the rights of the record they hang on.
//! Invariant: no file is ever held in memory.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use engine::files::{Content, Download, FileInfo, MAX_FILE};
use engine::{Ctx, Error};
use futures_util::stream;
use model::{Code, Message};
use std::path::PathBuf;
use tokio::io::AsyncReadExt;

use super::auth::MADE;
use crate::http::Caller;
use crate::http::answer;
use crate::http::path::{At, id};
use crate::http::problem::Problem;
use crate::state::RuntimeState;

/// How long the next piece of an upload may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
/// How much of a file is read at once.
const PIECE: usize = 64 << 10;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new().route("/files", post(upload)).route("/files/{id}", get(download)).layer(DefaultBodyLimit::disable())
}

/// The parts of a form.
pub(super) async fn parts(request: Request, state: &RuntimeState) -> Result<Multipart, Problem> {
    Multipart::from_request(request, state).await.map_err(|error| malformed(&error.body_text()))
}

pub(crate) fn malformed(detail: &str) -> Problem {
    Problem::of(Code::Malformed, Message::new("malformed").with("detail", detail))
}

pub(crate) fn broken(error: MultipartError) -> Problem {
    malformed(&error.body_text())
}

/// The next piece of a part; a client that dawdles is given up.
pub(super) async fn next_piece(field: &mut Field<'_>) -> Result<Option<Bytes>, Problem> {
    match tokio::time::timeout(PATIENCE, field.chunk()).await {
        Ok(piece) => piece.map_err(broken),
        Err(_) => Err(Problem::http(StatusCode::REQUEST_TIMEOUT, "busy", Message::new("timed_out"))),
    }
}

/// Takes a part in as a file of the caller's.
pub(crate) async fn take(state: &RuntimeState, cx: &Ctx, mut field: Field<'_>, limit: u64) -> Result<FileInfo, Problem> {
    let name = field.file_name().unwrap_or("file").to_owned();
    let mut upload = state.engine().begin_upload(limit)?;
    while let Some(piece) = next_piece(&mut field).await? {
        // Short writes into a file that is ours: the page cache takes them, no thread is worth its start.
        upload.write(&piece)?;
    }
    Ok(state.engine().finish_upload(cx, upload, &name).await?)
}

/// `multipart/form-data` with one `file`.
async fn upload(State(state): State<RuntimeState>, caller: Caller, request: Request) -> Result<Response, Problem> {
    let mut parts = parts(request, &state).await?;
    while let Some(field) = parts.next_field().await.map_err(broken)? {
        if field.name() == Some("file") {
            let info = take(&state, &caller.cx, field, MAX_FILE).await?;
            let mut response = answer::json(MADE, &info.to_json());
            if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/files/{}", info.id)) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            return Ok(response);
        }
    }
    Err(malformed("there is no part `file`"))
}

async fn download(State(state): State<RuntimeState>, caller: Caller, At(file): At<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let download = state.engine().file(&caller.cx, id(&file)?).await?;
    hand_out(download, &headers).await
}

/// A file as an answer, with the headers that make it harmless.
pub(crate) async fn hand_out(download: Download, asked: &HeaderMap) -> Result<Response, Problem> {
    let known = asked.get(header::IF_NONE_MATCH).and_then(|tag| tag.to_str().ok()).is_some_and(|tag| tag == download.etag);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match download.content {
            Content::Bytes(bytes) => bytes.into_response(),
            Content::Path(path) => file(path).await?,
        }
    };
    let headers = response.headers_mut();
    for (name, value) in download.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(&value)) {
            headers.insert(name, value);
        }
    }
    if let Ok(tag) = HeaderValue::from_str(&download.etag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

async fn file(path: PathBuf) -> Result<Response, Problem> {
    let gone = |error: std::io::Error| Error::Internal(format!("a file that is kept cannot be read: {error}"));
    let file = tokio::fs::File::open(&path).await.map_err(gone)?;
    let length = file.metadata().await.map_err(gone)?.len();
    let pieces = stream::unfold(Some(file), |file| async {
        let mut file = file?;
        let mut piece = vec![0_u8; PIECE];
        match file.read(&mut piece).await {
            Ok(0) => None,
            Ok(read) => {
                piece.truncate(read);
                Some((Ok(Bytes::from(piece)), Some(file)))
            }
            Err(error) => Some((Err(error), None)),
        }
    });
    let mut response = Body::from_stream(pieces).into_response();
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Ok(response)
}
