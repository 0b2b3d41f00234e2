//! In charge of the search index: tokens of texts, in the transaction of the record.
//! Invariant: a record is found by exactly the tokens that `rules::keys` made of its texts.

use model::{Storage, Value};
use rules::keys::QueryToken;
use uuid::Uuid;

use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::sql::{Decode, Sql};
use crate::tx::Tx;

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

impl Tx {
    /// Puts the tokens of new records into the index.
    ///
    /// # Errors
    /// Where the database cannot; where one of them is there already.
    pub fn index_new_text(&self, entity: &str, rows: &[(Uuid, String)]) -> Result<(), Fault> {
        if self.dialect() == Dialect::Postgres {
            return self.index_text(entity, rows);
        }
        rows.iter().try_for_each(|(id, tokens)| self.add_document(entity, *id, tokens))
    }

    /// Puts the tokens of records into the index, in the place of those that were there.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn index_text(&self, entity: &str, rows: &[(Uuid, String)]) -> Result<(), Fault> {
        for (id, tokens) in rows {
            match self.dialect() {
                Dialect::Sqlite => self.index_sqlite(entity, *id, tokens)?,
                Dialect::Postgres => {
                    let mut sql = self.sql();
                    sql.push("INSERT INTO \"sys_search\" (\"entity\", \"record\", \"tokens\") VALUES (").bind(Storage::Text, Value::text(entity));
                    sql.push(", ").bind(Storage::Uuid, Value::Uuid(*id)).push(", array_to_tsvector(string_to_array(");
                    sql.bind(Storage::Text, Value::Text(tokens.as_str().into())).push(", ' ')))");
                    sql.push(" ON CONFLICT (\"entity\", \"record\") DO UPDATE SET \"tokens\" = excluded.\"tokens\"");
                    self.execute(&sql)?;
                }
            }
        }
        Ok(())
    }

    fn index_sqlite(&self, entity: &str, id: Uuid, tokens: &str) -> Result<(), Fault> {
        let Some(doc) = self.document(entity, id)? else { return self.add_document(entity, id, tokens) };
        let mut sql = self.sql();
        sql.push("DELETE FROM \"sys_search_text\" WHERE rowid = ").bind(Storage::Int, Value::Int(doc));
        self.execute(&sql)?;
        self.put_tokens(doc, entity, tokens)
    }

    fn add_document(&self, entity: &str, id: Uuid, tokens: &str) -> Result<(), Fault> {
        let mut sql = self.sql();
        sql.push("INSERT INTO \"sys_search\" (\"entity\", \"record\") VALUES (").bind(Storage::Text, Value::text(entity)).push(", ");
        sql.bind(Storage::Uuid, Value::Uuid(id)).push(") RETURNING \"doc\"");
        let rows = self.query(&sql, &[Decode::Plain(Storage::Int)])?;
        let doc = rows.first().and_then(|row| row.first()).and_then(Value::as_int).unwrap_or_default();
        self.put_tokens(doc, entity, tokens)
    }

    fn put_tokens(&self, doc: i64, entity: &str, tokens: &str) -> Result<(), Fault> {
        let mut sql = self.sql();
        sql.push("INSERT INTO \"sys_search_text\" (rowid, tokens) VALUES (").bind(Storage::Int, Value::Int(doc)).push(", ");
        sql.bind(Storage::Text, Value::Text(format!("{tokens} {}", entity_token(entity)).into())).push(")");
        self.execute(&sql).map(drop)
    }

    fn document(&self, entity: &str, id: Uuid) -> Result<Option<i64>, Fault> {
        let mut sql = self.sql();
        sql.push("SELECT \"doc\" FROM \"sys_search\" WHERE \"entity\" = ").bind(Storage::Text, Value::text(entity));
        sql.push(" AND \"record\" = ").bind(Storage::Uuid, Value::Uuid(id));
        let rows = self.query(&sql, &[Decode::Plain(Storage::Int)])?;
        Ok(rows.first().and_then(|row| row.first()).and_then(Value::as_int))
    }

    /// Takes records out of the index.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn unindex_text(&self, entity: &str, ids: &[Uuid]) -> Result<(), Fault> {
        for id in ids {
            if self.dialect() == Dialect::Sqlite
                && let Some(doc) = self.document(entity, *id)?
            {
                let mut sql = self.sql();
                sql.push("DELETE FROM \"sys_search_text\" WHERE rowid = ").bind(Storage::Int, Value::Int(doc));
                self.execute(&sql)?;
            }
            let mut sql = self.sql();
            sql.push("DELETE FROM \"sys_search\" WHERE \"entity\" = ").bind(Storage::Text, Value::text(entity));
            sql.push(" AND \"record\" = ").bind(Storage::Uuid, Value::Uuid(*id));
            self.execute(&sql)?;
        }
        Ok(())
    }
}
