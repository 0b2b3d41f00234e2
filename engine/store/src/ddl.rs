//! In charge of the structure of dynamic tables: what a new schema needs that the database does not have.
//! Reading order: `Step` (one change), `Plan` (all of them), `Tx::apply`; `Leftover` (what an unfinished publish added).
//! Invariant: tables and columns are only added, never dropped, retyped or rebuilt, so a former revision still fits.
//! Invariant: what no revision ever used may be removed again, and nothing else.
//! Invariant: every step may be run again without harm.

use model::field::{ColumnUse, Role};
use model::{EntityDef, FieldDef, Schema, Storage};

use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::rows::item_storage;
use crate::sql::{Decode, Sql};
use crate::tx::Tx;

/// How a column of an index is looked for; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyed {
    /// In order.
    Rising,
    /// In order, the other way round.
    Falling,
    /// By a whole folded text, of any length.
    Whole,
}

/// One change of the structure; closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A table with its columns.
    CreateTable {
        /// The table.
        table: String,
        /// Its columns.
        columns: Vec<(String, Storage)>,
    },
    /// A further column.
    AddColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What it holds.
        storage: Storage,
    },
    /// The table of a field that holds many.
    CreateLinks {
        /// The table.
        table: String,
        /// What its items are.
        item: Storage,
    },
    /// An index over live records.
    CreateIndex {
        /// Its name.
        name: String,
        /// The table.
        table: String,
        /// The columns, each with how it is looked for.
        columns: Vec<(String, Keyed)>,
        /// Whether two live records may not agree.
        unique: bool,
    },
    /// An index that nothing asks for any more and that would refuse what is allowed now.
    DropIndex {
        /// Its name.
        name: String,
    },
}

impl Step {
    /// What it adds: what is left where the publish that needs it does not come to its end.
    #[must_use]
    pub fn adds(&self) -> Option<Leftover> {
        match self {
            Self::CreateTable { table, .. } | Self::CreateLinks { table, .. } => Some(Leftover::Table(table.clone())),
            Self::AddColumn { table, column, .. } => Some(Leftover::Column(table.clone(), column.clone())),
            Self::CreateIndex { name, .. } => Some(Leftover::Index(name.clone())),
            Self::DropIndex { .. } => None,
        }
    }
}

/// Something of the structure that no revision uses; closed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leftover {
    /// A table.
    Table(String),
    /// A column of a table.
    Column(String, String),
    /// An index.
    Index(String),
}

impl std::fmt::Display for Leftover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Table(table) => write!(f, "table {table}"),
            Self::Column(table, column) => write!(f, "column {table}.{column}"),
            Self::Index(name) => write!(f, "index {name}"),
        }
    }
}

/// What a new schema needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Tables and columns: quick, in one transaction.
    pub expand: Vec<Step>,
    /// Indexes: they take time on large tables.
    pub indexes: Vec<Step>,
}

impl Plan {
    /// What `new` needs that the database, read as it is, does not have.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn of(tx: &Tx, new: &Schema) -> Result<Self, Fault> {
        let mut plan = Self::default();
        for def in &new.entities {
            let there = tx.columns_of(&def.table)?;
            if there.is_empty() {
                let columns = def.columns.iter().map(|column| (column.name.clone(), column.storage)).collect();
                plan.expand.push(Step::CreateTable { table: def.table.clone(), columns });
            } else {
                for column in def.columns.iter().filter(|column| !there.contains(&column.name)) {
                    plan.expand.push(Step::AddColumn { table: def.table.clone(), column: column.name.clone(), storage: column.storage });
                }
            }
            for field in &def.fields {
                if let Some(table) = &field.link_table
                    && tx.columns_of(table)?.is_empty()
                {
                    plan.expand.push(Step::CreateLinks { table: table.clone(), item: item_storage(field) });
                }
            }
        }
        let known = tx.indexes()?;
        let mut wanted = Vec::new();
        for def in &new.entities {
            for step in indexes_of(new, def, tx.dialect()) {
                if let Step::CreateIndex { name, .. } = &step {
                    wanted.push(name.clone());
                    if !known.contains(name) {
                        plan.indexes.push(step);
                    }
                }
            }
        }
        plan.indexes.extend(known.into_iter().filter(|name| name.starts_with("u_") && !wanted.contains(name)).map(|name| Step::DropIndex { name }));
        Ok(plan)
    }

    /// Whether nothing is needed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expand.is_empty() && self.indexes.is_empty()
    }
}

