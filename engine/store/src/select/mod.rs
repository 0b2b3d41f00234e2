//! In charge of lists: a typed question becomes one statement, and its rows come back as cells.
//! Reading order: `Select`, `Row`; `Aggregate` in `aggregate`.
//! Invariant: paged by the keys of the last row, never by counting; the same order on both databases, empties first.

use model::{Cells, EntityId, Schema, Slot, Storage, Value};
use rules::keys::QueryToken;
use rules::query::{Column, Path, Predicate, RelatedVia, Sort};
use uuid::Uuid;

use crate::fault::Fault;
use crate::predicate::Writer;
use crate::rows::decode_of;
use crate::sql::{Decode, Sql};
use crate::tx::{Lock, Tx};

pub(crate) mod aggregate;

pub use aggregate::{Aggregate, Bucket, Function, GroupBy, Measure};

/// Which records by their life; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binned {
    /// Those not in the bin.
    Live,
    /// Those in the bin.
    Only,
    /// All.
    Any,
}

/// A question for records.
#[derive(Clone, Debug)]
pub struct Select {
    /// Their entity.
    pub entity: EntityId,
    /// Which of them.
    pub filter: Predicate,
    /// Their order; ids come last, in the direction of the last key.
    pub sort: Vec<Sort>,
    /// The keys of the row that they come after.
    pub after: Option<Vec<Value>>,
    /// The most.
    pub limit: u32,
    /// The cells that are wanted; others are empty.
    pub slots: Vec<Slot>,
    /// Fields of far records that are wanted beside them.
    pub paths: Vec<Path>,
    /// Which by their life.
    pub binned: Binned,
    /// What they must be found by.
    pub search: Option<Vec<QueryToken>>,
    /// How they are locked.
    pub lock: Lock,
}

impl Select {
    /// All that fit, by id, with no cells yet.
    #[must_use]
    pub fn of(entity: EntityId, filter: Predicate, binned: Binned) -> Self {
        Self {
            entity,
            filter,
            sort: Vec::new(),
            after: None,
            limit: 50,
            slots: Vec::new(),
            paths: Vec::new(),
            binned,
            search: None,
            lock: Lock::None,
        }
    }
}

/// A record as a question found it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Its cells; those that were not wanted are empty.
    pub cells: Cells,
    /// The cells of each far field; empty ones where it is out of sight.
    pub far: Vec<Vec<Value>>,
    /// The values of its sort keys and its id.
    pub keys: Vec<Value>,
}

/// Related records of one question.
const PAGE: u32 = 1_000;
/// The alias of the table that is asked.
const MAIN: &str = "t0";

