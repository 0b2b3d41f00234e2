//! In charge of scripts, styles and icons: all of them inside the program.
//! Invariant: nothing is loaded from outside; an address with the build's hash never changes its content.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

#[derive(RustEmbed)]
#[folder = "assets"]
struct Own;

#[derive(RustEmbed)]
#[folder = "../engine/render/assets/vendor"]
struct Vendored;

/// The hash of all assets.
static BUILD: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for file in Own::iter().filter_map(|path| Own::get(&path)).chain(Vendored::iter().filter_map(|path| Vendored::get(&path))) {
        hash.update(&file.data);
    }
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
});

/// The address of an asset.
#[must_use]
pub(super) fn url(path: &str) -> String {
    format!("/assets/{}/{path}", *BUILD)
}

/// The icon where browsers ask for it though no page names it.
pub(super) async fn icon() -> Response {
    get(Path("icon.svg".to_owned())).await
}

/// An asset by its address.
pub(super) async fn get(Path(path): Path<String>) -> Response {
    let name = path.split_once('/').filter(|(build, _)| *build == *BUILD).map_or(path.as_str(), |(_, name)| name);
    let file = Own::get(name).or_else(|| name.strip_prefix("vendor/").and_then(Vendored::get));
    let Some(file) = file else { return StatusCode::NOT_FOUND.into_response() };
    let mime = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    ([(header::CONTENT_TYPE, mime), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")], file.data.into_owned()).into_response()
}