/// The column that a field is found and kept unique by.
fn key_column(def: &EntityDef, field: &FieldDef, purpose: ColumnUse) -> Option<(String, Keyed)> {
    let twin = field.slots.clone().find(|slot| def.columns.get(*slot).is_some_and(|column| column.purpose == purpose));
    let column = twin.or(field.slot()).and_then(|slot| def.columns.get(slot))?;
    Some((column.name.clone(), if column.purpose == ColumnUse::Fold { Keyed::Whole } else { Keyed::Rising }))
}

/// Whether the folded text of a field stands in an index: it alone or with others tells records apart, or finds duplicates.
pub(crate) fn is_key(def: &EntityDef, field: &FieldDef) -> bool {
    is_unique(field)
        || def.doc.unique.iter().any(|(_, key)| key.fields.contains(&field.name))
        || same_in_duplicates(def).any(|same| same.id == field.id)
}

/// Of each rule of duplicates the first thing that must be the same: what has it in common is few.
fn same_in_duplicates(def: &EntityDef) -> impl Iterator<Item = &FieldDef> {
    def.doc.duplicates.values().filter_map(|rule| {
        let parts = rule.get("match").and_then(serde_json::Value::as_array)?;
        let same = parts.iter().find(|part| part.get("by").and_then(serde_json::Value::as_str) == Some("same"))?;
        def.find(same.get("field")?.as_str()?)
    })
}

/// Whether the database refuses two live records that agree in a field.
pub(crate) fn is_unique(field: &FieldDef) -> bool {
    field.doc.common.unique || matches!(field.role, Role::Autonumber { .. })
}

/// The indexes of an entity: references, unique fields, those it asks for, and the order of its views.
fn indexes_of(schema: &Schema, def: &EntityDef, dialect: Dialect) -> Vec<Step> {
    let mut wanted: Vec<(Vec<(String, Keyed)>, bool)> = Vec::new();
    let mut want = |columns: Vec<(String, Keyed)>, unique: bool| {
        if !columns.is_empty() && !wanted.iter().any(|(there, is_unique)| *there == columns && *is_unique == unique) {
            wanted.push((columns, unique));
        }
    };
    for field in &def.fields {
        let is_reference =
            matches!(field.role, Role::Reference(_) | Role::AnyReference { .. }) && !matches!(field.name.as_str(), "created_by" | "updated_by");
        if is_reference && let Some(column) = key_column(def, field, ColumnUse::Value) {
            want(vec![column], false);
        }
        if is_unique(field)
            && let Some(column) = key_column(def, field, ColumnUse::Fold)
        {
            want(vec![column], true);
        }
    }
    for key in &def.doc.unique {
        let columns =
            key.1.fields.iter().filter_map(|name| def.find(name.as_str())).filter_map(|field| key_column(def, field, ColumnUse::Fold)).collect();
        want(columns, false);
    }
    for field in same_in_duplicates(def) {
        // Long texts, which cannot be sorted, are more than an index holds.
        let is_short = |field: &&FieldDef| {
            let mut columns = field.slots.clone().filter_map(|slot| def.columns.get(slot));
            columns.clone().any(|column| column.purpose == ColumnUse::Sort) || !columns.any(|column| column.purpose == ColumnUse::Fold)
        };
        if let Some(column) = Some(field).filter(is_short).and_then(|field| key_column(def, field, ColumnUse::Fold)) {
            want(vec![column], false);
        }
    }
    let ordered = |names: &[String]| -> Vec<(String, Keyed)> {
        let columns: Option<Vec<(String, Keyed)>> = names
            .iter()
            .map(|name| {
                let (order, name) = name.strip_prefix('-').map_or((Keyed::Rising, name.as_str()), |name| (Keyed::Falling, name));
                key_column(def, def.find(name)?, ColumnUse::Sort).map(|(column, _)| (column, order))
            })
            .collect();
        columns.unwrap_or_default()
    };
    for index in &def.doc.indexes {
        want(ordered(index), false);
    }
    for app in schema.apps.values() {
        for view in app.views.values() {
            let names_it = schema.find_from(&app.app.name, &view.entity).is_some_and(|entity| entity.id == def.id);
            if names_it && !view.sort.is_empty() {
                // The first key alone: an index serves both directions of it.
                let first = ordered(&view.sort[..1]).into_iter().map(|(column, _)| (column, Keyed::Rising)).collect();
                want(first, false);
            }
        }
    }
    wanted
        .into_iter()
        .map(|(columns, unique)| {
            let parts: Vec<String> = columns.iter().map(|(column, keyed)| format!("{column}{}", dialect.key_suffix(*keyed))).collect();
            let name = model::schema::physical(&format!("{}_{}_{}", if unique { "u" } else { "i" }, def.table, parts.join("_")));
            Step::CreateIndex { name, table: def.table.clone(), columns, unique }
        })
        .collect()
}

