//! In charge of the search index: tokens of texts, in the transaction of the record.
//! Invariant: a record is found by exactly the tokens that `rules::keys` made of its texts.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Storage, Value};
use rules::keys::QueryToken;
use uuid::Uuid;

use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::sql::{Decode, Sql};
use crate::tx::Tx;

/// Rows of one statement.
const ROWS: usize = 100;

/// By record: its tokens, and whether it is new; none where it is to go.
type Work = BTreeMap<(Arc<str>, Uuid), (Option<String>, bool)>;

/// The statements that make the index.
pub(crate) fn create(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => {
            "CREATE TABLE \"sys_search\" (\"doc\" INTEGER PRIMARY KEY, \"entity\" TEXT NOT NULL, \"record\" BLOB NOT NULL, UNIQUE (\"entity\", \"record\"));
             CREATE VIRTUAL TABLE \"sys_search_text\" USING fts5(tokens, content='', contentless_delete=1, detail=none, prefix='2 3', tokenize='unicode61 remove_diacritics 0');"
        }
        Dialect::Postgres => {
            "CREATE TABLE \"sys_search\" (\"entity\" text NOT NULL, \"record\" uuid NOT NULL, \"tokens\" tsvector NOT NULL, PRIMARY KEY (\"entity\", \"record\"));
             CREATE INDEX \"sys_search_tokens\" ON \"sys_search\" USING gin (\"tokens\");"
        }
    }
}

/// A token that stands for an entity, so that one index serves all.
fn entity_token(entity: &str) -> String {
    let letters: String = entity.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("zzz{letters}zzz")
}

/// The question as the index takes it; tokens hold letters and digits only.
fn question(dialect: Dialect, entity: &str, tokens: &[QueryToken]) -> String {
    match dialect {
        Dialect::Sqlite => {
            let mut parts: Vec<String> = tokens.iter().map(|token| format!("\"{}\"{}", token.text, if token.prefix { "*" } else { "" })).collect();
            parts.push(format!("\"{}\"", entity_token(entity)));
            parts.join(" AND ")
        }
        Dialect::Postgres => {
            tokens.iter().map(|token| format!("'{}'{}", token.text, if token.prefix { ":*" } else { "" })).collect::<Vec<_>>().join(" & ")
        }
    }
}

/// Writes the condition that a row called `alias` is found by `tokens`.
pub(crate) fn write(sql: &mut Sql, entity: &str, tokens: &[QueryToken], alias: &str) {
    if tokens.is_empty() {
        sql.push("1 = 0");
        return;
    }
    let words = Value::text(&question(sql.dialect, entity, tokens));
    sql.column(alias, "id");
    match sql.dialect {
        // CROSS JOIN fixes the order: the words first, else they are asked again for every record of the entity.
        Dialect::Sqlite => sql
            .push(" IN (SELECT s.\"record\" FROM \"sys_search_text\" f CROSS JOIN \"sys_search\" s ON s.\"doc\" = f.rowid WHERE f.sys_search_text MATCH ")
            .bind(Storage::Text, words)
            .push(" AND s.\"entity\" = ")
            .bind(Storage::Text, Value::text(entity))
            .push(")"),
        Dialect::Postgres => sql
            .push(" IN (SELECT s.\"record\" FROM \"sys_search\" s WHERE s.\"entity\" = ")
            .bind(Storage::Text, Value::text(entity))
            .push(" AND s.\"tokens\" @@ CAST(")
            .bind(Storage::Text, words)
            .push(" AS tsquery))"),
    };
}

/// What is to be done to the index; closed. It is done at the end of a transaction, on SQLite at the end of all that share
/// a commit: whatever else is written in between makes the index of SQLite write out what it has in memory.
#[derive(Clone, Debug)]
pub(crate) enum IndexWork {
    /// A record is found by these tokens, and no others.
    Put { entity: Arc<str>, record: Uuid, tokens: String, is_new: bool },
    /// A record is not found any more.
    Remove { entity: Arc<str>, record: Uuid },
}

/// Tokens of one record.
#[derive(Clone, Debug)]
pub struct IndexedText {
    /// The record.
    pub record: Uuid,
    /// Its tokens, with blanks between.
    pub tokens: String,
    /// Whether it was never in the index.
    pub is_new: bool,
}

impl Tx {
    /// Puts the tokens of records into the index, in the place of those that were there, before the transaction ends.
    pub fn index_text(&self, entity: &str, rows: Vec<IndexedText>) {
        let entity: Arc<str> = entity.into();
        self.index_later(rows.into_iter().map(|row| IndexWork::Put {
            entity: Arc::clone(&entity),
            record: row.record,
            tokens: row.tokens,
            is_new: row.is_new,
        }));
    }

    /// Takes records out of the index before the transaction ends.
    pub fn unindex_text(&self, entity: &str, ids: &[Uuid]) {
        let entity: Arc<str> = entity.into();
        self.index_later(ids.iter().map(|id| IndexWork::Remove { entity: Arc::clone(&entity), record: *id }));
    }

    /// Does what is noted for the index.
    pub(crate) fn index_now(&self) -> Result<(), Fault> {
        let work = self.take_index_work();
        if work.is_empty() { Ok(()) } else { self.index(work) }
    }

