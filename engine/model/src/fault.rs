//! In charge of faults: what is wrong with data (`Violation`) or with a document (`Diagnostic`).
//! Invariant: a code is stable text for programs; the message is for people, in their language.

use std::fmt;

use crate::label::Label;
use crate::message::Message;

/// The stable word of a fault; closed, each with the status that an answer carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is its own word, documented in the API page")]
pub enum Code {
    Malformed,
    UnknownField,
    UnknownEntity,
    WrongType,
    Required,
    OutOfRange,
    BadFormat,
    NotUnique,
    DuplicateFound,
    BadReference,
    RuleFailed,
    TransitionRefused,
    StageRequires,
    ReadOnlyField,
    Forbidden,
    NotFound,
    StaleVersion,
    Locked,
    Restricted,
    TooLarge,
    Limit,
    RateLimited,
    Unauthenticated,
    IdempotencyMismatch,
    Busy,
    ScriptFailed,
    DepthExceeded,
    TaskClosed,
    NotYourTask,
    TargetRefused,
    WindowClosed,
    AlreadyRunning,
    AlreadySeated,
    NestedSign,
    TooSoon,
    ClaimLost,
    /// A person holds as much as they may.
    HoldLimit,
    /// A person claimed as much as they may on a day.
    DayLimit,
    /// Who lost a record waits before claiming it again.
    CoolDown,
    AlreadyConverted,
    NothingLeft,
}

impl Code {
    /// The word in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownField => "unknown_field",
            Self::UnknownEntity => "unknown_entity",
            Self::WrongType => "wrong_type",
            Self::Required => "required",
            Self::OutOfRange => "out_of_range",
            Self::BadFormat => "bad_format",
            Self::NotUnique => "not_unique",
            Self::DuplicateFound => "duplicate_found",
            Self::BadReference => "bad_reference",
            Self::RuleFailed => "rule_failed",
            Self::TransitionRefused => "transition_refused",
            Self::StageRequires => "stage_requires",
            Self::ReadOnlyField => "read_only_field",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::StaleVersion => "stale_version",
            Self::Locked => "locked",
            Self::Restricted => "restricted",
            Self::TooLarge => "too_large",
            Self::Limit => "limit",
            Self::RateLimited => "rate_limited",
            Self::Unauthenticated => "unauthenticated",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::Busy => "busy",
            Self::ScriptFailed => "script_failed",
            Self::DepthExceeded => "depth_exceeded",
            Self::TaskClosed => "task_closed",
            Self::NotYourTask => "not_your_task",
            Self::TargetRefused => "target_refused",
            Self::WindowClosed => "window_closed",
            Self::AlreadyRunning => "already_running",
            Self::AlreadySeated => "already_seated",
            Self::NestedSign => "nested_sign",
            Self::TooSoon => "too_soon",
            Self::ClaimLost => "claim_lost",
            Self::HoldLimit => "hold_limit",
            Self::DayLimit => "day_limit",
            Self::CoolDown => "cool_down",
            Self::AlreadyConverted => "already_converted",
            Self::NothingLeft => "nothing_left",
        }
    }

    /// The HTTP status that an answer with this fault carries (semantics.md, Answers).
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::UnknownField | Self::UnknownEntity => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden | Self::NotYourTask => 403,
            Self::NotFound => 404,
            Self::NotUnique
            | Self::DuplicateFound
            | Self::Restricted
            | Self::Locked
            | Self::TaskClosed
            | Self::AlreadyRunning
            | Self::AlreadySeated
            | Self::ClaimLost
            | Self::AlreadyConverted
            | Self::NothingLeft
            | Self::WindowClosed => 409,
            Self::StaleVersion => 412,
            Self::TooLarge => 413,
            Self::RateLimited | Self::TooSoon => 429,
            Self::Busy => 503,
            Self::WrongType
            | Self::Required
            | Self::OutOfRange
            | Self::BadFormat
            | Self::BadReference
            | Self::RuleFailed
            | Self::TransitionRefused
            | Self::StageRequires
            | Self::ReadOnlyField
            | Self::Limit
            | Self::IdempotencyMismatch
            | Self::ScriptFailed
            | Self::TargetRefused
            | Self::NestedSign
            | Self::HoldLimit
            | Self::DayLimit
            | Self::CoolDown
            | Self::DepthExceeded => 422,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a person reads of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wording {
    /// A message of the engine, from its catalogue.
    Message(Message),
    /// A message that the app's author wrote (a rule, a unique key).
    Label(Label),
    /// A text as it is, such as what a script failed with.
    Text(String),
}

impl Wording {
    /// The words in `locale`.
    #[must_use]
    pub fn text(&self, locale: &str) -> String {
        match self {
            Self::Message(message) => message.text(locale),
            Self::Label(label) => label.get(locale).to_owned(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// One fault in data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// A JSON Pointer into the values that were sent, `/items/0/discount`; empty for the whole.
    pub pointer: String,
    /// The field, where the fault is of one.
    pub field: Option<String>,
    /// The stable word.
    pub code: Code,
    /// What a person reads.
    pub wording: Wording,
}

impl Violation {
    /// A fault of `field` at its own top-level pointer.
    #[must_use]
    pub fn of_field(field: &str, code: Code, message: Message) -> Self {
        Self { pointer: format!("/{}", escape_pointer(field)), field: Some(field.to_owned()), code, wording: Wording::Message(message) }
    }

    /// A fault at `pointer` (the last token is taken as the field's name when it is one).
    #[must_use]
    pub fn at(pointer: impl Into<String>, code: Code, message: Message) -> Self {
        Self { pointer: pointer.into(), field: None, code, wording: Wording::Message(message) }
    }

    /// The same fault one level further down: `prefix` is put before its pointer.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.pointer = format!("{prefix}{}", self.pointer);
        self
    }
}

/// One token of a JSON Pointer, escaped.
#[must_use]
pub fn escape_pointer(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// How much a diagnostic weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Cannot be published.
    Error,
    /// Can be, but look.
    Warning,
}

/// One fault in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file within the app's folder, where documents came from files.
    pub file: Option<String>,
    /// A JSON Pointer into the app's document.
    pub pointer: String,
    /// Whether it stops a publish.
    pub severity: Severity,
    /// What is wrong, in English: documents are written by authors, tools and the designer.
    pub message: String,
    /// The likely meant name, where there is one.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at `pointer`.
    #[must_use]
    pub fn error(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: None, pointer: pointer.into(), severity: Severity::Error, message: message.into(), hint: None }
    }

    /// A warning at `pointer`.
    #[must_use]
    pub fn warning(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(pointer, message) }
    }

    /// With the likely meant name.
    #[must_use]
    pub fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}
