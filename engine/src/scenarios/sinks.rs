//! In charge of the world of a scenario: mails and calls that are taken down, or refused as a step asks.
//! Invariant: nothing leaves the program.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Map, Value as Json};

use super::verbs::Failure;
use super::{Stage, verbs};
use crate::clock::{Clock, ManualClock};
use crate::effects::{Answer, Mail, Outside, Refused, Request};

/// How a receiver behaves; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    /// It takes everything.
    #[default]
    Well,
    /// It refuses so often.
    Fails(u64),
    /// It refuses until a moment.
    FailsUntil(DateTime<Utc>),
}

/// The receivers of a scenario.
#[derive(Debug)]
pub(super) struct Sinks {
    clock: ManualClock,
    mail: Mutex<Mood>,
    webhook: Mutex<Mood>,
}

impl Sinks {
    pub(super) fn new(clock: ManualClock) -> Self {
        Self { clock, mail: Mutex::default(), webhook: Mutex::default() }
    }

    fn asked(&self, mood: &Mutex<Mood>) -> Result<(), Refused> {
        let mut mood = mood.lock();
        match *mood {
            Mood::Well => Ok(()),
            Mood::Fails(0) => {
                *mood = Mood::Well;
                Ok(())
            }
            Mood::Fails(times) => {
                *mood = Mood::Fails(times - 1);
                Err(Refused::later("the sink fails"))
            }
            Mood::FailsUntil(until) if self.clock.now() < until => Err(Refused::later("the sink fails")),
            Mood::FailsUntil(_) => {
                *mood = Mood::Well;
                Ok(())
            }
        }
    }
}

impl Outside for Sinks {
    fn mail(&self, _: Mail) -> BoxFuture<'static, Result<(), Refused>> {
        let taken = self.asked(&self.mail);
        Box::pin(async move { taken })
    }

    fn send(&self, _: Request) -> BoxFuture<'static, Result<Answer, Refused>> {
        let taken = self.asked(&self.webhook).map(|()| Answer { status: 200, retry_after: None, body: Vec::new() });
        Box::pin(async move { taken })
    }
}

/// `{"sink": "mail", "fail": 2}`: how often, or until when, a receiver refuses; with a delay longer than anybody waits it does.
pub(super) async fn sink(stage: &mut Stage, step: &Map<String, Json>) -> Result<(), Failure> {
    let name = verbs::word(step, "sink")?;
    let sinks = Arc::clone(&stage.sinks);
    let mood = match (step.get("fail"), step.get("delay")) {
        (Some(Json::Number(times)), _) => Mood::Fails(times.as_u64().unwrap_or_default()),
        (Some(Json::String(until)), _) => {
            Mood::FailsUntil(DateTime::parse_from_rfc3339(until).map_err(|error| error.to_string())?.with_timezone(&Utc))
        }
        (Some(Json::Bool(true)), _) => Mood::Fails(u64::MAX),
        (None, Some(delay)) => {
            const PATIENCE: i64 = 10;
            let seconds = delay.as_str().and_then(model::field::scalar::read_duration).ok_or_else(|| format!("{delay} is no duration"))?;
            if seconds > PATIENCE { Mood::Fails(u64::MAX) } else { Mood::Well }
        }
        _ => Mood::Well,
    };
    match name {
        "mail" => *sinks.mail.lock() = mood,
        "webhook" => *sinks.webhook.lock() = mood,
        other => return Err(Failure::Other(format!("there is no sink `{other}`: mail or webhook"))),
    }
    Ok(())
}
