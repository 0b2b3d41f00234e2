//! In charge of what records came from: which conversion made or found what, down to the lines.
//! Invariant: written in the conversion's own transaction, and never changed; what is in the bin is for the reader to see.

use chrono::{DateTime, Utc};
use model::{Storage, Value};
use uuid::Uuid;

use super::{Cond, Table};
use crate::fault::Fault;
use crate::tx::Tx;

/// Conversions that were made.
pub static CONVERSION: Table = Table {
    name: "sys_conversion",
    columns: &[
        ("id", Storage::Uuid),
        ("conversion", Storage::Text),
        ("entity", Storage::Text),
        ("record", Storage::Uuid),
        ("at", Storage::Timestamp),
        ("by", Storage::Uuid),
        ("change_set", Storage::Uuid),
    ],
    key: &["id"],
    indexes: &[&["record"]],
};

/// What came of them.
pub static ORIGIN: Table = Table {
    name: "sys_origin",
    columns: &[
        ("conversion", Storage::Uuid),
        ("n", Storage::Int),
        ("target", Storage::Text),
        ("lines", Storage::Text),
        ("made", Storage::Bool),
        ("entity", Storage::Text),
        ("record", Storage::Uuid),
        ("source", Storage::Uuid),
    ],
    key: &["conversion", "n"],
    indexes: &[&["record"], &["source"]],
};

/// A conversion that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// Its id.
    pub id: Uuid,
    /// The definition's qualified name.
    pub name: String,
    /// The entity of what was converted.
    pub entity: String,
    /// What was converted.
    pub record: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: Option<Uuid>,
    /// The change set of all that it did.
    pub change_set: Uuid,
}

/// A record that came of a conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The conversion.
    pub conversion: Uuid,
    /// Its place among what came of it.
    pub n: i64,
    /// The target.
    pub target: String,
    /// The lines field of the target, where this is a line.
    pub lines: Option<String>,
    /// Whether it was made; else it was there and matched.
    pub made: bool,
    /// The entity of what came of it.
    pub entity: String,
    /// What came of it.
    pub record: Uuid,
    /// What it came from: the record, or its line.
    pub source: Uuid,
}

impl Conversion {
    /// A row of [`CONVERSION`].
    #[must_use]
    pub fn read(row: &[Value]) -> Option<Self> {
        let [id, name, entity, record, at, by, change_set] = <&[Value; 7]>::try_from(row).ok()?;
        Some(Self {
            id: id.as_uuid()?,
            name: name.as_text()?.to_owned(),
            entity: entity.as_text()?.to_owned(),
            record: record.as_uuid()?,
            at: at.as_timestamp()?,
            by: by.as_uuid(),
            change_set: change_set.as_uuid()?,
        })
    }

    fn row(&self) -> Vec<Value> {
        vec![
            Value::Uuid(self.id),
            Value::text(&self.name),
            Value::text(&self.entity),
            Value::Uuid(self.record),
            Value::Timestamp(self.at),
            self.by.map_or(Value::Null, Value::Uuid),
            Value::Uuid(self.change_set),
        ]
    }
}

impl Origin {
    /// A row of [`ORIGIN`].
    #[must_use]
    pub fn read(row: &[Value]) -> Option<Self> {
        let [conversion, n, target, lines, made, entity, record, source] = <&[Value; 8]>::try_from(row).ok()?;
        Some(Self {
            conversion: conversion.as_uuid()?,
            n: n.as_int()?,
            target: target.as_text()?.to_owned(),
            lines: lines.as_text().map(str::to_owned),
            made: *made == Value::Bool(true),
            entity: entity.as_text()?.to_owned(),
            record: record.as_uuid()?,
            source: source.as_uuid()?,
        })
    }

    fn row(&self) -> Vec<Value> {
        vec![
            Value::Uuid(self.conversion),
            Value::Int(self.n),
            Value::text(&self.target),
            self.lines.as_deref().map_or(Value::Null, Value::text),
            Value::Bool(self.made),
            Value::text(&self.entity),
            Value::Uuid(self.record),
            Value::Uuid(self.source),
        ]
    }
}

/// The most rows of one question.
const MOST: u32 = 10_000;

impl Tx {
    /// Keeps a conversion and what came of it.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn keep_conversion(&self, conversion: &Conversion, origins: &[Origin]) -> Result<(), Fault> {
        self.put(&CONVERSION, &[conversion.row()])?;
        let rows: Vec<Vec<Value>> = origins.iter().map(Origin::row).collect();
        if rows.is_empty() { Ok(()) } else { self.put(&ORIGIN, &rows) }
    }

    /// The conversions of a record, oldest first.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn conversions_of(&self, record: Uuid) -> Result<Vec<Conversion>, Fault> {
        self.conversions_that(&[Cond::Eq("record", Value::Uuid(record))])
    }

    /// The conversions with these ids, oldest first.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn conversions(&self, ids: &[Uuid]) -> Result<Vec<Conversion>, Fault> {
        self.conversions_that(&[Cond::In("id", ids.iter().copied().map(Value::Uuid).collect())])
    }

    fn conversions_that(&self, fit: &[Cond<'_>]) -> Result<Vec<Conversion>, Fault> {
        let rows = self.find(&CONVERSION, fit, &[("at", false), ("id", false)], MOST)?;
        Ok(rows.iter().filter_map(|row| Conversion::read(row)).collect())
    }

    /// What came of conversions, in order.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn origins_of(&self, conversions: &[Uuid]) -> Result<Vec<Origin>, Fault> {
        self.origins_that(&[Cond::In("conversion", conversions.iter().copied().map(Value::Uuid).collect())])
    }

    /// The conversions that a record came of.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn origins_leading_to(&self, record: Uuid) -> Result<Vec<Origin>, Fault> {
        self.origins_that(&[Cond::Eq("record", Value::Uuid(record))])
    }

    /// What came of these records or lines.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn origins_from(&self, sources: &[Uuid]) -> Result<Vec<Origin>, Fault> {
        self.origins_that(&[Cond::In("source", sources.iter().copied().map(Value::Uuid).collect())])
    }

    fn origins_that(&self, fit: &[Cond<'_>]) -> Result<Vec<Origin>, Fault> {
        let rows = self.find(&ORIGIN, fit, &[("conversion", false), ("n", false)], MOST)?;
        Ok(rows.iter().filter_map(|row| Origin::read(row)).collect())
    }
}
