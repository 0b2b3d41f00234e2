//! In charge of fields whose values rest encrypted: any field with `encrypted`, and the kind `secret`.
//! Invariant: a cell of one never holds a clear value, not even in memory; it is opened only to be shown to who may read it.
//! Invariant: equal values of one field have equal cells, so that `=` and uniqueness hold without opening any.

use std::fmt;
use std::sync::Arc;

use super::{AcceptContext, ColumnSpec, Comparable, Numbers, Reject, Role, TextContext, TypedField};
use crate::Storage;
use crate::doc::Field;
use crate::fault::Code;
use crate::filter::Op;
use crate::input::Input;
use crate::message::Message;
use crate::pack::{pack, unpack};
use crate::value::Value;

/// Who holds the workspace's key.
pub trait Seal: fmt::Debug + Send + Sync {
    /// Seals bytes for a place: the same bytes for the same place give the same result. None where there is no key.
    fn seal(&self, place: &str, clear: &[u8]) -> Option<Vec<u8>>;
    /// What was sealed for this place; none where it was not, or by another key.
    fn open(&self, place: &str, sealed: &[u8]) -> Option<Vec<u8>>;
}

/// Nobody holds a key: documents are only checked, no value is read or written.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoKey;

/// As a key's holder.
#[must_use]
pub fn no_key() -> Arc<dyn Seal> {
    Arc::new(NoKey)
}

impl Seal for NoKey {
    fn seal(&self, _: &str, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn open(&self, _: &str, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// A field like another whose values rest encrypted.
#[derive(Clone, Debug)]
pub struct SealedField {
    clear: Arc<dyn TypedField>,
    place: Arc<str>,
    key: Arc<dyn Seal>,
}

impl SealedField {
    /// The field `clear`, sealed for `place`: its entity and name.
    #[must_use]
    pub fn new(clear: Arc<dyn TypedField>, place: &str, key: &Arc<dyn Seal>) -> Self {
        Self { clear, place: place.into(), key: Arc::clone(key) }
    }

    /// The clear cells; none where they cannot be opened.
    fn open(&self, cells: &[Value]) -> Option<Vec<Value>> {
        match cells.first() {
            Some(Value::Bytes(sealed)) => unpack(&self.key.open(&self.place, sealed)?),
            _ => None,
        }
    }

    fn seal(&self, cells: &[Value]) -> Result<Value, Reject> {
        if cells.iter().all(Value::is_null) {
            return Ok(Value::Null);
        }
        let sealed = self.key.seal(&self.place, &pack(cells));
        sealed.map(|sealed| Value::Bytes(sealed.into())).ok_or_else(|| Reject::new(Code::ReadOnlyField, Message::new("no_key")))
    }
}

/// The type of a field: sealed where its document says so or its kind is `secret`.
///
/// # Errors
/// That a field of this kind cannot rest encrypted.
pub(crate) fn or_clear(
    typed: Arc<dyn TypedField>,
    doc: &Field,
    role: &Role,
    place: &str,
    key: &Arc<dyn Seal>,
) -> Result<Arc<dyn TypedField>, String> {
    match role {
        Role::Secret => Ok(Arc::new(SealedField::new(typed, place, key))),
        _ if !doc.common.encrypted => Ok(typed),
        Role::Plain => Ok(Arc::new(SealedField::new(typed, place, key))),
        _ => Err(format!("`{}` cannot be encrypted: the engine works with its values", doc.kind)),
    }
}

impl TypedField for SealedField {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(Storage::Bytes)]
    }

    fn accept(&self, input: &Input, cx: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        let cells = self.clear.accept(input, cx)?;
        self.seal(&cells).map(|sealed| vec![sealed]).map_err(|reject| vec![reject])
    }

    fn write_json(&self, cells: &[Value], numbers: Numbers, out: &mut Vec<u8>) {
        match self.open(cells) {
            Some(cells) => self.clear.write_json(&cells, numbers, out),
            None => out.extend_from_slice(b"null"),
        }
    }

    fn operators(&self) -> &'static [Op] {
        if self.clear.operators().contains(&Op::Eq) { &[Op::Eq, Op::IsEmpty, Op::IsSet] } else { &[] }
    }

    fn comparable(&self) -> Comparable {
        Comparable::Scalar
    }

    fn operand(&self, _: Op, input: &Input) -> Result<Value, Reject> {
        let cx = AcceptContext { now: chrono::DateTime::UNIX_EPOCH, sibling: &|_| None };
        let cells = self.clear.accept(input, &cx).map_err(|mut rejects| match rejects.is_empty() {
            true => Reject::wrong_type("…"),
            false => rejects.remove(0),
        })?;
        self.seal(&cells)
    }

    fn text(&self, cells: &[Value], cx: TextContext<'_>) -> String {
        self.open(cells).map(|cells| self.clear.text(&cells, cx)).unwrap_or_default()
    }

    fn sortable(&self) -> bool {
        false
    }

    fn groupable(&self) -> bool {
        false
    }

    fn sealed_for(&self) -> Option<&str> {
        Some(&self.place)
    }

    fn value_schema(&self) -> serde_json::Value {
        self.clear.value_schema()
    }
}
