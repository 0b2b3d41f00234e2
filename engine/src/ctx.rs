//! In charge of one request's facts: who asks, under which revision, when, and why.
//! Invariant: a `Ctx` never changes; what it was made with holds to the end of the request.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use model::{Cells, EntityId};
use rules::policy::Grants;
use rules::query::Params;
use uuid::Uuid;

use crate::published::Published;
use crate::records::Channel;

/// A person who is signed in, with what rights depend on.
#[derive(Debug)]
pub struct Person {
    /// The record in `core.user`.
    pub id: Uuid,
    /// Its cells.
    pub cells: Cells,
    /// Qualified role names.
    pub roles: Vec<String>,
    /// Whether `core.admin` is among them.
    pub admin: bool,
    /// Everybody below, through `manager`, all levels.
    pub reports: Vec<Uuid>,
    /// Their department.
    pub department: Option<Uuid>,
    /// Their department and those below it.
    pub departments_below: Vec<Uuid>,
    /// Their language.
    pub locale: String,
    /// Their time zone.
    pub zone: Tz,
}

/// Who asks; closed.
#[derive(Clone, Debug)]
pub enum Caller {
    /// The engine: all rights, nobody's name.
    System,
    /// A person.
    Person(Arc<Person>),
}

impl Caller {
    /// The person's id.
    #[must_use]
    pub fn user(&self) -> Option<Uuid> {
        match self {
            Self::System => None,
            Self::Person(person) => Some(person.id),
        }
    }

    /// Whether no right is missing.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        match self {
            Self::System => true,
            Self::Person(person) => person.admin,
        }
    }
}

/// Why a change is made, kept with it; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked for it.
    #[default]
    Request,
    /// A file was read.
    Import,
    /// A value was computed.
    Computed,
    /// Something else was deleted or restored.
    Cascade,
    /// Data was set up with an app.
    Seed,
    /// A change set was taken back.
    Undo,
}

impl Cause {
    /// The word in the change log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Import => "import",
            Self::Computed => "computed",
            Self::Cascade => "cascade",
            Self::Seed => "seed",
            Self::Undo => "undo",
        }
    }
}

/// One request's facts.
#[derive(Clone)]
pub struct Ctx {
    /// The published snapshot that the request began with.
    pub app: Arc<Published>,
    /// Who asks.
    pub caller: Caller,
    /// What the caller may do, compiled for this revision.
    pub grants: Arc<Grants>,
    /// When.
    pub now: DateTime<Utc>,
    /// The caller's time zone.
    pub zone: Tz,
    /// The caller's language.
    pub locale: String,
    /// Through which door.
    pub channel: Channel,
    /// Why.
    pub cause: Cause,
    /// The change set that the changes belong to, where they are more than one request's.
    pub change_set: Option<Uuid>,
    /// How many changes deep this one was caused; limited to 8.
    pub depth: u8,
}

impl Ctx {
    /// What placeholders of filters stand for, `record` being the record at hand.
    #[must_use]
    pub fn params<'a>(&'a self, record: Option<(EntityId, &'a Cells)>) -> Params<'a> {
        let person = match &self.caller {
            Caller::System => None,
            Caller::Person(person) => Some(person),
        };
        Params {
            me: person.map(|person| person.id),
            me_cells: person.map(|person| &person.cells),
            departments_below: person.map_or(&[], |person| person.departments_below.as_slice()),
            reports: person.map_or(&[], |person| person.reports.as_slice()),
            now: self.now,
            zone: self.zone,
            record,
            settings: &self.app.settings,
        }
    }

    /// The same request with all rights: what the engine does on its own account within it.
    #[must_use]
    pub fn as_engine(&self, cause: Cause) -> Self {
        Self { grants: Arc::clone(&self.app.all_grants), channel: Channel::Engine, cause, ..self.clone() }
    }
}
