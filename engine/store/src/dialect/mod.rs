//! In charge of the differences between databases: types, spelling of a few functions, order of empties.
//! Invariant: nothing above names a database; a difference that is not here does not exist.

use std::fmt::Write;

use model::{Storage, Value};

use crate::ddl::Keyed;
use crate::sql::Sql;
use crate::tx::Lock;

pub(crate) mod postgres;
pub(crate) mod sqlite;

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// The name that people know.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// Writes the parameter at `index`, from 1.
    pub(crate) fn parameter(self, index: usize, out: &mut String) {
        out.push(match self {
            Self::Sqlite => '?',
            Self::Postgres => '$',
        });
        let _infallible = write!(out, "{index}");
    }

    /// The type of a column.
    pub(crate) fn column_type(self, storage: Storage) -> String {
        match self {
            Self::Sqlite => sqlite::column_type(storage).to_owned(),
            Self::Postgres => postgres::column_type(storage),
        }
    }

    /// What stands behind the columns of a table whose key is `id`: rows lie in the order of ids where that is a choice.
    pub(crate) fn table_options(self) -> &'static str {
        match self {
            Self::Sqlite => " WITHOUT ROWID",
            Self::Postgres => "",
        }
    }

    /// Whether rows are changed by a join with their new values: where each statement costs a round trip.
    pub(crate) fn joins_updates(self) -> bool {
        match self {
            Self::Sqlite => false,
            Self::Postgres => true,
        }
    }

    /// The direction of a key, empties being the smallest.
    pub(crate) fn direction(self, descending: bool) -> &'static str {
        match (self, descending) {
            (Self::Sqlite, false) => " ASC",
            (Self::Sqlite, true) => " DESC",
            (Self::Postgres, false) => " ASC NULLS FIRST",
            (Self::Postgres, true) => " DESC NULLS LAST",
        }
    }

    /// A column of an index. The indexes of PostgreSQL hold no more than a few hundred letters of a text: one that is looked
    /// for as a whole stands there by two hashes of it.
    pub(crate) fn write_key(self, sql: &mut Sql, column: &str, keyed: Keyed) {
        match (self, keyed) {
            (Self::Postgres, Keyed::Whole) => {
                sql.push("hashtextextended(").name(column).push(", 0), hashtextextended(").name(column).push(", 1)");
            }
            (_, Keyed::Rising) | (Self::Sqlite, Keyed::Whole) => {
                sql.name(column).push(self.direction(false));
            }
            (_, Keyed::Falling) => {
                sql.name(column).push(self.direction(true));
            }
        }
    }

    /// What tells indexes of the same columns apart by their names.
    pub(crate) fn key_suffix(self, keyed: Keyed) -> &'static str {
        match (self, keyed) {
            (_, Keyed::Rising) | (Self::Sqlite, Keyed::Whole) => "",
            (_, Keyed::Falling) => "_d",
            (Self::Postgres, Keyed::Whole) => "_h",
        }
    }

    /// Whether a folded text that stands in an index is looked for by its hash, which the index then is asked for.
    pub(crate) fn hashes_keys(self) -> bool {
        match self {
            Self::Sqlite => false,
            Self::Postgres => true,
        }
    }

    /// What locks the rows of a select.
    pub(crate) fn lock(self, lock: Lock) -> &'static str {
        match (self, lock) {
            (Self::Sqlite, _) | (Self::Postgres, Lock::None) => "",
            (Self::Postgres, Lock::Share) => " FOR KEY SHARE",
            (Self::Postgres, Lock::Change) => " FOR NO KEY UPDATE",
            (Self::Postgres, Lock::Update) => " FOR UPDATE",
            (Self::Postgres, Lock::Free) => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// Whether one text holds another.
    pub(crate) fn contains(self) -> &'static str {
        match self {
            Self::Sqlite => "instr",
            Self::Postgres => "strpos",
        }
    }

    /// The last characters of a text, as many as another has.
    pub(crate) fn write_ends_with(self, sql: &mut Sql, column: &str, wanted: &str) {
        let text = Value::text(wanted);
        match self {
            Self::Sqlite => {
                sql.push("substr(").push(column).push(", -length(").bind(Storage::Text, text.clone()).push(")) = ").bind(Storage::Text, text);
            }
            Self::Postgres => {
                sql.push("right(").push(column).push(", length(").bind(Storage::Text, text.clone()).push(")) = ").bind(Storage::Text, text);
            }
        }
    }

    /// Whole days between two days or moments.
    pub(crate) fn write_days(self, sql: &mut Sql, from: &str, to: &str, moments: bool) {
        match (self, moments) {
            (_, false) => sql.push("(").push(to).push(" - ").push(from).push(")"),
            (Self::Sqlite, true) => sql.push("((").push(to).push(" - ").push(from).push(") / 86400000000)"),
            (Self::Postgres, true) => sql.push("CAST(trunc(extract(epoch FROM (").push(to).push(" - ").push(from).push(")) / 86400) AS bigint)"),
        };
    }

    /// A number brought to another scale, where scales are part of how numbers are kept.
    pub(crate) fn rescaled(self, text: String, from: u8, to: u8) -> String {
        match self {
            Self::Sqlite if to > from => format!("({text} * {})", 10_i64.pow(u32::from(to - from))),
            Self::Sqlite | Self::Postgres => text,
        }
    }

    /// An exact sum: of kept numbers, that cannot overflow.
    pub(crate) fn sum(self, text: &str) -> String {
        match self {
            // Two halves, each far from overflow: summed apart, joined when read.
            Self::Sqlite => format!("exact_sum({text})"),
            Self::Postgres => format!("sum(CAST({text} AS numeric))"),
        }
    }

    /// The statement that inserts or takes the place of what has the key.
    pub(crate) fn upsert(self, sql: &mut Sql, key: &[&str], others: &[&str]) {
        sql.push(" ON CONFLICT (").list(key, ", ", |sql, name| {
            sql.name(name);
        });
        if others.is_empty() {
            sql.push(") DO NOTHING");
            return;
        }
        sql.push(") DO UPDATE SET ").list(others, ", ", |sql, name| {
            sql.name(name).push(" = excluded.").name(name);
        });
    }
}

impl Dialect {
    /// The names of a table's columns; the table is the parameter that follows.
    pub(crate) fn columns_question(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT name FROM pragma_table_info(",
            Self::Postgres => {
                "SELECT CAST(column_name AS text) FROM information_schema.columns WHERE table_schema = current_schema() AND (table_name) = ("
            }
        }
    }

    /// How statistics for plans are gathered, where plans may follow them. On SQLite they may not: what was counted while a
    /// table was small would scan it for ever, since nobody counts again in time; without them an index that fits is used.
    pub(crate) fn analyse(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("ANALYZE"),
        }
    }

    /// The names of all indexes that can be used: one that could not be finished is none.
    pub(crate) fn indexes_question(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'index'",
            Self::Postgres => {
                "SELECT CAST(c.relname AS text) FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
                 WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND i.indisvalid"
            }
        }
    }
}
