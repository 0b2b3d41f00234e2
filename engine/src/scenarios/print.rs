//! In charge of `expect_print`: what stands on a paper, and what must not, for whoever looks at it.

use serde_json::Value as Json;

use super::Stage;
use super::verbs::{Failure, Step};

/// The texts of a key: one, or several.
fn texts<'s>(wanted: &'s Step, key: &str) -> Vec<&'s str> {
    match wanted.get(key) {
        Some(Json::Array(items)) => items.iter().filter_map(Json::as_str).collect(),
        Some(Json::String(text)) => vec![text.as_str()],
        _ => Vec::new(),
    }
}

/// Prints a saved record, and looks for texts on the paper.
pub(super) async fn expect_print(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let wanted = step.get("expect_print").and_then(Json::as_object).ok_or_else(|| "`expect_print` takes an object".to_owned())?;
    let named = |key: &str| wanted.get(key).and_then(Json::as_str).ok_or_else(|| format!("`{key}` is missing"));
    let (record, print) = (named("record")?, named("print")?);
    let (entity, id) = stage.record(record).ok_or_else(|| format!("there is no record `{record}`"))?;
    let mut cx = stage.context(step).await?;
    if let Some(locale) = wanted.get("locale").and_then(Json::as_str) {
        locale.clone_into(&mut cx.locale);
    }
    let entity = stage.find(&cx, &entity)?;
    let printed = stage.engine.print(&cx, entity, id, print).await?;
    for text in texts(wanted, "text") {
        if !printed.body.contains(text) {
            return Err(Failure::Other(format!("`{text}` does not stand on the paper: {}", printed.body)));
        }
    }
    for text in texts(wanted, "without") {
        if printed.body.contains(text) || printed.file_name.contains(text) {
            return Err(Failure::Other(format!("`{text}` stands on the paper: {}", printed.body)));
        }
    }
    Ok(())
}
