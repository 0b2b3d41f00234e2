//! In charge of bringing the workspace's own tables to what this program declares.
//! Invariant: tables, columns and indexes are only ever added; what is there stays, so two adjacent releases can share it.
//! Invariant: a workspace of a newer version is refused: it may mean something else by the same names.

use model::{Storage, Value};

use super::{
    Table, access, approval, change, conversion, file, follower, form_link, form_sender, holding, idempotency, job, member, merged, number, outbox,
    personal, revision, run, stay, timer, worker,
};
use crate::fault::Fault;
use crate::sql::Decode;
use crate::tx::Tx;

/// All tables but the change log and the search index, which each database has in its own form.
const TABLES: &[&Table] = &[
    &revision::POINTER,
    &revision::REVISION,
    &revision::PUBLISHING,
    &revision::SETTING,
    &access::CREDENTIAL,
    &access::SESSION,
    &access::API_TOKEN,
    &access::LINK,
    &change::CHANGE_SET,
    &conversion::CONVERSION,
    &conversion::ORIGIN,
    &member::MEMBER,
    &follower::FOLLOWER,
    &merged::MERGED,
    &stay::STAY,
    &holding::HOLDING,
    &number::NUMBER,
    &idempotency::IDEMPOTENCY,
    &file::FILE,
    &job::JOB,
    &timer::TIMER,
    &outbox::OUTBOX,
    &run::RUN,
    &run::RUN_STEP,
    &run::DEFINITION,
    &approval::APPROVAL,
    &approval::APPROVAL_EVENT,
    &approval::APPROVAL_DATA,
    &approval::APPROVAL_KEPT,
    &approval::APPROVAL_TASK,
    &approval::APPROVAL_COPY,
    &approval::PROXY,
    &personal::SAVED_VIEW,
    &personal::PREFERENCE,
    &worker::WORKER,
    &form_link::FORM_LINK,
    &form_sender::FORM_SENDER,
];

/// The version of what the tables mean; adding to them does not change it.
const VERSION: i64 = 1;

/// Brings the tables up to date.
///
/// # Errors
/// Where they are of a newer version, or the database cannot.
pub(crate) fn migrate(tx: &Tx) -> Result<(), Fault> {
    tx.lock_key("migrate")?;
    if tx.columns_of("sys_version")?.is_empty() {
        return first(tx);
    }
    let mut sql = tx.sql();
    sql.push("SELECT \"version\" FROM \"sys_version\"");
    let rows = tx.query(&sql, &[Decode::Plain(Storage::Int)])?;
    match rows.first().and_then(|row| row.first()).and_then(Value::as_int) {
        Some(version) if version > VERSION => {
            Err(Fault::Gone(format!("the workspace is of version {version}; this program knows {VERSION}: use a newer one")))
        }
        _ => add_what_is_missing(tx),
    }
}

fn first(tx: &Tx) -> Result<(), Fault> {
    for table in TABLES {
        create(tx, table)?;
    }
    tx.script(change::create(tx.dialect()))?;
    tx.script(crate::search::create(tx.dialect()))?;
    let kind = tx.dialect().column_type(Storage::Int);
    tx.script(&format!("CREATE TABLE \"sys_version\" (\"version\" {kind} NOT NULL)"))?;
    let mut sql = tx.sql();
    sql.push("INSERT INTO \"sys_version\" (\"version\") VALUES (").bind(Storage::Int, Value::Int(VERSION)).push(")");
    tx.execute(&sql).map(drop)
}

/// Adds the tables, columns and indexes that came with this program.
fn add_what_is_missing(tx: &Tx) -> Result<(), Fault> {
    let indexes = tx.indexes()?;
    for table in TABLES {
        let there = tx.columns_of(table.name)?;
        if there.is_empty() {
            create(tx, table)?;
            continue;
        }
        for (name, storage) in table.columns.iter().filter(|(name, _)| !there.iter().any(|there| there == name)) {
            let mut sql = tx.sql();
            let kind = tx.dialect().column_type(*storage);
            sql.push("ALTER TABLE ").name(table.name).push(" ADD COLUMN ").name(name).push(" ").push(&kind);
            tx.script(&sql.text)?;
        }
        for columns in table.indexes.iter().filter(|columns| !indexes.contains(&index_name(table, columns))) {
            create_index(tx, table, columns)?;
        }
    }
    Ok(())
}

fn create(tx: &Tx, table: &Table) -> Result<(), Fault> {
    let dialect = tx.dialect();
    let mut sql = tx.sql();
    sql.push("CREATE TABLE ").name(table.name).push(" (").list(table.columns, ", ", |sql, (name, storage)| {
        let kind = dialect.column_type(*storage);
        sql.name(name).push(" ").push(&kind);
    });
    sql.push(", PRIMARY KEY (").list(table.key, ", ", |sql, name| {
        sql.name(name);
    });
    sql.push("))").push(dialect.table_options());
    tx.script(&sql.text)?;
    table.indexes.iter().try_for_each(|columns| create_index(tx, table, columns))
}

fn index_name(table: &Table, columns: &[&str]) -> String {
    format!("i_{}_{}", table.name, columns.join("_"))
}

fn create_index(tx: &Tx, table: &Table, columns: &[&str]) -> Result<(), Fault> {
    let mut sql = tx.sql();
    sql.push("CREATE INDEX ").name(&index_name(table, columns)).push(" ON ").name(table.name).push(" (").list(columns, ", ", |sql, name| {
        sql.name(name);
    });
    sql.push(")");
    tx.script(&sql.text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Location, Store};

    /// Makes the tables those of an older program, opens them again, and looks whether all is there and nothing is lost.
    async fn an_older_workspace_is_completed(location: Location) {
        let store = Store::open(&location).await.expect("a workspace");
        store
            .write(|tx| {
                tx.put(&revision::SETTING, &[revision::SETTING.columns.iter().map(|(_, storage)| sample(*storage)).collect()])?;
                tx.script("DROP TABLE \"sys_outbox\"; DROP INDEX \"i_sys_job_state\"; ALTER TABLE \"sys_run\" DROP COLUMN \"error\"")
            })
            .await
            .unwrap_or_else(|fault: Fault| panic!("{fault}"));
        let found = store
            .write(|tx| {
                migrate(tx)?;
                migrate(tx)?;
                let kept = tx.find(&revision::SETTING, &[], &[], 2)?.len();
                Ok::<_, Fault>((tx.columns_of("sys_outbox")?.len(), tx.columns_of("sys_run")?.len(), tx.indexes()?, kept))
            })
            .await
            .expect("completed");
        assert_eq!(found.0, outbox::OUTBOX.columns.len());
        assert_eq!(found.1, run::RUN.columns.len());
        assert!(found.2.contains(&"i_sys_job_state".to_owned()), "{:?}", found.2);
        assert_eq!(found.3, 1);
        store.close().await;
    }

    fn sample(storage: Storage) -> Value {
        match storage {
            Storage::Json => Value::Json(std::sync::Arc::new(serde_json::json!({}))),
            Storage::Timestamp => Value::Timestamp(chrono::DateTime::default()),
            Storage::Uuid => Value::Uuid(uuid::Uuid::nil()),
            _ => Value::text("a"),
        }
    }

    #[tokio::test]
    async fn on_sqlite() {
        an_older_workspace_is_completed(Location::SqliteMemory).await;
    }

    #[tokio::test]
    async fn on_postgres() {
        let url = std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL names a PostgreSQL server");
        let schema = format!("older_{}", uuid::Uuid::new_v4().simple());
        an_older_workspace_is_completed(Location::Postgres { url, schema: Some(schema) }).await;
    }
}
