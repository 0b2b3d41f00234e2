//! In charge of the steps of scenarios about public pools: `claim`, `release`, `protect`, `unprotect`.

use serde_json::{Map, Value as Json};

use super::Stage;
use super::verbs::{Failure, word};
use crate::pools::{PoolAsk, PoolDeed};

/// `{"claim": "$c", "pool": "public", "to": "ben"}`.
pub(super) async fn act(stage: &mut Stage, step: &Map<String, Json>, verb: &str) -> Result<(), Failure> {
    let cx = stage.context(step).await?;
    let name = word(step, verb)?;
    let (entity, record) = stage.record(name).ok_or_else(|| format!("there is no record `{name}`"))?;
    let to = match step.get("to").and_then(Json::as_str) {
        Some(name) => Some(stage.users.get(name.trim_start_matches('$')).copied().ok_or_else(|| format!("there is no user `{name}`"))?),
        None => None,
    };
    let deed = match verb {
        "claim" => PoolDeed::Claim { to },
        "release" => PoolDeed::Release { reason: step.get("reason").and_then(Json::as_str).map(str::to_owned) },
        "protect" => PoolDeed::Protect,
        _ => PoolDeed::Unprotect,
    };
    let pool = step.get("pool").and_then(Json::as_str).map(str::to_owned);
    let entity = stage.find(&cx, &entity)?;
    stage.engine.pool(&cx, PoolAsk { entity, record, pool, deed }).await?;
    Ok(())
}