impl Tx {
    /// The rows of a question.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn select(&self, schema: &Schema, query: &Select) -> Result<Vec<Row>, Fault> {
        if query.filter == Predicate::False {
            return Ok(Vec::new());
        }
        // Behind the values of a falling key come the empties: asked for apart, so that the index can be walked.
        if let ([key], Some(after)) = (query.sort.as_slice(), &query.after)
            && key.descending
            && after.first().is_some_and(|value| !value.is_null())
        {
            let mut rows = self.page(schema, query, Part::Values)?;
            let left = query.limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
            if left > 0 {
                rows.extend(self.page(schema, &Select { limit: left, ..query.clone() }, Part::Empties)?);
            }
            return Ok(rows);
        }
        self.page(schema, query, Part::Whole)
    }

    fn page(&self, schema: &Schema, query: &Select, part: Part) -> Result<Vec<Row>, Fault> {
        let def = schema.entity(query.entity);
        let mut sql = self.sql();
        let mut writer = Writer::new(schema);
        let mut how: Vec<Decode> = Vec::new();
        sql.push("SELECT ").push("");
        let mut first = true;
        let mut comma = |sql: &mut Sql| {
            if !first {
                sql.push(", ");
            }
            first = false;
        };
        for slot in &query.slots {
            if let Some(column) = def.columns.get(*slot) {
                comma(&mut sql);
                sql.column(MAIN, &column.name);
                how.push(decode_of(def, *slot));
            }
        }
        let keys_at = how.len();
        for key in &query.sort {
            comma(&mut sql);
            self.key(&mut sql, &mut writer, key);
            how.push(Decode::Plain(key_storage(schema, key)));
        }
        comma(&mut sql);
        sql.column(MAIN, "id");
        how.push(Decode::Plain(Storage::Uuid));
        let joins = Joins::of(schema, &query.paths, &mut writer);
        for (path, alias) in query.paths.iter().zip(&joins.ends) {
            let far = schema.entity(path.entity);
            for slot in far.field(path.field).slots.clone() {
                if let Some(column) = far.columns.get(slot) {
                    sql.push(", ").column(alias, &column.name);
                    how.push(decode_of(far, slot));
                }
            }
        }
        sql.push(" FROM ").name(&def.table).push(" ").push(MAIN);
        joins.write(&mut sql, schema, &mut writer);
        sql.push(" WHERE ");
        condition(&mut sql, &mut writer, query.entity, &query.filter, query.binned);
        if let Some(tokens) = &query.search {
            self.index_now()?;
            sql.push(" AND ");
            crate::search::write(&mut sql, def.name.as_str(), tokens, MAIN);
        }
        if part == Part::Empties {
            if let Some(key) = query.sort.first() {
                sql.push(" AND ");
                self.key(&mut sql, &mut writer, key);
                sql.push(" IS NULL");
            }
        } else if let Some(after) = &query.after {
            self.after(&mut sql, &mut writer, schema, &query.sort, after, part);
        }
        sql.push(" ORDER BY ");
        for key in &query.sort {
            self.key(&mut sql, &mut writer, key);
            let direction = self.dialect().direction(key.descending);
            sql.push(direction).push(", ");
        }
        sql.column(MAIN, "id").push(if falls(&query.sort) { " DESC" } else { " ASC" });
        sql.push(" LIMIT ").bind(Storage::Int, Value::Int(i64::from(query.limit)));
        if query.lock != Lock::None {
            let clause = self.dialect().lock(query.lock);
            if !clause.is_empty() {
                sql.push(clause).push(" OF ").push(MAIN);
            }
        }
        let mut rows = Vec::new();
        self.each_lent(&sql, &how, |values| rows.push(row_of(schema, query, keys_at, values)))?;
        Ok(rows)
    }

    /// A sort key: the value, or the place of an option.
    fn key(&self, sql: &mut Sql, writer: &mut Writer<'_>, key: &Sort) {
        let Some(options) = key.options.as_ref().filter(|options| !options.is_empty()) else {
            writer.value(sql, &key.path, &key.column, MAIN);
            return;
        };
        sql.push("CASE ");
        writer.value(sql, &key.path, &key.column, MAIN);
        for (index, option) in options.iter().enumerate() {
            // Names of options are validated; they are still bound.
            sql.push(" WHEN ").bind(Storage::Text, Value::text(option)).push(" THEN ").number(u32::try_from(index).unwrap_or(u32::MAX));
        }
        sql.push(" END");
    }

    fn after(&self, sql: &mut Sql, writer: &mut Writer<'_>, schema: &Schema, sort: &[Sort], after: &[Value], part: Part) {
        let Some((id, values)) = after.split_last() else { return };
        if let ([key], [value]) = (sort, values)
            && !value.is_null()
        {
            let sign = if key.descending { " <= " } else { " >= " };
            sql.push(" AND ");
            self.key(sql, writer, key);
            sql.push(sign).bind(key_storage(schema, key), value.clone());
        }
        sql.push(" AND (");
        for length in 0..=sort.len() {
            if length > 0 {
                sql.push(" OR ");
            }
            sql.push("(");
            for (key, value) in sort.iter().zip(values).take(length) {
                self.key(sql, writer, key);
                if value.is_null() {
                    sql.push(" IS NULL AND ");
                } else {
                    sql.push(" = ").bind(key_storage(schema, key), value.clone()).push(" AND ");
                }
            }
            match sort.get(length).zip(values.get(length)) {
                Some((key, value)) => self.beyond(sql, writer, schema, key, value, part),
                None => {
                    sql.column(MAIN, "id").push(if falls(sort) { " < " } else { " > " }).bind(Storage::Uuid, id.clone());
                }
            }
            sql.push(")");
        }
        sql.push(")");
    }

    fn beyond(&self, sql: &mut Sql, writer: &mut Writer<'_>, schema: &Schema, key: &Sort, value: &Value, part: Part) {
        match (key.descending, value.is_null()) {
            (true, true) => {
                sql.push("1 = 0");
            }
            (false, true) => {
                self.key(sql, writer, key);
                sql.push(" IS NOT NULL");
            }
            (false, false) => {
                self.key(sql, writer, key);
                sql.push(" > ").bind(key_storage(schema, key), value.clone());
            }
            (true, false) => {
                sql.push("(");
                self.key(sql, writer, key);
                sql.push(" < ").bind(key_storage(schema, key), value.clone());
                if part != Part::Values {
                    sql.push(" OR ");
                    self.key(sql, writer, key);
                    sql.push(" IS NULL");
                }
                sql.push(")");
            }
        }
    }

    /// How many records fit.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn count(&self, schema: &Schema, entity: EntityId, filter: &Predicate, binned: Binned, search: Option<&[QueryToken]>) -> Result<u64, Fault> {
        if *filter == Predicate::False {
            return Ok(0);
        }
        let def = schema.entity(entity);
        let mut sql = self.sql();
        sql.push("SELECT count(*) FROM ").name(&def.table).push(" ").push(MAIN).push(" WHERE ");
        condition(&mut sql, &mut Writer::new(schema), entity, filter, binned);
        if let Some(tokens) = search {
            self.index_now()?;
            sql.push(" AND ");
            crate::search::write(&mut sql, def.name.as_str(), tokens, MAIN);
        }
        let rows = self.query(&sql, &[Decode::Plain(Storage::Int)])?;
        let count = rows.first().and_then(|row| row.first()).and_then(Value::as_int).unwrap_or_default();
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// The live records that a relation leads to from each of `ids`, with the id that they belong to.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn related(&self, schema: &Schema, via: &RelatedVia, ids: &[Uuid]) -> Result<Vec<(Uuid, Cells)>, Fault> {
        let def = schema.entity(via.entity());
        let RelatedVia::Inverse(inverse) = via else { return Ok(Vec::new()) };
        let by = def.field(inverse.by);
        let slot = by.slot().unwrap_or_default();
        let mut found = Vec::new();
        for chunk in ids.chunks(500) {
            let leaf =
                |test| Predicate::Leaf(rules::query::Leaf { path: Path::own(def.id, by.id), column: Column::Slot(slot), test, negated: false });
            let filter = match inverse.via {
                model::schema::Via::Link => Predicate::any(chunk.iter().map(|id| leaf(rules::query::Test::Has(Value::Uuid(*id)))).collect()),
                model::schema::Via::Column | model::schema::Via::AnyColumn => {
                    leaf(rules::query::Test::In(chunk.iter().copied().map(Value::Uuid).collect()))
                }
            };
            let mut after = None;
            loop {
                let query = Select {
                    after: after.take(),
                    limit: PAGE,
                    slots: (0..def.columns.len()).collect(),
                    ..Select::of(def.id, filter.clone(), Binned::Live)
                };
                let rows = self.select(schema, &query)?;
                for row in &rows {
                    found.extend(parents_of(by, &row.cells).into_iter().filter(|id| chunk.contains(id)).map(|id| (id, row.cells.clone())));
                }
                match rows.last() {
                    Some(last) if rows.len() >= PAGE as usize => after = Some(last.keys.clone()),
                    Some(_) | None => break,
                }
            }
        }
        Ok(found)
    }
}

