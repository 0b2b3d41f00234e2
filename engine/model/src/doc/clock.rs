//! In charge of clocks as written: how long something about a record may take, and what stops or restarts the counting.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::doc::Condition;
use crate::label::Label;
use crate::name::Name;

/// A length of time: `"PT4H"`, or `{"span": "P1D", "calendar": "office"}` in working time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TimeSpan {
    /// By the calendar of whoever counts.
    Plain(String),
    /// By a calendar of its own.
    In(SpanIn),
}

/// A length of time by a calendar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpanIn {
    /// An ISO 8601 duration.
    pub span: String,
    /// The calendar, bare or qualified; `natural` is every hour of every day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
}

impl TimeSpan {
    /// The ISO 8601 duration.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::In(inner) => &inner.span,
        }
    }

    /// The calendar that it names.
    #[must_use]
    pub fn calendar(&self) -> Option<&str> {
        match self {
            Self::Plain(_) => None,
            Self::In(inner) => inner.calendar.as_deref(),
        }
    }

    /// The same as documents of any app read it.
    fn qualify(&mut self, app: &str) {
        if let Self::In(SpanIn { calendar: Some(calendar), .. }) = self {
            qualify(calendar, app);
        }
    }
}

/// A clock that runs on a record: it counts from a moment on, may be paused, and is met in time or missed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The path to the date or moment at which it starts; while that is empty it does not run, and when it changes it starts anew.
    pub from: String,
    /// What starts it anew, later than `from`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restart_on: Vec<RestartOn>,
    /// When it runs; always where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_if: Option<Condition>,
    /// When it stands still; never where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_if: Option<Condition>,
    /// When it is met; where absent only a restart saves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met_if: Option<Condition>,
    /// How long it may take: the first limit that fits. Where none fits it does not run.
    pub limits: Vec<ClockLimit>,
    /// By which calendar it counts, bare or qualified; `natural` is every hour of every day. Absent: the calendar of the
    /// owner's department, else the workspace's, else natural.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
    /// How long before the limit it warns; each once in every start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warn_before: Vec<TimeSpan>,
}

/// One limit of a clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClockLimit {
    /// When it is this one; always where absent.
    #[serde(rename = "if", default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// How long it may take.
    pub within: TimeSpan,
}

/// What starts a clock anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RestartOn {
    /// Something was done for the record.
    Activity(RestartOnActivity),
    /// A record of a relation was added.
    Created(RestartOnCreated),
    /// Fields of the record changed.
    Changed(RestartOnChanged),
}

/// `{"activity": ["call", "visit"]}`: an activity about the record of one of these types, at the moment at which it took
/// place; with `any` every type, and a task that is closed with a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartOnActivity {
    /// The types of `core.activity`, or `any`.
    pub activity: Vec<String>,
}

/// `{"created": "deals"}`: a record was added that the relation of this name leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartOnCreated {
    /// The relation to many.
    pub created: Name,
}

/// `{"changed": ["stage"]}`: one of these fields of the record changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartOnChanged {
    /// The fields.
    pub changed: Vec<Name>,
}

impl Clock {
    /// The same with every calendar qualified: an extension's clock names calendars of its own app.
    #[must_use]
    pub fn qualified(&self, app: &str) -> Self {
        let mut clock = self.clone();
        if let Some(calendar) = &mut clock.calendar {
            qualify(calendar, app);
        }
        clock.limits.iter_mut().for_each(|limit| limit.within.qualify(app));
        clock.warn_before.iter_mut().for_each(|span| span.qualify(app));
        clock
    }
}

fn qualify(calendar: &mut String, app: &str) {
    if calendar != "natural" && !calendar.contains('.') {
        *calendar = format!("{app}.{calendar}");
    }
}
