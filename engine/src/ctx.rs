//! In charge of one request's facts: who asks, under which revision, when, and why.
//! Invariant: a `Ctx` never changes; what it was made with holds to the end of the request.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use model::{Cells, EntityId};
use rules::policy::Grants;
use rules::query::{Moment, Params};
use uuid::Uuid;

use crate::files::FileStore;
use crate::published::Published;
use crate::records::Channel;

/// The counter of ids that are made in the same moment.
static IDS: std::sync::LazyLock<parking_lot::Mutex<uuid::ContextV7>> = std::sync::LazyLock::new(|| parking_lot::Mutex::new(uuid::ContextV7::new()));

/// A person who is signed in, with what rights depend on.
#[derive(Debug, PartialEq)]
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
    /// Their department and those above it, each with its name.
    pub departments_above: Vec<(Uuid, String)>,
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
    /// Records were merged.
    Merge,
    /// A change set was taken back.
    Undo,
    /// An automation did it.
    Automation,
    /// A stage or an option went with a publish.
    Publish,
    /// An approval's own step.
    Flow,
    /// Somebody took a record from a pool.
    Claim,
    /// Somebody gave a record back to a pool.
    Release,
    /// A record went back to its pool by itself.
    Recycle,
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
            Self::Merge => "merge",
            Self::Undo => "undo",
            Self::Automation => "automation",
            Self::Publish => "publish",
            Self::Flow => "flow",
            Self::Claim => "claim",
            Self::Release => "release",
            Self::Recycle => "recycle",
        }
    }
}

/// Through which face somebody asks; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// The pages.
    Web,
    /// The programming interface.
    Api,
}

impl Face {
    /// The word in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Api => "api",
        }
    }
}

/// By which way somebody asks: kept with what they decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// Through which face.
    pub face: Face,
    /// With what, as it calls itself.
    pub device: String,
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
    /// By which way it came; none where the engine acts by itself.
    pub via: Option<Arc<Via>>,
    /// Why.
    pub cause: Cause,
    /// The change set that the changes belong to, where they are more than one request's.
    pub change_set: Option<Uuid>,
    /// How many changes deep this one was caused; limited to 8.
    pub depth: u8,
    /// The running approval whose own step this is: its lock is passed, no other.
    pub flow: Option<Uuid>,
    /// Whether somebody is there to be asked: what may be there already is refused until they say that it is another thing.
    pub asks: bool,
    /// Fields that a document sets here: written whatever the caller's rights on them, which bind the records all the same.
    pub opened: Opened,
    /// Where files are: a content that nothing names is swept, so what a transaction that is repeated keeps twice is kept once.
    pub files: FileStore,
}

/// Fields by entity, shared.
pub type Opened = Arc<std::collections::BTreeSet<(EntityId, model::FieldId)>>;

impl Ctx {
    /// What placeholders of filters and names of expressions stand for: the settings of `app`, `record` the record at hand.
    #[must_use]
    pub fn params<'a>(&'a self, app: &str, record: Option<(EntityId, &'a Cells)>) -> Params<'a> {
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
            settings: self.app.settings_of(app),
            working: Some(&*self.app),
        }
    }

    /// Whether a document sets this field here.
    #[must_use]
    pub fn opens(&self, entity: EntityId, field: model::FieldId) -> bool {
        self.opened.contains(&(entity, field))
    }

    /// A new id, in the order of time.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        let micros = u64::try_from(self.now.timestamp_micros()).unwrap_or_default();
        let (seconds, nanos) = (micros / 1_000_000, u32::try_from(micros % 1_000_000 * 1_000).unwrap_or_default());
        Uuid::new_v7(uuid::Timestamp::from_unix(&*IDS.lock(), seconds, nanos))
    }

    /// The time zone whose days count in scopes, roll-ups and numbers.
    #[must_use]
    pub fn workspace_zone(&self) -> Tz {
        self.app.zone
    }

    /// The caller's day and the moment, for what is computed on read.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment { today: self.now.with_timezone(&self.zone).date_naive(), now: self.now }
    }

    /// Whether the caller has one of `roles` of `app`; anybody does where there are none, and `core.admin` always.
    #[must_use]
    pub fn has_role(&self, app: &str, roles: &[String]) -> bool {
        if roles.is_empty() {
            return true;
        }
        match &self.caller {
            Caller::System => true,
            Caller::Person(person) => {
                person.admin || roles.iter().any(|role| person.roles.iter().any(|there| there == role || *there == format!("{app}.{role}")))
            }
        }
    }

    /// The same moment as the engine's own: nobody's name, all rights.
    #[must_use]
    pub fn as_system(&self) -> Self {
        Self { caller: Caller::System, zone: self.app.zone, ..self.as_engine(self.cause) }
    }

    /// The same request with all rights: what the engine does on its own account within it.
    #[must_use]
    pub fn as_engine(&self, cause: Cause) -> Self {
        Self { grants: Arc::clone(&self.app.all_grants), channel: Channel::Engine, cause, asks: false, ..self.clone() }
    }
}
