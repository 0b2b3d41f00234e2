//! In charge of what the machine must know: people, departments, what holds on the record.
//! Invariant: the machine asks; whoever answers reads the open transaction and changes nothing.

use chrono::{DateTime, Utc};
use model::Name;
use serde_json::Value as Json;
use uuid::Uuid;

/// Why something cannot be known: the instance is parked with it, never goes on by guess.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

/// What was asked, or why it cannot be known.
pub type Told<T> = Result<T, Trouble>;

/// A person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// Whether they may sign in.
    pub active: bool,
    /// Who is above them.
    pub manager: Option<Uuid>,
    /// Where they belong.
    pub department: Option<Uuid>,
    /// Who took over when they left.
    pub successor: Option<Uuid>,
}

/// A department.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Department {
    /// The one above.
    pub parent: Option<Uuid>,
    /// Who heads it.
    pub head: Option<Uuid>,
}

/// Somebody who stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Who.
    pub person: Uuid,
    /// Until when.
    pub until: Option<DateTime<Utc>>,
}

/// What a field or an expression names; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A person.
    Person(Uuid),
    /// A department: its head is meant.
    Department(Uuid),
}

/// What the machine asks for. Pointers are into the flow's document: `steps/{node}/branches/{branch}/when`.
pub trait Facts {
    /// A person; none where there is no such one.
    ///
    /// # Errors
    /// Why it cannot be known; the same for all that follow.
    fn person(&self, id: Uuid) -> Told<Option<Person>>;
    /// The person whom a document names by id or address.
    fn person_named(&self, name: &str) -> Told<Option<Uuid>>;
    /// A department.
    fn department(&self, id: Uuid) -> Told<Option<Department>>;
    /// The department that a document names by id or name.
    fn department_named(&self, name: &str) -> Told<Option<Uuid>>;
    /// Everybody with a role, in the order of ids.
    fn in_role(&self, role: &str) -> Told<Vec<Uuid>>;
    /// Everybody in a department, in the order of ids.
    fn in_department(&self, id: Uuid, below: bool) -> Told<Vec<Uuid>>;
    /// The administrators, in the order of ids.
    fn admins(&self) -> Told<Vec<Uuid>>;
    /// Whom a path of the record names.
    fn at_path(&self, path: &str) -> Told<Vec<Subject>>;
    /// Whom the expression at `pointer` gives.
    fn expression(&self, pointer: &str) -> Told<Vec<Subject>>;
    /// Whether the condition at `pointer` holds on the record.
    fn holds(&self, pointer: &str) -> Told<bool>;
    /// The moment that the `until` at `pointer` names.
    fn moment(&self, pointer: &str) -> Told<Option<DateTime<Utc>>>;
    /// The watched fields as they are.
    fn watched(&self) -> Told<Json>;
    /// Who stands in for a person now.
    fn proxy(&self, principal: Uuid) -> Told<Option<Proxy>>;
    /// When a span is over that begins at `from`, in a calendar's time, else in the person's.
    fn deadline(&self, from: DateTime<Utc>, span: &str, calendar: Option<&str>, person: Option<Uuid>) -> Told<DateTime<Utc>>;
    /// A number that does not change for this instance and `salt`: what lots are drawn with.
    fn lot(&self, node: &Name, salt: u32) -> u64;
}
