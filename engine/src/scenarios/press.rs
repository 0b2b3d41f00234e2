//! In charge of `press`: a button on one record or several.

use indexmap::IndexMap;
use model::Input;
use serde_json::{Map, Value as Json};

use super::verbs::{Failure, word};
use super::{Stage, inputs};

/// `{"press": "plan", "record": "$d", "values": {…}}`.
pub(super) async fn press(stage: &mut Stage, step: &Map<String, Json>) -> Result<(), Failure> {
    let cx = stage.context(step).await?;
    let button = word(step, "press")?;
    let names: Vec<&str> = match (step.get("record"), step.get("records")) {
        (Some(Json::String(name)), _) => vec![name],
        (_, Some(Json::Array(names))) => names.iter().filter_map(Json::as_str).collect(),
        _ => return Err(Failure::Other("`press` needs `record` or `records`".to_owned())),
    };
    let mut found = Vec::new();
    for name in names {
        found.push(stage.record(name).ok_or_else(|| format!("there is no record `{name}`"))?);
    }
    let Some((entity, _)) = found.first().cloned() else { return Ok(()) };
    let entity = stage.find(&cx, &entity)?;
    let ids: Vec<uuid::Uuid> = found.into_iter().map(|(_, id)| id).collect();
    let values = step.get("values").map(|values| stage.resolve(values, &|_| false, "")).unwrap_or_default();
    let answers: IndexMap<String, Input> = inputs(values.as_object().cloned().unwrap_or_default());
    stage.engine.press(&cx, entity, &ids, button, answers).await?;
    Ok(())
}
