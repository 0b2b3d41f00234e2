//! In charge of one transaction: the only way to read and write.
//! Invariant: dead after its work has returned; a savepoint that fails undoes itself alone, or dooms a transaction that has none.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::{Storage, Value};
use rusqlite::Connection;
use rusqlite::params_from_iter;

use crate::db::{Deadline, Session};
use crate::dialect::Dialect;
use crate::dialect::sqlite;
use crate::fault::Fault;
use crate::search::IndexWork;
use crate::sql::{Decode, Sql};

/// How rows are locked while they are read; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Not at all.
    None,
    /// Against deletion: they are about to be referred to.
    Share,
    /// Against every change but being referred to: they are about to be written.
    Change,
    /// Against everything, being referred to as well: they are about to go or to come back.
    Update,
    /// Against everything, and those that another transaction holds are passed over: work that is shared.
    Free,
}

/// An open transaction. Cheap to clone.
#[derive(Clone)]
pub struct Tx(Rc<Open>);

struct Open {
    on: On,
    alive: Cell<bool>,
    last: RefCell<Option<Fault>>,
    savepoints: Cell<u32>,
    stirred: Cell<bool>,
    /// Whether the log got changes.
    appended: Cell<bool>,
    /// Whether a script ran: its changes are not counted by the database.
    scripted: Cell<bool>,
    /// The database's count of changed rows when this began.
    began_at: u64,
    /// What is still to be done to the search index.
    texts: RefCell<Vec<IndexWork>>,
    /// Whether a part failed that cannot be undone alone: all is undone, and run again with savepoints.
    doomed: Cell<bool>,
    /// How long each question may take, where something but the database itself says so.
    deadline: Option<Arc<Deadline>>,
}

/// How parts of a transaction of the one writer are undone; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Not at all: what fails after it wrote takes the transaction with it. A savepoint copies every page that is touched.
    None,
    /// By savepoints.
    Savepoints,
}

enum On {
    Sqlite(Writing),
    Postgres(Rc<Session>),
}

/// A connection of one file as a transaction uses it.
struct Writing {
    connection: Rc<Connection>,
    guard: Guard,
    /// Work that was given to the one writer and is not answered; none where there is a queue of its own for each.
    unanswered: Option<Arc<AtomicUsize>>,
}

impl Tx {
    pub(crate) fn sqlite(connection: Rc<Connection>, guard: Guard, unanswered: Option<Arc<AtomicUsize>>) -> Self {
        Self::on(On::Sqlite(Writing { connection, guard, unanswered }), None)
    }

    pub(crate) fn reading(connection: Rc<Connection>, deadline: Arc<Deadline>) -> Self {
        Self::on(On::Sqlite(Writing { connection, guard: Guard::Savepoints, unanswered: None }), Some(deadline))
    }

    pub(crate) fn postgres(session: Rc<Session>) -> Self {
        Self::on(On::Postgres(session), None)
    }

    fn on(on: On, deadline: Option<Arc<Deadline>>) -> Self {
        let began_at = match &on {
            On::Sqlite(writing) => writing.connection.total_changes(),
            On::Postgres(_) => 0,
        };
        Self(Rc::new(Open {
            on,
            alive: Cell::new(true),
            last: RefCell::new(None),
            savepoints: Cell::new(0),
            stirred: Cell::new(false),
            appended: Cell::new(false),
            scripted: Cell::new(false),
            began_at,
            texts: RefCell::default(),
            doomed: Cell::new(false),
            deadline,
        }))
    }

    /// Ends the handle: its work has returned.
    pub(crate) fn end(&self) {
        self.0.alive.set(false);
    }

    /// Whether it changed anything, as far as the one writer must know.
    pub(crate) fn has_written(&self) -> bool {
        match &self.0.on {
            On::Sqlite(writing) => self.0.scripted.get() || writing.connection.total_changes() != self.0.began_at,
            On::Postgres(_) => true,
        }
    }

    /// Whether all of it has to be undone and run again with savepoints, whatever its work says.
    pub(crate) fn is_doomed(&self) -> bool {
        self.0.doomed.get()
    }

