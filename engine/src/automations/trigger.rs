//! In charge of what sets an automation off, and whether a change is it.
//! Invariant: closed: what the document may say is what is matched here.

use chrono::{Duration, NaiveTime};
use model::doc::Field;
use model::field::{Role, TypedField};
use model::{Cells, EntityDef, EntityId, FieldId, Label, Value};
use rules::condition::CompiledCondition;
use std::sync::Arc;

use crate::records::Op;
use crate::records::accept::differs;

/// What sets an automation off; closed.
#[derive(Debug)]
pub(crate) enum Trigger {
    /// A record is created, updated (in one of these fields, where some are named), deleted, restored.
    Record { op: Op, fields: Vec<FieldId> },
    /// A record enters or leaves a stage; any where none is named.
    Stage { entered: bool, field: FieldId, value: Option<String> },
    /// An approval is decided.
    Approval { word: String, flow: Option<String>, result: Option<String> },
    /// A clock of a record warns or is missed.
    Clock { name: String, at: Option<String> },
    /// A cron line in a zone.
    Schedule { line: String, zone: Option<chrono_tz::Tz> },
    /// A moment before or after a date of a record.
    Date { field: FieldId, offset: Duration, at: Option<NaiveTime> },
    /// Another system calls.
    Webhook,
    /// A visitor sends a form, by its qualified name.
    Form { form: String },
    /// A message comes in through a channel.
    Message,
    /// Somebody presses a button.
    Button(ButtonPlan),
    /// What was written cannot be read; the check says why.
    Unknown,
}

/// A button.
#[derive(Debug)]
pub(crate) struct ButtonPlan {
    /// The name by which it is pressed.
    pub(crate) name: String,
    /// What stands on it.
    pub(crate) label: Option<Label>,
    pub(crate) show_if: Option<CompiledCondition>,
    pub(crate) roles: Vec<String>,
    pub(crate) many: bool,
    pub(crate) ask: Vec<Question>,
}

/// What a button asks.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) name: String,
    /// As the document asks it.
    pub(crate) doc: Field,
    pub(crate) role: Role,
    pub(crate) typed: Arc<dyn TypedField>,
    pub(crate) default: Option<model::Input>,
    /// The entity whose records may be answered.
    pub(crate) to: Option<EntityId>,
}

/// What another part of the engine tells of a record; closed.
#[derive(Clone, Debug)]
pub(crate) enum Signal<'a> {
    /// An approval flow was `decided`, `started` or `returned`, with its result.
    Approval { word: &'a str, flow: &'a str, result: Option<&'a str> },
    /// A clock came to its `warning` or was `missed`.
    Clock { name: &'a str, at: &'a str },
    /// A visitor sent a form, by its qualified name.
    Form(&'a str),
}

/// A change of a record.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) op: Op,
    /// Whether the engine computed it.
    pub(crate) computed: bool,
    pub(crate) before: Option<Arc<Cells>>,
    pub(crate) after: Arc<Cells>,
}

impl Trigger {
    /// Whether it is a change of a record that sets it off.
    pub(crate) fn is_of_changes(&self) -> bool {
        match self {
            Self::Record { .. } | Self::Stage { .. } | Self::Date { .. } => true,
            Self::Approval { .. }
            | Self::Clock { .. }
            | Self::Schedule { .. }
            | Self::Webhook
            | Self::Form { .. }
            | Self::Message
            | Self::Button(_)
            | Self::Unknown => false,
        }
    }

    /// The word in the history of runs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Record { op, .. } => op.as_str(),
            Self::Stage { entered: true, .. } => "entered",
            Self::Stage { entered: false, .. } => "left",
            Self::Approval { .. } => "approval",
            Self::Clock { .. } => "clock",
            Self::Schedule { .. } => "schedule",
            Self::Date { .. } => "date",
            Self::Webhook => "webhook",
            Self::Form { .. } => "form",
            Self::Message => "message",
            Self::Button(_) => "button",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a signal sets it off.
    pub(crate) fn hears(&self, signal: &Signal<'_>) -> bool {
        match (self, signal) {
            (Self::Approval { word, flow, result }, Signal::Approval { word: said, flow: of, result: what }) => {
                word == said && flow.as_deref().is_none_or(|flow| flow == *of) && result.as_deref().is_none_or(|result| Some(result) == *what)
            }
            (Self::Clock { name, at }, Signal::Clock { name: clock, at: moment }) => name == clock && at.as_deref().is_none_or(|at| at == *moment),
            (Self::Form { form }, Signal::Form(sent)) => form == *sent,
            _ => false,
        }
    }

    /// Whether a change sets it off.
    pub(crate) fn fits(&self, def: &EntityDef, event: &Event) -> bool {
        match self {
            Self::Record { op, fields } => {
                if *op != event.op {
                    return false;
                }
                if event.op != Op::Updated {
                    return !event.computed;
                }
                let Some(before) = &event.before else { return false };
                if fields.is_empty() {
                    return !event.computed;
                }
                fields.iter().any(|field| differs(def, def.field(*field), before, &event.after))
            }
            Self::Stage { entered, field, value } => {
                if matches!(event.op, Op::Deleted | Op::Restored | Op::Purged) {
                    return false;
                }
                let stage = |cells: &Cells| def.field(*field).cells(cells).first().and_then(Value::as_text).map(str::to_owned);
                let (was, is) = (event.before.as_deref().and_then(stage), stage(&event.after));
                let looked_at = if *entered { &is } else { &was };
                was != is && looked_at.is_some() && (value.is_none() || looked_at == value)
            }
            Self::Approval { .. }
            | Self::Clock { .. }
            | Self::Schedule { .. }
            | Self::Date { .. }
            | Self::Webhook
            | Self::Form { .. }
            | Self::Message
            | Self::Button(_)
            | Self::Unknown => false,
        }
    }
}