/// Which part of a page is asked for; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// Those whose falling key has a value.
    Values,
    /// Those whose falling key is empty.
    Empties,
}

fn parents_of(by: &model::FieldDef, cells: &Cells) -> Vec<Uuid> {
    match by.cells(cells).first() {
        Some(Value::Uuid(id)) => vec![*id],
        Some(Value::List(items)) => items.iter().filter_map(Value::as_uuid).collect(),
        _ => Vec::new(),
    }
}

/// Whether ids come in falling order.
fn falls(sort: &[Sort]) -> bool {
    sort.last().is_some_and(|key| key.descending)
}

fn key_storage(schema: &Schema, key: &Sort) -> Storage {
    match (key.options.as_ref().filter(|options| !options.is_empty()), &key.column) {
        (Some(_), _) | (None, Column::Clock(..)) => Storage::Int,
        (None, Column::Slot(slot)) => schema.entity(key.path.entity).columns.get(*slot).map_or(Storage::Text, |column| column.storage),
    }
}

/// The condition of life and filter.
pub(crate) fn condition(sql: &mut Sql, writer: &mut Writer<'_>, entity: EntityId, filter: &Predicate, binned: Binned) {
    match binned {
        Binned::Live => {
            sql.column(MAIN, "deleted_at").push(" IS NULL AND ");
        }
        Binned::Only => {
            sql.column(MAIN, "deleted_at").push(" IS NOT NULL AND ");
        }
        Binned::Any => {}
    }
    writer.write(sql, filter, entity, MAIN);
}

fn row_of(schema: &Schema, query: &Select, keys_at: usize, values: &mut [Value]) -> Row {
    let def = schema.entity(query.entity);
    let mut cells = def.empty();
    let mut values = values.iter_mut().map(std::mem::take);
    for (slot, value) in query.slots.iter().zip(values.by_ref().take(keys_at)) {
        if let Some(cell) = cells.get_mut(*slot) {
            *cell = value;
        }
    }
    let keys = values.by_ref().take(query.sort.len() + 1).collect();
    let far = query.paths.iter().map(|path| values.by_ref().take(schema.entity(path.entity).field(path.field).slots.len()).collect()).collect();
    Row { cells, far, keys }
}

/// The far tables of a question, each chain of references once.
struct Joins {
    /// From which alias, over which reference, to which alias.
    steps: Vec<(String, rules::query::Hop, String)>,
    /// The alias at the end of each path.
    ends: Vec<String>,
}

impl Joins {
    fn of(schema: &Schema, paths: &[Path], writer: &mut Writer<'_>) -> Self {
        let _ = schema;
        let mut joins = Self { steps: Vec::new(), ends: Vec::new() };
        for path in paths {
            let mut here = MAIN.to_owned();
            for hop in &path.hops {
                let known = joins.steps.iter().find(|(from, there, _)| *from == here && there == hop).map(|(_, _, to)| to.clone());
                here = match known {
                    Some(alias) => alias,
                    None => {
                        let alias = writer.alias();
                        joins.steps.push((here, hop.clone(), alias.clone()));
                        alias
                    }
                };
            }
            joins.ends.push(here);
        }
        joins
    }

    fn write(&self, sql: &mut Sql, schema: &Schema, writer: &mut Writer<'_>) {
        for (from, hop, to) in &self.steps {
            sql.push(" LEFT JOIN ").name(&schema.entity(hop.to).table).push(" ").push(to).push(" ON ");
            writer.hop(sql, hop, from, to);
        }
    }
}
