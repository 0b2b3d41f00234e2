//! In charge of where a record keeps the state of its clocks: fields of the engine's own, called `first_reply.due_at`.
//! Invariant: what is told of a clock is when it is due and how it stands; the rest is the engine's alone.

use serde_json::json;

use crate::doc::{Clock, Field};
use crate::label::Label;
use crate::name::Name;
use crate::schema::{FieldDef, Slot};

/// A part of a clock's state; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockPart {
    /// By when it is to be met; empty while it does not count.
    DueAt,
    /// How it stands: `running`, `paused`, `met`, `missed`; empty where it does not run.
    State,
    /// From when it counts since its last start.
    Since,
    /// The last moment at which something other than `from` started it.
    RestartedAt,
    /// From when it counts since its last pause; empty while it does not count.
    ResumedAt,
    /// The seconds, of working time where it counts that, that went by before the last pause.
    Used,
    /// How many of its warnings were given since its last start.
    Warned,
}

impl ClockPart {
    /// Every part.
    pub const ALL: [Self; 7] = [Self::DueAt, Self::State, Self::Since, Self::RestartedAt, Self::ResumedAt, Self::Used, Self::Warned];
    /// Those that people see.
    pub const TOLD: [Self; 2] = [Self::DueAt, Self::State];

    /// Its word behind the clock's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DueAt => "due_at",
            Self::State => "state",
            Self::Since => "since",
            Self::RestartedAt => "restarted_at",
            Self::ResumedAt => "resumed_at",
            Self::Used => "used",
            Self::Warned => "warned",
        }
    }

    /// Whether people see it.
    #[must_use]
    pub fn is_told(self) -> bool {
        Self::TOLD.contains(&self)
    }

    /// The field's document, as if an author had written it.
    pub(super) fn document(self, name: &Name, clock: &Clock) -> Field {
        let mut field = Field::of_kind(match self {
            Self::DueAt | Self::Since | Self::RestartedAt | Self::ResumedAt => "datetime",
            Self::State => "choice",
            Self::Used | Self::Warned => "integer",
        });
        match self {
            Self::DueAt => field.common.label = Some(labelled(name, clock, ["due", "截止时间", "截止時間"])),
            Self::State => {
                field.settings.insert("options".to_owned(), states());
                field.common.label = Some(labelled(name, clock, ["state", "计时状态", "計時狀態"]));
            }
            Self::Since | Self::RestartedAt | Self::ResumedAt | Self::Used | Self::Warned => {}
        }
        field
    }
}

/// What people call a part, beside what they call the clock.
fn labelled(name: &Name, clock: &Clock, words: [&str; 3]) -> Label {
    let of = |locale: &str| clock.label.as_ref().map_or(name.as_str(), |label| label.get(locale)).to_owned();
    let [en, cn, tw] = words;
    let texts = [("en", format!("{}: {en}", of("en"))), ("zh-CN", format!("{}：{cn}", of("zh-CN"))), ("zh-TW", format!("{}：{tw}", of("zh-TW")))];
    Label::Localised(texts.into_iter().map(|(locale, text)| (locale.to_owned(), text)).collect())
}

fn states() -> serde_json::Value {
    json!({
        "running": {"label": {"en": "Running", "zh-CN": "计时中", "zh-TW": "計時中"}, "color": "blue"},
        "paused": {"label": {"en": "Paused", "zh-CN": "已暂停", "zh-TW": "已暫停"}, "color": "gray"},
        "met": {"label": {"en": "Met", "zh-CN": "已达成", "zh-TW": "已達成"}, "color": "green"},
        "missed": {"label": {"en": "Missed", "zh-CN": "已超时", "zh-TW": "已逾時"}, "color": "red"}
    })
}

/// Where a record keeps the state of one clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockDef {
    /// The clock.
    pub name: Name,
    /// The slot of each part.
    slots: [Slot; ClockPart::ALL.len()],
}

impl ClockDef {
    /// The clock called `name` among the fields of its entity.
    pub(super) fn of(name: &Name, fields: &[FieldDef]) -> Option<Self> {
        let slot = |part| fields.iter().find(|field| field.clock.as_ref().is_some_and(|(of, is)| of == name && *is == part)).and_then(FieldDef::slot);
        let [a, b, c, d, e, f, g] = ClockPart::ALL.map(slot);
        Some(Self { name: name.clone(), slots: [a?, b?, c?, d?, e?, f?, g?] })
    }

    /// The slot of a part.
    #[must_use]
    pub fn slot(&self, part: ClockPart) -> Slot {
        ClockPart::ALL.iter().position(|there| *there == part).and_then(|index| self.slots.get(index)).copied().unwrap_or_default()
    }
}
