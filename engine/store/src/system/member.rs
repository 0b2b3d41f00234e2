//! In charge of members: people who may see or change one record beside its owner.

use model::{Storage, Value};
use uuid::Uuid;

use super::{Cond, Table};
use crate::fault::Fault;
use crate::tx::Tx;

/// Members by record.
pub static MEMBER: Table = Table {
    name: "sys_member",
    columns: &[("entity", Storage::Text), ("record", Storage::Uuid), ("user", Storage::Uuid), ("write", Storage::Bool)],
    key: &["entity", "record", "user"],
    indexes: &[&["user"]],
};

impl Tx {
    /// Whether a user is a member of a record, with the right to write where that is asked.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn is_member(&self, entity: &str, record: Uuid, user: Uuid, write: bool) -> Result<bool, Fault> {
        let fit = [Cond::Eq("entity", Value::text(entity)), Cond::Eq("record", Value::Uuid(record)), Cond::Eq("user", Value::Uuid(user))];
        let rows = self.find(&MEMBER, &fit, &[], 1)?;
        Ok(rows.first().is_some_and(|row| !write || row.last() == Some(&Value::Bool(true))))
    }
}
