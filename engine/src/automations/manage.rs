//! In charge of automations as administrators see them: which there are, how they do, switched on and off.
//! Invariant: a switch is a publish like any other: it is a revision, and can be rolled back.

use model::Name;
use serde_json::{Value as Json, json};
use store::system::Cond;
use store::system::run::{self, RUN, Run, RunState};
use uuid::Uuid;

use super::verbs::administrator;
use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;

/// Runs that are given up in one transaction.
const SLICE: u32 = 200;

impl Engine {
    /// All automations: `{"data": [{"automation", "label", "app", "entity", "on", "off", "waiting", "failed", "dead", "last",
    /// "spent"}]}`; `spent` is what its scripts inside saves cost, in this process and since this revision.
    ///
    /// # Errors
    /// `Forbidden` without all rights.
    pub async fn automations(&self, cx: &Ctx) -> Result<Json, Error> {
        administrator(cx)?;
        let cx = cx.clone();
        self.store()
            .read(move |tx| {
                let mut data = Vec::new();
                for plan in cx.app.automations.all() {
                    let of = |state: RunState| {
                        [Cond::Eq("automation", model::Value::text(&plan.name)), Cond::Eq("state", model::Value::text(state.as_str()))]
                    };
                    let last = tx.find(&RUN, &[Cond::Eq("automation", model::Value::text(&plan.name))], &[("id", true)], 1)?;
                    data.push(json!({
                        "automation": plan.name,
                        "label": plan.label.as_ref().map(|label| label.get(&cx.locale)),
                        "app": plan.app,
                        "entity": plan.entity.map(|entity| cx.app.schema.entity(entity).name.to_string()),
                        "on": plan.body.pointer("/automation/on"),
                        "off": plan.off,
                        "waiting": tx.how_many(&RUN, &of(RunState::Waiting))?,
                        "failed": tx.how_many(&RUN, &of(RunState::Failed))?,
                        "dead": tx.how_many(&RUN, &of(RunState::Dead))?,
                        "spent": plan.spent.told(),
                        "last": last.first().and_then(|row| Run::read(row)).map(|run| run.at),
                    }));
                }
                Ok(json!({"data": data}))
            })
            .await
    }

    /// Switches an automation on or off: a new revision. What waits of it goes on, unless it is `given_up`; the revision, and how
    /// many runs were given up.
    ///
    /// # Errors
    /// `Forbidden` without all rights; `NotFound`; what a publish refuses.
    pub async fn switch_automation(&self, cx: &Ctx, automation: &str, on: bool, given_up: bool) -> Result<(i64, usize), Error> {
        administrator(cx)?;
        let (app, name) = automation.split_once('.').ok_or(Error::NotFound)?;
        let name = Name::parse(name).ok_or(Error::NotFound)?;
        let mut package = self.export_app(cx, app)?;
        let document = package.app.automations.get_mut(&name).ok_or(Error::NotFound)?;
        let revision = if document.off == on {
            document.off = !on;
            let note = format!("{automation}: {}", if on { "on" } else { "off" });
            self.publish(cx, vec![package], &note).await?.0
        } else {
            cx.app.revision
        };
        let ended = if given_up && !on { self.give_up(automation).await? } else { 0 };
        Ok((revision, ended))
    }

    /// Gives up what waits of an automation.
    async fn give_up(&self, automation: &str) -> Result<usize, Error> {
        let mut ended = 0;
        loop {
            let (name, now) = (automation.to_owned(), self.now());
            let done = self
                .store()
                .write(move |tx| {
                    let waiting = [RunState::Waiting, RunState::Failed].map(|state| model::Value::text(state.as_str())).to_vec();
                    let fit = [Cond::Eq("automation", model::Value::text(&name)), Cond::In("state", waiting)];
                    let ids: Vec<Uuid> =
                        tx.find(&RUN, &fit, &[], SLICE)?.iter().filter_map(|row| row.first()).filter_map(model::Value::as_uuid).collect();
                    for id in &ids {
                        let Some(mut run) = run::get(tx, *id, store::Lock::Update)? else { continue };
                        (run.state, run.ended_at) = (RunState::Cancelled, Some(now));
                        run::keep(tx, &run)?;
                    }
                    Ok::<_, Error>(ids.len())
                })
                .await?;
            ended += done;
            if done == 0 {
                return Ok(ended);
            }
        }
    }
}