    /// Whether others wait for this to end, as far as that is known: long work gives way.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        match &self.0.on {
            On::Sqlite(Writing { unanswered: Some(unanswered), .. }) => unanswered.load(Ordering::Acquire) > 1,
            On::Sqlite(_) | On::Postgres(_) => true,
        }
    }

    /// Whether nobody else can write while this is open: what was read stays as it is, without a lock.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.dialect() == Dialect::Sqlite
    }

    /// Says that there is something to do once this is committed.
    pub fn stir(&self) {
        self.0.stirred.set(true);
    }

    pub(crate) fn is_stirred(&self) -> bool {
        self.0.stirred.get()
    }

    /// Notes that the log got changes, which are numbered after the commit.
    pub(crate) fn appends(&self) {
        self.0.appended.set(true);
    }

    pub(crate) fn has_appended(&self) -> bool {
        self.0.appended.get()
    }

    /// The last fault that the database gave.
    pub(crate) fn last_fault(&self) -> Option<Fault> {
        self.0.last.borrow().clone()
    }

    /// Notes what is to be done to the search index before the commit.
    pub(crate) fn index_later(&self, work: impl IntoIterator<Item = IndexWork>) {
        self.0.texts.borrow_mut().extend(work);
    }

    /// What is still to be done to the search index.
    pub(crate) fn take_index_work(&self) -> Vec<IndexWork> {
        self.0.texts.take()
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match &self.0.on {
            On::Sqlite(_) => Dialect::Sqlite,
            On::Postgres(_) => Dialect::Postgres,
        }
    }

    pub(crate) fn sql(&self) -> Sql {
        Sql::new(self.dialect())
    }

    fn alive(&self) -> Result<(), Fault> {
        match (self.0.alive.get(), self.0.doomed.get()) {
            (true, false) => Ok(()),
            // Nothing of it will be kept: the sooner its work ends the better.
            (true, true) => Err(Fault::Undone),
            (false, _) => Err(Fault::Sql("the transaction has ended".to_owned())),
        }
    }

    fn noted<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(fault) = &result {
            *self.0.last.borrow_mut() = Some(fault.clone());
        }
        result
    }

    /// The rows of a question.
    pub(crate) fn query(&self, sql: &Sql, how: &[Decode]) -> Result<Vec<Vec<Value>>, Fault> {
        let mut rows = Vec::new();
        self.each(sql, how, |row| rows.push(row))?;
        Ok(rows)
    }

    /// The rows of a statement of its own, kept whatever becomes of this transaction. With one writer there is nobody to
    /// wait for, and it is part of it.
    pub(crate) fn query_apart(&self, sql: &Sql, how: &[Decode]) -> Result<Vec<Vec<Value>>, Fault> {
        self.alive()?;
        match &self.0.on {
            On::Sqlite(_) => self.query(sql, how),
            On::Postgres(session) => self.noted(session.query_apart(sql, how)),
        }
    }

    /// Hands on each row of a question.
    pub(crate) fn each(&self, sql: &Sql, how: &[Decode], mut take: impl FnMut(Vec<Value>)) -> Result<(), Fault> {
        self.each_lent(sql, how, |values| take(std::mem::take(values)))
    }

    /// Hands on each row of a question in a buffer that serves them all: what is taken out of it need not be put back.
    pub(crate) fn each_lent(&self, sql: &Sql, how: &[Decode], mut take: impl FnMut(&mut Vec<Value>)) -> Result<(), Fault> {
        self.alive()?;
        if let Some(deadline) = &self.0.deadline {
            deadline.begin();
        }
        let result = match &self.0.on {
            On::Sqlite(writing) => query_sqlite(&writing.connection, sql, how, &mut take),
            On::Postgres(session) => session.query(sql, how).map(|rows| rows.into_iter().for_each(|mut row| take(&mut row))),
        };
        self.noted(result)
    }

    /// Runs a statement; the rows that it touched.
    pub(crate) fn execute(&self, sql: &Sql) -> Result<u64, Fault> {
        self.alive()?;
        let result = match &self.0.on {
            On::Sqlite(Writing { connection, .. }) => {
                let binds = sql.binds.iter().map(|(storage, value)| sqlite::encode(*storage, value));
                let done = connection.prepare_cached(&sql.text).and_then(|mut statement| statement.execute(params_from_iter(binds)));
                done.map(|rows| rows as u64).map_err(|error| sqlite::fault(&error))
            }
            On::Postgres(session) => session.execute(sql),
        };
        self.noted(result)
    }

    /// Runs `INSERT INTO table (columns) VALUES …` for rows, `per_statement` of them at once where a statement costs a
    /// round trip, and one by one where it costs nothing: there many at once would only be more text.
    pub(crate) fn insert_rows<'a, R>(
        &self,
        table: &str,
        columns: &[(&str, Storage)],
        per_statement: usize,
        rows: &'a [R],
        cell: impl Fn(&'a R, usize) -> &'a Value + Copy,
    ) -> Result<(), Fault> {
        self.alive()?;
        let per_statement = if self.dialect() == Dialect::Sqlite { 1 } else { per_statement.max(1) };
        let statement = |count: usize| {
            let mut sql = self.sql();
            sql.push("INSERT INTO ").name(table).push(" (").list(columns, ", ", |sql, (name, _)| {
                sql.name(name);
            });
            sql.push(") VALUES ");
            sql.list(0..count, ", ", |sql, row| {
                sql.push("(").list(0..columns.len(), ", ", |sql, column| sql.parameter(row * columns.len() + column + 1)).push(")");
            });
            sql
        };
        let result = match &self.0.on {
            On::Sqlite(Writing { connection, .. }) => {
                let text = statement(1).text;
                connection
                    .prepare_cached(&text)
                    .and_then(|mut statement| {
                        for row in rows {
                            statement.execute(params_from_iter(
                                columns.iter().enumerate().map(|(index, (_, storage))| sqlite::encode(*storage, cell(row, index))),
                            ))?;
                        }
                        Ok(())
                    })
                    .map_err(|error| sqlite::fault(&error))
            }
            On::Postgres(session) => rows.chunks(per_statement).try_for_each(|chunk| {
                let mut sql = statement(chunk.len());
                sql.binds = chunk
                    .iter()
                    .flat_map(|row| columns.iter().enumerate().map(move |(index, (_, storage))| (*storage, cell(row, index).clone())))
                    .collect();
                session.execute(&sql).map(drop)
            }),
        };
        self.noted(result)
    }

    /// Runs statements without parameters.
    pub(crate) fn script(&self, text: &str) -> Result<(), Fault> {
        self.alive()?;
        self.0.scripted.set(true);
        let result = match &self.0.on {
            On::Sqlite(writing) => writing.connection.execute_batch(text).map_err(|error| sqlite::fault(&error)),
            On::Postgres(session) => session.script(text),
        };
        self.noted(result)
    }

    /// Runs `work` so that its failure undoes it alone. Where the one writer goes without savepoints, a failure that wrote
    /// ends the whole, which is then run again with them.
    ///
    /// # Errors
    /// What `work` says, or that the database could not; `Undone` where the whole is run again.
    pub fn savepoint<T, E: From<Fault>>(&self, work: impl FnOnce(&Self) -> Result<T, E>) -> Result<T, E> {
        if let On::Sqlite(Writing { connection, guard: Guard::None, .. }) = &self.0.on {
            self.alive()?;
            let (before, texts) = ((connection.total_changes(), self.0.scripted.get()), self.0.texts.borrow().len());
            let result = work(self);
            if result.is_err() {
                self.0.texts.borrow_mut().truncate(texts);
                if before != (connection.total_changes(), self.0.scripted.get()) {
                    self.0.doomed.set(true);
                    return Err(Fault::Undone.into());
                }
            }
            return result;
        }
        let number = self.0.savepoints.get();
        let texts = self.0.texts.borrow().len();
        self.0.savepoints.set(number + 1);
        self.mark("SAVEPOINT", number)?;
        let result = work(self);
        self.0.savepoints.set(number);
        if result.is_err() {
            self.0.texts.borrow_mut().truncate(texts);
            // Where the database undid everything, the savepoint is gone: what took it is the answer.
            let cause = self.last_fault();
            if let Err(fault) = self.mark("ROLLBACK TO SAVEPOINT", number) {
                return Err(cause.unwrap_or(fault).into());
            }
        }
        self.mark("RELEASE SAVEPOINT", number)?;
        result
    }

    /// Sets, undoes or ends a savepoint; a database in this process keeps the statement prepared.
    fn mark(&self, word: &str, number: u32) -> Result<(), Fault> {
        self.alive()?;
        let text = format!("{word} inner_{number}");
        let result = match &self.0.on {
            On::Sqlite(writing) => {
                let done = writing.connection.prepare_cached(&text).and_then(|mut statement| statement.execute([]));
                done.map(drop).map_err(|error| sqlite::fault(&error))
            }
            On::Postgres(session) => session.script(&text),
        };
        self.noted(result)
    }

    /// Holds the others off `key` until the transaction ends. The one writer of SQLite needs no such thing.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn lock_key(&self, key: &str) -> Result<(), Fault> {
        self.advise("SELECT CAST(pg_advisory_xact_lock(hashtextextended(", key)
    }

    /// Holds those off who take `key` for themselves, but not those who share it.
    ///
    /// # Errors
    /// Where the database cannot.
    pub fn share_key(&self, key: &str) -> Result<(), Fault> {
        self.advise("SELECT CAST(pg_advisory_xact_lock_shared(hashtextextended(", key)
    }

    fn advise(&self, call: &str, key: &str) -> Result<(), Fault> {
        if self.dialect() == Dialect::Sqlite {
            return Ok(());
        }
        let mut sql = self.sql();
        sql.push(call).bind(Storage::Text, Value::text(key)).push(", CAST(hashtext(current_schema()) AS bigint))) AS text)");
        self.query(&sql, &[]).map(drop)
    }
}

fn query_sqlite(connection: &Connection, sql: &Sql, how: &[Decode], take: &mut dyn FnMut(&mut Vec<Value>)) -> Result<(), Fault> {
    let wrong = |error: rusqlite::Error| sqlite::fault(&error);
    let mut statement = connection.prepare_cached(&sql.text).map_err(wrong)?;
    let binds = sql.binds.iter().map(|(storage, value)| sqlite::encode(*storage, value));
    let mut rows = statement.query(params_from_iter(binds)).map_err(wrong)?;
    let mut values = Vec::with_capacity(how.len());
    while let Some(row) = rows.next().map_err(wrong)? {
        values.clear();
        values.reserve(how.len());
        for (index, how) in how.iter().enumerate() {
            values.push(sqlite::decode(*how, row.get_ref(index).map_err(wrong)?)?);
        }
        take(&mut values);
    }
    Ok(())
}
