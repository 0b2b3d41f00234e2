//! In charge of what a script may ask of whoever runs it.
//! Invariant: a host answers with the rights that the script acts with; what they do not show is not there.

use std::sync::Arc;

use indexmap::IndexMap;
use model::{Cells, EntityId, FieldDef, Input, Label, Schema, Value};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::query::Params;

/// Which records are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The filter, as JSON; all where absent.
    pub filter: Option<Json>,
    /// The order, `-amount,name`.
    pub sort: String,
    /// How many at most.
    pub limit: u32,
}

/// Records that were found.
pub type Found = Vec<Uuid>;

/// How somebody is told; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// In the app.
    Notify,
    /// By mail.
    Mail,
}

/// What somebody is told.
#[derive(Clone, Debug)]
pub struct Message {
    /// People.
    pub people: Vec<Uuid>,
    /// Roles, as written.
    pub roles: Vec<String>,
    /// Addresses.
    pub addresses: Vec<String>,
    /// What it is about.
    pub subject: Label,
    /// The text.
    pub body: Label,
}

/// Whoever runs a script.
pub trait Host {
    /// What it fails with.
    type Fault;

    /// The schema that the script was compiled against.
    fn schema(&self) -> &Schema;
    /// The clock, the zone, the person, the settings.
    fn params(&self) -> &Params<'_>;
    /// The language of labels.
    fn locale(&self) -> &str;
    /// Whether there is time left.
    fn has_time(&self) -> bool;

    /// A live record in sight.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn cells(&self, entity: EntityId, id: Uuid) -> Result<Option<Arc<Cells>>, Self::Fault>;
    /// Whether a field's plain value is shown on a record.
    ///
    /// # Errors
    /// Where that cannot be found out.
    fn shows(&self, entity: EntityId, field: &FieldDef, cells: &Cells) -> Result<bool, Self::Fault>;
    /// Whether the field is there at all.
    fn knows(&self, entity: EntityId, field: &FieldDef) -> bool;

    /// Records, as far as they are in sight.
    ///
    /// # Errors
    /// Where the question is wrong or cannot be answered.
    fn find(&self, entity: EntityId, wanted: &Wanted) -> Result<Found, Self::Fault>;
    /// How many there are.
    ///
    /// # Errors
    /// As [`Self::find`].
    fn count(&self, entity: EntityId, wanted: &Wanted) -> Result<i64, Self::Fault>;
    /// The sum of a field over them.
    ///
    /// # Errors
    /// As [`Self::find`].
    fn sum(&self, entity: EntityId, field: &str, wanted: &Wanted) -> Result<Value, Self::Fault>;
    /// Whose turn it is among those with a role.
    ///
    /// # Errors
    /// Where that cannot be found out.
    fn next_in(&self, role: &str) -> Result<Option<Uuid>, Self::Fault>;

    /// A new record.
    ///
    /// # Errors
    /// Where it is refused.
    fn create(&self, entity: EntityId, values: IndexMap<String, Input>) -> Result<Uuid, Self::Fault>;
    /// Changed values.
    ///
    /// # Errors
    /// Where they are refused.
    fn update(&self, entity: EntityId, id: Uuid, values: IndexMap<String, Input>) -> Result<(), Self::Fault>;
    /// To the bin.
    ///
    /// # Errors
    /// Where that is refused.
    fn remove(&self, entity: EntityId, id: Uuid) -> Result<(), Self::Fault>;
    /// To another stage.
    ///
    /// # Errors
    /// Where that is refused.
    fn move_to(&self, entity: EntityId, id: Uuid, stage: String, values: IndexMap<String, Input>) -> Result<(), Self::Fault>;

    /// Does something of which nothing is left where it gives false: nothing written, nothing told.
    ///
    /// # Errors
    /// Where that cannot be seen to.
    fn attempt(&self, work: &mut dyn FnMut() -> bool) -> Result<(), Self::Fault>;
    /// What a script that catches a fault reads of it; none where it is nothing that a script may pass over.
    fn caught(&self, fault: &Self::Fault) -> Option<String>;

    /// Tells people.
    ///
    /// # Errors
    /// Where that cannot be written.
    fn tell(&self, how: Tell, message: &Message) -> Result<(), Self::Fault>;
    /// Calls another system: a connector's name, or an address.
    ///
    /// # Errors
    /// Where that cannot be written.
    fn webhook(&self, to: &str, payload: Option<Json>) -> Result<(), Self::Fault>;
}
