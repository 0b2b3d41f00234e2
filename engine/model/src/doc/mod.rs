//! In charge of the documents that an admin writes: one Rust type per kind, one file each.
//! Invariant: unknown keys are refused; canonical output of a document read is the same for the same meaning.

mod entity;
mod field;

pub use entity::{DepartmentMode, Entity, MemberRight, OwnerMode, Rule, UniqueKey};
pub use field::{ChoiceOption, Condition, Field, Fill, FillFind, FillFrom};