    /// Brings the index up to date.
    pub(crate) fn index(&self, work: Vec<IndexWork>) -> Result<(), Fault> {
        // Of several changes of one record the last is what counts; what is new by the first is new.
        // In the order of records, so that two transactions do not wait for each other.
        let mut last = Work::new();
        for work in work {
            let (key, tokens, is_new) = match work {
                IndexWork::Put { entity, record, tokens, is_new } => ((entity, record), Some(tokens), is_new),
                IndexWork::Remove { entity, record } => ((entity, record), None, false),
            };
            last.entry(key).and_modify(|(there, _)| there.clone_from(&tokens)).or_insert((tokens, is_new));
        }
        match self.dialect() {
            Dialect::Sqlite => self.index_sqlite(last),
            Dialect::Postgres => self.index_postgres(last),
        }
    }

    fn index_postgres(&self, work: Work) -> Result<(), Fault> {
        let gone: Vec<&(Arc<str>, Uuid)> = work.iter().filter(|(_, (tokens, _))| tokens.is_none()).map(|(key, _)| key).collect();
        for chunk in gone.chunks(ROWS) {
            let mut sql = self.sql();
            sql.push("DELETE FROM \"sys_search\" WHERE (\"entity\", \"record\") IN (").list(chunk, ", ", |sql, (entity, record)| {
                sql.push("(").bind(Storage::Text, Value::Text(Arc::clone(entity))).push(", ").bind(Storage::Uuid, Value::Uuid(*record)).push(")");
            });
            sql.push(")");
            self.execute(&sql)?;
        }
        let put: Vec<(&(Arc<str>, Uuid), &String)> = work.iter().filter_map(|(key, (tokens, _))| Some((key, tokens.as_ref()?))).collect();
        for chunk in put.chunks(ROWS) {
            let mut sql = self.sql();
            sql.push("INSERT INTO \"sys_search\" (\"entity\", \"record\", \"tokens\") VALUES ").list(
                chunk,
                ", ",
                |sql, ((entity, record), tokens)| {
                    sql.push("(").bind(Storage::Text, Value::Text(Arc::clone(entity))).push(", ").bind(Storage::Uuid, Value::Uuid(*record));
                    sql.push(", array_to_tsvector(string_to_array(").bind(Storage::Text, Value::Text(tokens.as_str().into()));
                    sql.push(", ' ')))");
                },
            );
            sql.push(" ON CONFLICT (\"entity\", \"record\") DO UPDATE SET \"tokens\" = excluded.\"tokens\"");
            self.execute(&sql)?;
        }
        Ok(())
    }

    fn index_sqlite(&self, work: Work) -> Result<(), Fault> {
        let mut next = self.greatest_document()?;
        let (mut gone, mut documents, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for ((entity, record), (tokens, is_new)) in work {
            let known = if is_new { None } else { self.document(&entity, record)? };
            gone.extend(known.map(|doc| [Value::Int(doc)]));
            let Some(tokens) = tokens else {
                if let Some(doc) = known {
                    let mut sql = self.sql();
                    sql.push("DELETE FROM \"sys_search\" WHERE \"doc\" = ").bind(Storage::Int, Value::Int(doc));
                    self.execute(&sql)?;
                }
                continue;
            };
            let doc = known.unwrap_or_else(|| {
                next += 1;
                documents.push([Value::Int(next), Value::Text(Arc::clone(&entity)), Value::Uuid(record)]);
                next
            });
            texts.push([Value::Int(doc), Value::Text(format!("{tokens} {}", entity_token(&entity)).into())]);
        }
        let columns = [("doc", Storage::Int), ("entity", Storage::Text), ("record", Storage::Uuid)];
        self.insert_rows("sys_search", &columns, 1, &documents, |row, column| row.get(column).unwrap_or(&Value::Null))?;
        // From here on nothing but the index is written.
        for row in gone {
            let mut sql = self.sql();
            sql.push("DELETE FROM \"sys_search_text\" WHERE rowid = ").bind(Storage::Int, row[0].clone());
            self.execute(&sql)?;
        }
        let columns = [("rowid", Storage::Int), ("tokens", Storage::Text)];
        self.insert_rows("sys_search_text", &columns, 1, &texts, |row, column| row.get(column).unwrap_or(&Value::Null))
    }

    fn greatest_document(&self) -> Result<i64, Fault> {
        let mut sql = self.sql();
        sql.push("SELECT max(\"doc\") FROM \"sys_search\"");
        let rows = self.query(&sql, &[Decode::Plain(Storage::Int)])?;
        Ok(rows.first().and_then(|row| row.first()).and_then(Value::as_int).unwrap_or_default())
    }

    fn document(&self, entity: &str, id: Uuid) -> Result<Option<i64>, Fault> {
        let mut sql = self.sql();
        sql.push("SELECT \"doc\" FROM \"sys_search\" WHERE \"entity\" = ").bind(Storage::Text, Value::text(entity));
        sql.push(" AND \"record\" = ").bind(Storage::Uuid, Value::Uuid(id));
        let rows = self.query(&sql, &[Decode::Plain(Storage::Int)])?;
        Ok(rows.first().and_then(|row| row.first()).and_then(Value::as_int))
    }
}
