//! In charge of filters with their names resolved: who may name what, and what a filter means for a row.
//! Reading order: `path` (names), `typed` (a filter whose names and kinds fit), `predicate` (the same with every
//! placeholder resolved: what memory and SQL evaluate), `dates` (relative days).
//! Invariant: names resolve against one `View`; what it hides does not exist, here and in everything built on it.

mod dates;
mod held;
mod operand;
mod path;
mod predicate;
mod sort;
mod typed;

pub use dates::{DayRange, Unit, Within, day_start};
pub use path::{Hop, Path, Relation, RelationTo, SystemView, View, likely, resolve_path, resolve_relation, to_target_in_sight};
pub use predicate::{Column, Compare, Leaf, Moment, Predicate, Related, RelatedVia, Test, Through, ThroughAny};
pub use sort::{Sort, column_of, parse_sort, sort_column};
pub use typed::{Params, TypedFilter};
