//! In charge of the pause: for a span, or until a moment; one that is past ends at once.

use model::Label;
use model::doc::approval::DelayDoc;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Next, NodeKind};
use crate::approval::facts::{Told, Trouble};
use crate::approval::instance::TokenId;
use crate::approval::machine::Machine;
use crate::approval::plan::Node;
use crate::approval::timer::TimerKind;

/// The step.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Delay(DelayDoc);

impl NodeKind for Delay {
    fn word(&self) -> &'static str {
        "delay"
    }

    fn label(&self) -> Option<&Label> {
        self.0.label.as_ref()
    }

    fn is_open_ended(&self) -> bool {
        true
    }

    fn enter(&self, machine: &mut Machine<'_>, node: &Node, token: TokenId) -> Told<Next> {
        let due = match &self.0.span {
            Some(Json::String(span)) => machine.facts.deadline(machine.now, span, Some("natural"), None)?,
            Some(Json::Object(map)) => {
                let span = map.get("span").and_then(Json::as_str).ok_or_else(|| Trouble("the span of the pause is missing".to_owned()))?;
                machine.facts.deadline(machine.now, span, map.get("calendar").and_then(Json::as_str), machine.instance.initiator)?
            }
            Some(_) => return Err(Trouble("the span of the pause cannot be read".to_owned())),
            None => match machine.facts.moment(&format!("steps/{}/until", node.name))? {
                Some(moment) => moment,
                None => return Err(Trouble("the pause has no end: its date is empty".to_owned())),
            },
        };
        if due <= machine.now || machine.ahead {
            return Ok(Next::On);
        }
        machine.set_timer(due, TimerKind::Delay { token });
        Ok(Next::Wait)
    }
}
