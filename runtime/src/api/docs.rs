//! In charge of the API's own description: as OpenAPI, and as a page to read.
//! Invariant: the page is plain HTML: no script, nothing from elsewhere.

use std::fmt::Write;

use axum::Router;
use axum::extract::State;
use axum::response::{Html, Response};
use axum::routing::get;
use serde_json::Value as Json;

use crate::http::Caller;
use crate::http::answer;
use crate::state::RuntimeState;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new().route("/openapi.json", get(openapi)).route("/docs", get(docs))
}

async fn openapi(State(state): State<RuntimeState>, caller: Caller) -> Response {
    answer::ok(&state.engine().openapi(&caller.cx))
}

async fn docs(State(state): State<RuntimeState>, caller: Caller) -> Html<String> {
    Html(page(&state.engine().openapi(&caller.cx)))
}

fn page(description: &Json) -> String {
    let mut out = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>API</title>\n<h1>API</h1>\n",
    );
    let mut put = |text: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _infallible = out.write_fmt(text);
    };
    put(format_args!(
        "<p>{}</p>\n<p><a href=\"openapi.json\">openapi.json</a></p>\n",
        escape(description["info"]["description"].as_str().unwrap_or_default())
    ));
    put(format_args!("<h2>Calls</h2>\n<table>\n"));
    for (path, operations) in description["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let summary = operation["summary"].as_str().unwrap_or_default();
            put(format_args!("<tr><td><code>{}</code><td><code>{}</code><td>{}\n", escape(&method.to_uppercase()), escape(path), escape(summary)));
        }
    }
    put(format_args!("</table>\n<h2>Records</h2>\n"));
    for (name, schema) in description["components"]["schemas"].as_object().into_iter().flatten() {
        put(format_args!("<h3 id=\"{0}\"><code>{0}</code> {1}</h3>\n<table>\n", escape(name), escape(schema["title"].as_str().unwrap_or_default())));
        for (field, kind) in schema["properties"].as_object().into_iter().flatten() {
            let what = kind["description"].as_str().unwrap_or_default();
            put(format_args!("<tr><td><code>{}</code><td>{}<td>{}\n", escape(field), escape(&kind_text(kind)), escape(what)));
        }
        put(format_args!("</table>\n"));
    }
    out
}

fn kind_text(kind: &Json) -> String {
    let named = |kind: &Json| kind.as_str().map(str::to_owned);
    let word = match &kind["type"] {
        Json::Array(words) => words.iter().filter_map(named).filter(|word| word != "null").collect::<Vec<_>>().join(" or "),
        word => named(word).unwrap_or_default(),
    };
    match kind["format"].as_str() {
        Some(format) => format!("{word} ({format})"),
        None => word,
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::page;

    #[test]
    fn nothing_is_taken_for_markup() {
        let description = json!({"info": {"description": "<b>"}, "paths": {"/a": {"get": {"summary": "<script>alert(1)</script>"}}}, "components": {"schemas": {}}});
        let page = page(&description);
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
    }
}
