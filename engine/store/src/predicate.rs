//! In charge of a bound filter as SQL.
//! Invariant: true for exactly the records for which `rules::eval` says true, on both databases.
//! Invariant: every condition written here is true or false, never unknown, so that negation is plain.

use model::field::ColumnUse;
use model::schema::Via;
use model::{EntityDef, EntityId, Schema, Storage, Value};
use rules::expr::{ClockExpr, ClockTerm};
use rules::query::{Column, Compare, Hop, Leaf, Moment, Path, Predicate, Related, RelatedVia, Test};

use crate::ddl::is_key;
use crate::rows::item_storage;
use crate::sql::Sql;

/// Writes conditions over the tables of one statement.
pub(crate) struct Writer<'a> {
    pub(crate) schema: &'a Schema,
    aliases: u32,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(schema: &'a Schema) -> Self {
        Self { schema, aliases: 0 }
    }

    /// A fresh alias.
    pub(crate) fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("t{}", self.aliases)
    }

    /// Writes the condition that `predicate` is on a row of `entity` called `alias`.
    pub(crate) fn write(&mut self, sql: &mut Sql, predicate: &Predicate, entity: EntityId, alias: &str) {
        match predicate {
            Predicate::True => {
                sql.push("1 = 1");
            }
            Predicate::False => {
                sql.push("1 = 0");
            }
            Predicate::All(parts) => self.joined(sql, parts, " AND ", entity, alias),
            Predicate::Any(parts) => self.joined(sql, parts, " OR ", entity, alias),
            Predicate::Leaf(leaf) => self.leaf(sql, leaf, alias),
            Predicate::Related(related) => self.related(sql, related, alias),
            Predicate::Through(through) => {
                let column = self.column_name(self.schema.entity(entity), through.field);
                sql.column(alias, &column).push(" IN (");
                self.live_ids(sql, through.to, &through.filter);
                sql.push(")");
            }
            Predicate::ThroughAny(through) => {
                let def = self.schema.entity(entity);
                let id = self.column_name(def, through.field);
                let name = def.columns.get(def.field(through.field).slots.start + 1).map_or_else(String::new, |column| column.name.clone());
                sql.push("(").push("");
                let mut first = true;
                for (target, filter) in &through.targets {
                    if !first {
                        sql.push(" OR ");
                    }
                    first = false;
                    let target_name = self.schema.entity(*target).name.as_str().to_owned();
                    sql.push("(").column(alias, &name).push(" = ").bind(Storage::Text, Value::text(&target_name)).push(" AND ");
                    sql.column(alias, &id).push(" IN (");
                    self.live_ids(sql, *target, filter);
                    sql.push("))");
                }
                sql.push(if first { "1 = 0)" } else { ")" });
            }
            Predicate::Member { user, write } => {
                let name = self.schema.entity(entity).name.as_str().to_owned();
                let member = self.alias();
                sql.push("EXISTS (SELECT 1 FROM \"sys_member\" ").push(&member).push(" WHERE ").column(&member, "entity").push(" = ");
                sql.bind(Storage::Text, Value::text(&name)).push(" AND ").column(&member, "record").push(" = ").column(alias, "id");
                sql.push(" AND ").column(&member, "user").push(" = ").bind(Storage::Uuid, Value::Uuid(*user));
                if *write {
                    sql.push(" AND ").column(&member, "write").push(" = ").bind(Storage::Bool, Value::Bool(true));
                }
                sql.push(")");
            }
        }
    }

    fn joined(&mut self, sql: &mut Sql, parts: &[Predicate], word: &str, entity: EntityId, alias: &str) {
        sql.push("(");
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                sql.push(word);
            }
            self.write(sql, part, entity, alias);
        }
        if parts.is_empty() {
            sql.push(if word == " AND " { "1 = 1" } else { "1 = 0" });
        }
        sql.push(")");
    }

    fn column_name(&self, def: &EntityDef, field: model::FieldId) -> String {
        def.field(field).slot().and_then(|slot| def.columns.get(slot)).map_or_else(String::new, |column| column.name.clone())
    }

    /// The ids of the live records of `entity` that fit.
    fn live_ids(&mut self, sql: &mut Sql, entity: EntityId, filter: &Predicate) {
        let far = self.alias();
        sql.push("SELECT ").column(&far, "id").push(" FROM ").name(&self.schema.entity(entity).table).push(" ").push(&far);
        sql.push(" WHERE ").column(&far, "deleted_at").push(" IS NULL AND ");
        self.write(sql, filter, entity, &far);
    }

    /// The value at the end of a path, as an expression over `alias`.
    pub(crate) fn value(&mut self, sql: &mut Sql, path: &Path, column: &Column, alias: &str) {
        match path.hops.split_first() {
            None => {
                let text = self.own(sql, path.entity, column, alias);
                sql.push(&text);
            }
            Some((hop, rest)) => {
                let far = self.alias();
                let rest = Path { hops: rest.to_vec(), ..path.clone() };
                sql.push("(SELECT ");
                self.value(sql, &rest, column, &far);
                sql.push(" FROM ").name(&self.schema.entity(hop.to).table).push(" ").push(&far).push(" WHERE ");
                self.hop(sql, hop, alias, &far);
                sql.push(")");
            }
        }
    }

    /// The condition that `far` is the record that `alias` refers to, live and in sight.
    pub(crate) fn hop(&mut self, sql: &mut Sql, hop: &Hop, alias: &str, far: &str) {
        let reference = self.column_name(self.schema.entity(hop.from), hop.field);
        sql.column(far, "id").push(" = ").column(alias, &reference).push(" AND ").column(far, "deleted_at").push(" IS NULL");
        if *hop.rows != Predicate::True {
            sql.push(" AND ");
            self.write(sql, &hop.rows, hop.to, far);
        }
    }

    /// An own column, or the formula in its place; parameters of a formula are written at once, so the text must follow.
    fn own(&self, sql: &mut Sql, entity: EntityId, column: &Column, alias: &str) -> String {
        match column {
            Column::Slot(slot) => {
                let name = self.schema.entity(entity).columns.get(*slot).map_or("id", |column| column.name.as_str());
                format!("{alias}.\"{}\"", name.replace('"', "\"\""))
            }
            Column::Clock(clock, moment) => self.clock(sql, entity, clock, *moment, alias),
        }
    }

    fn clock(&self, sql: &mut Sql, entity: EntityId, clock: &ClockExpr, moment: Moment, alias: &str) -> String {
        let mut inner = Sql::new(sql.dialect);
        inner.binds = std::mem::take(&mut sql.binds);
        let from = self.term(&mut inner, entity, &clock.from, clock.moments, moment, alias);
        let to = self.term(&mut inner, entity, &clock.to, clock.moments, moment, alias);
        let dialect = sql.dialect;
        dialect.write_days(&mut inner, &from, &to, clock.moments);
        sql.binds = inner.binds;
        inner.text
    }

    fn term(&self, sql: &mut Sql, entity: EntityId, term: &ClockTerm, moments: bool, moment: Moment, alias: &str) -> String {
        match term {
            ClockTerm::Slot(slot) => self.own(sql, entity, &Column::Slot(*slot), alias),
            ClockTerm::Present => {
                let mut text = String::new();
                let (storage, value) =
                    if moments { (Storage::Timestamp, Value::Timestamp(moment.now)) } else { (Storage::Date, Value::Date(moment.today)) };
                sql.binds.push((storage, value));
                sql.dialect.parameter(sql.binds.len(), &mut text);
                text
            }
            ClockTerm::First(terms) => {
                let terms: Vec<String> = terms.iter().map(|term| self.term(sql, entity, term, moments, moment, alias)).collect();
                format!("COALESCE({})", terms.join(", "))
            }
        }
    }

    fn storage(&self, entity: EntityId, column: &Column) -> Storage {
        match column {
            Column::Slot(slot) => self.schema.entity(entity).columns.get(*slot).map_or(Storage::Text, |column| column.storage),
            Column::Clock(..) => Storage::Int,
        }
    }

    fn leaf(&mut self, sql: &mut Sql, leaf: &Leaf, alias: &str) {
        if let Test::Empty = leaf.test {
            self.value(sql, &leaf.path, &leaf.column, alias);
            sql.push(if leaf.negated { " IS NOT NULL" } else { " IS NULL" });
            return;
        }
        if let Test::Has(item) = &leaf.test {
            self.has(sql, leaf, item, alias);
            return;
        }
        // A comparison with an empty value is unknown to SQL and false to us.
        match (leaf.path.hops.split_first(), leaf.negated) {
            (Some((hop, rest)), false) => {
                // The records that fit are looked up by their own index, not row by row.
                let reference = self.column_name(self.schema.entity(hop.from), hop.field);
                let inner = Leaf { path: Path { hops: rest.to_vec(), ..leaf.path.clone() }, ..leaf.clone() };
                if let Test::Field(..) = leaf.test {
                    self.test_or_false(sql, leaf, alias);
                    return;
                }
                sql.column(alias, &reference).push(" IN (");
                let rows = std::sync::Arc::clone(&hop.rows);
                self.live_ids(sql, hop.to, &Predicate::all(vec![Predicate::clone(&rows), Predicate::Leaf(inner)]));
                sql.push(")");
            }
            (_, true) => {
                sql.push("NOT ");
                self.test_or_false(sql, leaf, alias);
            }
            (None, false) => self.test(sql, leaf, alias),
        }
    }

    fn test_or_false(&mut self, sql: &mut Sql, leaf: &Leaf, alias: &str) {
        sql.push("COALESCE(");
        self.test(sql, leaf, alias);
        sql.push(", ");
        sql.push(match sql.dialect {
            crate::dialect::Dialect::Sqlite => "0",
            crate::dialect::Dialect::Postgres => "false",
        });
        sql.push(")");
    }

    fn has(&mut self, sql: &mut Sql, leaf: &Leaf, item: &Value, alias: &str) {
        let field = leaf.path.target(self.schema);
        let (Some(table), storage) = (field.link_table.clone(), item_storage(field)) else {
            sql.push("1 = 0");
            return;
        };
        let id = self.schema.entity(leaf.path.entity).find("id").map_or(leaf.path.field, |field| field.id);
        let owner = Path { field: id, ..leaf.path.clone() };
        let slot = self.schema.entity(leaf.path.entity).slot("id").unwrap_or_default();
        let link = self.alias();
        if leaf.path.hops.is_empty() {
            // By the link table's own index, not row by row.
            sql.column(alias, "id").push(if leaf.negated { " NOT IN (SELECT " } else { " IN (SELECT " }).column(&link, "owner").push(" FROM ");
            sql.name(&table).push(" ").push(&link).push(" WHERE ").column(&link, "value").push(" = ").bind(storage, item.clone()).push(")");
            return;
        }
        if leaf.negated {
            sql.push("NOT ");
        }
        sql.push("EXISTS (SELECT 1 FROM ").name(&table).push(" ").push(&link).push(" WHERE ").column(&link, "owner").push(" = ");
        self.value(sql, &owner, &Column::Slot(slot), alias);
        sql.push(" AND ").column(&link, "value").push(" = ").bind(storage, item.clone()).push(")");
    }

    /// A test that is unknown where the value is empty.
    fn test(&mut self, sql: &mut Sql, leaf: &Leaf, alias: &str) {
        let storage = self.storage(leaf.path.entity, &leaf.column);
        let compare = |writer: &mut Self, sql: &mut Sql, sign: &str, value: &Value| {
            writer.value(sql, &leaf.path, &leaf.column, alias);
            sql.push(sign).bind(storage, value.clone());
        };
        sql.push("(");
        match &leaf.test {
            Test::Empty | Test::Has(_) => {
                sql.push("1 = 0");
            }
            Test::Equal(value) => {
                if self.is_hashed(sql, leaf) {
                    self.hashed(sql, leaf, alias);
                    sql.push(" = hashtextextended(").bind(storage, value.clone()).push(", 0) AND ");
                }
                compare(self, sql, " = ", value);
            }
            Test::Less(value) => compare(self, sql, " < ", value),
            Test::LessEqual(value) => compare(self, sql, " <= ", value),
            Test::Greater(value) => compare(self, sql, " > ", value),
            Test::GreaterEqual(value) => compare(self, sql, " >= ", value),
            Test::Range(from, until) => {
                match (from, until) {
                    (None, None) => {
                        self.value(sql, &leaf.path, &leaf.column, alias);
                        sql.push(" IS NOT NULL");
                    }
                    (from, until) => {
                        if let Some(from) = from {
                            compare(self, sql, " >= ", from);
                        }
                        if let Some(until) = until {
                            if from.is_some() {
                                sql.push(" AND ");
                            }
                            compare(self, sql, " < ", until);
                        }
                    }
                };
            }
            Test::In(values) if values.is_empty() => {
                sql.push("1 = 0");
            }
            Test::In(values) => {
                if self.is_hashed(sql, leaf) {
                    self.hashed(sql, leaf, alias);
                    sql.push(" IN (").list(values, ", ", |sql, value| {
                        sql.push("hashtextextended(").bind(storage, value.clone()).push(", 0)");
                    });
                    sql.push(") AND ");
                }
                self.value(sql, &leaf.path, &leaf.column, alias);
                sql.push(" IN (").list(values, ", ", |sql, value| {
                    sql.bind(storage, value.clone());
                });
                sql.push(")");
            }
            Test::Contains(text) => {
                let function = sql.dialect.contains();
                sql.push(function).push("(");
                self.value(sql, &leaf.path, &leaf.column, alias);
                sql.push(", ").bind(Storage::Text, Value::text(text)).push(") > 0");
            }
            Test::StartsWith(text) => {
                sql.push("substr(");
                self.value(sql, &leaf.path, &leaf.column, alias);
                sql.push(", 1, length(").bind(Storage::Text, Value::text(text)).push(")) = ").bind(Storage::Text, Value::text(text));
            }
            Test::EndsWith(text) => {
                let mut inner = Sql::new(sql.dialect);
                inner.binds = std::mem::take(&mut sql.binds);
                self.value(&mut inner, &leaf.path, &leaf.column, alias);
                let column = std::mem::take(&mut inner.text);
                let dialect = sql.dialect;
                dialect.write_ends_with(&mut inner, &column, text);
                sql.binds = inner.binds;
                sql.push(&inner.text);
            }
            Test::Under { entity, parent, top } => {
                let def = self.schema.entity(*entity);
                let reference = self.column_name(def, *parent);
                let (down, child) = (self.alias(), self.alias());
                self.value(sql, &leaf.path, &leaf.column, alias);
                sql.push(" IN (WITH RECURSIVE ").push(&down).push("(\"id\") AS (SELECT ").bind(Storage::Uuid, Value::Uuid(*top));
                sql.push(" UNION SELECT ").column(&child, "id").push(" FROM ").name(&def.table).push(" ").push(&child);
                sql.push(" JOIN ").push(&down).push(" ON ").column(&child, &reference).push(" = ").column(&down, "id");
                sql.push(") SELECT \"id\" FROM ").push(&down).push(")");
            }
            Test::Field(compare, path, column) => {
                let sign = match compare {
                    Compare::Equal => " = ",
                    Compare::Less => " < ",
                    Compare::LessEqual => " <= ",
                    Compare::Greater => " > ",
                    Compare::GreaterEqual => " >= ",
                };
                let other = self.storage(path.entity, column);
                let (a, b) = (scale_of(storage), scale_of(other));
                self.scaled(sql, &leaf.path, &leaf.column, alias, a, a.max(b));
                sql.push(sign);
                self.scaled(sql, path, column, alias, b, a.max(b));
            }
        }
        sql.push(")");
    }

    /// Whether the database finds a text by its hash, beside which the text itself is compared.
    fn is_hashed(&self, sql: &Sql, leaf: &Leaf) -> bool {
        let Column::Slot(slot) = leaf.column else { return false };
        let def = self.schema.entity(leaf.path.entity);
        let is_fold = || def.columns.get(slot).is_some_and(|column| column.purpose == ColumnUse::Fold && is_key(def, def.field(column.field)));
        sql.dialect.hashes_keys() && leaf.path.hops.is_empty() && is_fold()
    }

    fn hashed(&mut self, sql: &mut Sql, leaf: &Leaf, alias: &str) {
        sql.push("hashtextextended(");
        self.value(sql, &leaf.path, &leaf.column, alias);
        sql.push(", 0)");
    }

    fn scaled(&mut self, sql: &mut Sql, path: &Path, column: &Column, alias: &str, from: u8, to: u8) {
        let mut inner = Sql::new(sql.dialect);
        inner.binds = std::mem::take(&mut sql.binds);
        self.value(&mut inner, path, column, alias);
        sql.binds = inner.binds;
        let text = sql.dialect.rescaled(inner.text, from, to);
        sql.push(&text);
    }

    fn related(&mut self, sql: &mut Sql, related: &Related, alias: &str) {
        // Behind an empty reference there is nothing: no record has related ones.
        let def = self.schema.entity(related.entity);
        let id = def.find("id").map_or(model::FieldId(0), |field| field.id);
        let slot = def.slot("id").unwrap_or_default();
        let owner = Path { hops: related.hops.clone(), entity: related.entity, field: id };
        let far = self.alias();
        let many = self.schema.entity(related.via.entity());
        if related.negated {
            sql.push("NOT ");
        }
        sql.push("EXISTS (SELECT 1 FROM ").name(&many.table).push(" ").push(&far).push(" WHERE ").column(&far, "deleted_at").push(" IS NULL AND ");
        match &related.via {
            RelatedVia::Inverse(inverse) => {
                let by = many.field(inverse.by);
                match inverse.via {
                    Via::Column | Via::AnyColumn => {
                        let name = self.column_name(many, inverse.by);
                        sql.column(&far, &name).push(" = ");
                        self.value(sql, &owner, &Column::Slot(slot), alias);
                        if inverse.via == Via::AnyColumn
                            && let Some(column) = many.columns.get(by.slots.start + 1)
                        {
                            let name = def.name.as_str().to_owned();
                            sql.push(" AND ").column(&far, &column.name).push(" = ").bind(Storage::Text, Value::text(&name));
                        }
                    }
                    Via::Link => self.linked(sql, by.link_table.as_deref(), (&far, "id"), &owner, slot, alias),
                }
            }
            RelatedVia::References(field, _) => {
                let table = def.field(*field).link_table.clone();
                let link = self.alias();
                sql.column(&far, "id").push(" IN (SELECT ").column(&link, "value").push(" FROM ").name(table.as_deref().unwrap_or_default());
                sql.push(" ").push(&link).push(" WHERE ").column(&link, "owner").push(" = ");
                self.value(sql, &owner, &Column::Slot(slot), alias);
                sql.push(")");
            }
        }
        for part in [&*related.rows, &*related.filter] {
            if *part != Predicate::True {
                sql.push(" AND ");
                self.write(sql, part, many.id, &far);
            }
        }
        sql.push(")");
    }

    fn linked(&mut self, sql: &mut Sql, table: Option<&str>, far: (&str, &str), owner: &Path, slot: usize, alias: &str) {
        let link = self.alias();
        sql.push("EXISTS (SELECT 1 FROM ").name(table.unwrap_or_default()).push(" ").push(&link).push(" WHERE ").column(&link, "owner");
        sql.push(" = ").column(far.0, far.1).push(" AND ").column(&link, "value").push(" = ");
        self.value(sql, owner, &Column::Slot(slot), alias);
        sql.push(")");
    }
}

fn scale_of(storage: Storage) -> u8 {
    match storage {
        Storage::Decimal(scale) => scale,
        _ => 0,
    }
}