impl Tx {
    /// Makes one change of the structure.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn apply(&self, step: &Step) -> Result<(), Fault> {
        let dialect = self.dialect();
        let mut sql = self.sql();
        match step {
            Step::CreateTable { table, columns } => {
                sql.push("CREATE TABLE IF NOT EXISTS ").name(table).push(" (").list(columns, ", ", |sql, (name, storage)| {
                    column(sql, name, *storage);
                    if name == "id" {
                        sql.push(" NOT NULL PRIMARY KEY");
                    }
                });
                sql.push(")").push(dialect.table_options());
            }
            Step::AddColumn { table, column: name, storage } => {
                if self.columns_of(table)?.contains(name) {
                    return Ok(());
                }
                sql.push("ALTER TABLE ").name(table).push(" ADD COLUMN ");
                column(&mut sql, name, *storage);
            }
            Step::CreateLinks { table, item } => {
                sql.push("CREATE TABLE IF NOT EXISTS ").name(table).push(" (");
                column(&mut sql, "owner", Storage::Uuid);
                sql.push(" NOT NULL, ");
                column(&mut sql, "value", *item);
                sql.push(" NOT NULL, PRIMARY KEY (\"owner\", \"value\"))").push(dialect.table_options());
                self.script(&sql.text)?;
                let mut index = self.sql();
                index
                    .push("CREATE INDEX IF NOT EXISTS ")
                    .name(&model::schema::physical(&format!("i_{table}_value")))
                    .push(" ON ")
                    .name(table)
                    .push(" (\"value\")");
                return self.script(&index.text);
            }
            Step::DropIndex { name } => {
                sql.push("DROP INDEX IF EXISTS ").name(name);
            }
            Step::CreateIndex { .. } => return self.script(&index_text(dialect, step, false)),
        }
        self.script(&sql.text)
    }

    /// Removes what an unfinished publish left.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn remove_leftover(&self, leftover: &Leftover) -> Result<(), Fault> {
        let mut sql = self.sql();
        match leftover {
            Leftover::Table(table) => {
                sql.push("DROP TABLE IF EXISTS ").name(table);
            }
            Leftover::Index(name) => {
                sql.push("DROP INDEX IF EXISTS ").name(name);
            }
            Leftover::Column(table, column) => {
                if !self.columns_of(table)?.contains(column) {
                    return Ok(());
                }
                sql.push("ALTER TABLE ").name(table).push(" DROP COLUMN ").name(column);
            }
        }
        self.script(&sql.text)
    }

    /// The columns of a table; none where it is not there.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn columns_of(&self, table: &str) -> Result<Vec<String>, Fault> {
        let mut sql = self.sql();
        sql.push(self.dialect().columns_question()).bind(Storage::Text, model::Value::text(table)).push(")");
        self.names(&sql)
    }

    /// The names of all indexes.
    pub(crate) fn indexes(&self) -> Result<Vec<String>, Fault> {
        let mut sql = self.sql();
        sql.push(self.dialect().indexes_question());
        self.names(&sql)
    }

    fn names(&self, sql: &Sql) -> Result<Vec<String>, Fault> {
        let rows = self.query(sql, &[Decode::Plain(Storage::Text)])?;
        Ok(rows.into_iter().filter_map(|row| row.first().and_then(model::Value::as_text).map(str::to_owned)).collect())
    }

    /// Lets the database look at its statistics after the structure or much data changed.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn analyse(&self) -> Result<(), Fault> {
        self.dialect().analyse().map_or(Ok(()), |text| self.script(text))
    }
}

/// The statement that makes an index; `beside` makes it while others write, which is no part of a transaction.
pub(crate) fn index_text(dialect: Dialect, step: &Step, beside: bool) -> String {
    let Step::CreateIndex { name, table, columns, unique } = step else { return String::new() };
    let mut sql = Sql::new(dialect);
    sql.push(if *unique { "CREATE UNIQUE INDEX " } else { "CREATE INDEX " });
    sql.push(if beside { "CONCURRENTLY IF NOT EXISTS " } else { "IF NOT EXISTS " });
    sql.name(name).push(" ON ").name(table).push(" (").list(columns, ", ", |sql, (column, keyed)| dialect.write_key(sql, column, *keyed));
    sql.push(") WHERE \"deleted_at\" IS NULL");
    sql.text
}

fn column(sql: &mut Sql, name: &str, storage: Storage) {
    let kind = sql.dialect.column_type(storage);
    sql.name(name).push(" ").push(&kind);
}
