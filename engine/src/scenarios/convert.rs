//! In charge of `convert`: a record becomes others, or it is looked at what would come of it.

use model::Input;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::Stage;
use super::verbs::{Failure, subject, word};
use crate::conversions::ConversionAsked;

/// `{"convert": "$lead", "conversion": "qualify", "values": {…}, "targets": […], "lines": {…}, "save": "r"}`.
pub(super) async fn convert(stage: &mut Stage, step: &Map<String, Json>) -> Result<(), Failure> {
    let cx = stage.context(step).await?;
    let (entity, record) = subject(stage, step, "convert")?;
    let entity = stage.find(&cx, &entity)?;
    let resolved = |key: &str| step.get(key).map_or(Input::Null, |json| Input::from(&stage.resolve(json, &|_| false, key)));
    let asked = ConversionAsked {
        values: resolved("values"),
        targets: resolved("targets"),
        lines: resolved("lines"),
        dry_run: step.get("dry_run") == Some(&Json::Bool(true)),
        ..ConversionAsked::of(word(step, "conversion")?)
    };
    let told = stage.engine.convert(&cx, entity, record, asked).await?;
    let targets = told.get("targets").and_then(Json::as_object).cloned().unwrap_or_default();
    for (name, expected) in step.get("expect_targets").and_then(Json::as_object).into_iter().flatten() {
        let there = targets.get(name).and_then(|target| target.get("do"));
        if there != Some(expected) {
            let there = there.cloned().unwrap_or_default();
            return Err(Failure::Other(format!("{name} is {there}, {expected} was expected")));
        }
    }
    if let Some(save) = step.get("save").and_then(Json::as_str) {
        for (name, target) in &targets {
            let text = |key: &str| target.get(key).and_then(Json::as_str);
            if let (Some(entity), Some(Ok(id))) = (text("entity"), text("id").map(Uuid::try_parse)) {
                stage.keep(format!("{save}.{name}"), entity.to_owned(), id);
            }
        }
    }
    Ok(())
}
