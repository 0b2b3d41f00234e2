//! In charge of the steps of scenarios that are about the workings: many things at once, a new revision in the middle,
//! everything in memory thrown away.

use serde_json::Value as Json;

use super::verbs::{Failure, Step, Verb};
use super::{Stage, approvals};

/// The verbs of the workings.
pub(super) const VERBS: &[(&str, Verb)] = &[
    ("at_once", |stage, step| Box::pin(at_once(stage, step))),
    ("publish", |stage, step| Box::pin(publish(stage, step))),
    ("restart", |stage, step| Box::pin(restart(stage, step))),
];

async fn at_once(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let steps: Vec<Step> = step.get("at_once").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_object).cloned().collect();
    Box::pin(approvals::at_once(stage, &steps)).await
}

/// A new revision of the app: `patch` is RFC 6902 on its one document.
async fn publish(stage: &mut Stage, step: &Step) -> Result<(), Failure> {
    let cx = stage.engine.system();
    let mut package = stage.engine.export_app(&cx, &stage.app)?;
    let patch = step.get("patch").or(step.get("publish").filter(|own| own.is_array())).cloned().unwrap_or_else(|| Json::Array(Vec::new()));
    let patch = model::patch::parse(&patch).map_err(|fault| fault.to_string())?;
    package.app = model::patch::apply_to_app(&package.app, &patch).map_err(crate::error::Error::Documents)?;
    stage.engine.publish(&cx, vec![package], "scenario").await?;
    Ok(())
}

async fn restart(stage: &mut Stage, _: &Step) -> Result<(), Failure> {
    stage.engine = stage.engine.reopened().await?;
    Ok(())
}
