//! In charge of the rows that the engine wrote for one thing, as bare statements that write the like for another.
//! Invariant: as many rows of as many bytes as the engine wrote; ids are the only difference.

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use uuid::Uuid;

/// A cell of a row to be written.
enum Cell {
    /// As the engine wrote it.
    Same(Value),
    /// One of the ids.
    Id(usize),
    /// A text with ids in it, each at a place.
    Text(String, Vec<(usize, usize)>),
}

/// A row that is written anew.
struct Statement {
    sql: String,
    cells: Vec<Cell>,
}

impl Statement {
    fn run(&self, connection: &Connection, ids: &[Uuid]) -> rusqlite::Result<()> {
        let id = |index: &usize| ids.get(*index).copied().unwrap_or_default();
        let values = self.cells.iter().map(|cell| match cell {
            Cell::Same(value) => value.clone(),
            Cell::Id(index) => Value::Blob(id(index).as_bytes().to_vec()),
            Cell::Text(text, places) => {
                let mut text = text.clone();
                for (at, index) in places {
                    text.replace_range(*at..*at + 36, &id(index).to_string());
                }
                Value::Text(text)
            }
        });
        connection.prepare_cached(&self.sql)?.execute(params_from_iter(values)).map(drop)
    }
}

/// What the engine wrote for one thing.
pub(super) struct Shadow {
    /// Ids that are those of the thing itself; further ones are made for each.
    own: usize,
    /// The ids of the sample, in their order.
    ids: Vec<Uuid>,
    statements: Vec<Statement>,
}

/// Columns that the database numbers.
const NUMBERED: [&str; 1] = ["sys_change.seq"];

impl Shadow {
    fn new(own: &[Uuid]) -> Self {
        Self { own: own.len(), ids: own.to_vec(), statements: Vec::new() }
    }

    fn cell(&self, value: Value) -> Cell {
        match value {
            Value::Blob(bytes) => match self.ids.iter().position(|id| id.as_bytes()[..] == bytes[..]) {
                Some(index) => Cell::Id(index),
                None => Cell::Same(Value::Blob(bytes)),
            },
            Value::Text(text) => {
                let found = self.ids.iter().enumerate().flat_map(|(index, id)| {
                    let id = id.to_string();
                    text.match_indices(&id).map(|(at, _)| (at, index)).collect::<Vec<_>>()
                });
                let places: Vec<(usize, usize)> = found.collect();
                if places.is_empty() { Cell::Same(Value::Text(text)) } else { Cell::Text(text, places) }
            }
            other => Cell::Same(other),
        }
    }

    /// The rows of a table that fit, each with its columns; an id of their own becomes one that is made anew.
    fn rows(&mut self, connection: &Connection, table: &str, fit: &str, by: &[Uuid]) -> rusqlite::Result<Vec<Vec<(String, Value)>>> {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table} WHERE {fit}"))?;
        let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let mut rows = statement.query(params_from_iter(by.iter().map(|id| id.as_bytes().to_vec())))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let mut cells = Vec::new();
            for (index, name) in names.iter().enumerate() {
                let value: Value = row.get(index)?;
                if let ("id", Value::Blob(bytes)) = (name.as_str(), &value)
                    && let Ok(id) = Uuid::from_slice(bytes)
                    && !self.ids.contains(&id)
                {
                    self.ids.push(id);
                }
                if !NUMBERED.contains(&format!("{table}.{name}").as_str()) {
                    cells.push((name.clone(), value));
                }
            }
            found.push(cells);
        }
        Ok(found)
    }

    /// Writes rows of a table anew.
    fn insert(&mut self, connection: &Connection, table: &str, fit: &str, by: &[Uuid], instead: &[(&str, Value)]) -> rusqlite::Result<()> {
        for row in self.rows(connection, table, fit, by)? {
            let names: Vec<String> = row.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let places = vec!["?"; names.len()].join(", ");
            let sql = format!("INSERT INTO {table} ({}) VALUES ({places})", names.join(", "));
            let value = |name: &str, value: Value| instead.iter().find(|(there, _)| *there == name).map_or(value, |(_, value)| value.clone());
            let cells = row.into_iter().map(|(name, there)| self.cell(value(&name, there))).collect();
            self.statements.push(Statement { sql, cells });
        }
        Ok(())
    }

    /// Writes columns of a row that is there.
    fn update(&mut self, connection: &Connection, table: &str, id: Uuid, columns: &[&str]) -> rusqlite::Result<()> {
        for row in self.rows(connection, table, "id = ?", &[id])? {
            let (mut names, mut cells) = (Vec::new(), Vec::new());
            for (name, value) in row.into_iter().filter(|(name, _)| columns.contains(&name.as_str())) {
                names.push(format!("\"{name}\" = ?"));
                cells.push(self.cell(value));
            }
            cells.push(self.cell(Value::Blob(id.as_bytes().to_vec())));
            self.statements.push(Statement { sql: format!("UPDATE {table} SET {} WHERE id = ?", names.join(", ")), cells });
        }
        Ok(())
    }

    /// A record that is new, with its change.
    fn record(&mut self, connection: &Connection, table: &str, fit: &str, by: &[Uuid]) -> rusqlite::Result<()> {
        let known = self.ids.len();
        self.insert(connection, table, fit, by, &[])?;
        for id in self.ids.get(known..).unwrap_or_default().to_vec() {
            self.insert(connection, "sys_change", "record = ?", &[id], &[])?;
        }
        Ok(())
    }

    /// What comes of a decision or a timer at a step that opens the next one.
    fn step(connection: &Connection, instance: Uuid, record: Uuid, events: &str, task: &str) -> rusqlite::Result<Self> {
        let mut shadow = Self::new(&[instance, record]);
        shadow.insert(connection, "sys_approval_event", &format!("instance = ? AND {events}"), &[instance], &[])?;
        shadow.update(connection, "sys_approval", instance, &["state", "ended_at", "seq", "body"])?;
        shadow.insert(connection, "sys_approval_task", &format!("instance = ? AND step = '{task}'"), &[instance], &[])?;
        shadow.insert(connection, "sys_timer", "subject = ?", &[instance], &[])?;
        let notice = "id IN (SELECT id FROM core__notification WHERE about = ? ORDER BY id DESC LIMIT 1)";
        shadow.record(connection, "core__notification", notice, &[record])?;
        Ok(shadow)
    }

    /// The rows of the first of two decisions.
    pub(super) fn of_decision(connection: &Connection, instance: Uuid) -> rusqlite::Result<Self> {
        let record: [u8; 16] = connection.query_row("SELECT record FROM sys_approval WHERE id = ?", [instance.as_bytes()], |row| row.get(0))?;
        // What the start wrote has the moment of the start.
        let events = "at > (SELECT min(at) FROM sys_approval_event WHERE instance = ?1)";
        Self::step(connection, instance, Uuid::from_bytes(record), events, "second")
    }

    /// Those of a pause that ended.
    pub(super) fn of_timer(connection: &Connection, instance: Uuid, record: Uuid) -> rusqlite::Result<Self> {
        Self::step(connection, instance, record, "at > (SELECT min(at) FROM sys_approval_event WHERE instance = ?1)", "look")
    }

    /// Those of a ticket, and those of its run.
    pub(super) fn of_ticket(connection: &Connection, ticket: Uuid) -> rusqlite::Result<(Self, Self)> {
        let run: [u8; 16] = connection.query_row("SELECT id FROM sys_run WHERE record = ?", [ticket.as_bytes()], |row| row.get(0))?;
        let run = Uuid::from_bytes(run);
        let (mut made, mut done) = (Self::new(&[ticket, run]), Self::new(&[ticket, run]));
        made.insert(connection, "work__ticket", "id = ?", &[ticket], &[])?;
        made.insert(connection, "sys_change", "record = ? AND op = 'created'", &[ticket], &[])?;
        let waiting = [
            ("state", Value::Text("waiting".to_owned())),
            ("line", Value::Text("work.triage".to_owned())),
            ("due_at", Value::Integer(0)),
            ("ended_at", Value::Null),
        ];
        made.insert(connection, "sys_run", "id = ?", &[run], &waiting)?;
        done.update(connection, "work__ticket", ticket, &["state", "answer_by", "version", "updated_at", "updated_by"])?;
        done.insert(connection, "sys_change", "record = ? AND op = 'updated'", &[ticket], &[])?;
        done.record(connection, "work__todo", "ticket = ?", &[ticket])?;
        done.record(connection, "core__notification", "about = ?", &[ticket])?;
        done.insert(connection, "sys_run_step", "run = ?", &[run], &[])?;
        done.update(connection, "sys_run", run, &["state", "ended_at", "line", "due_at", "tries", "error", "body"])?;
        Ok((made, done))
    }

    /// Writes them for another: `own` are its ids.
    pub(super) fn write(&self, connection: &Connection, own: &[Uuid]) -> rusqlite::Result<()> {
        let more = self.ids.len().saturating_sub(self.own);
        let ids: Vec<Uuid> = own.iter().copied().chain((0..more).map(|_| super::bare::rising())).collect();
        self.statements.iter().try_for_each(|statement| statement.run(connection, &ids))
    }

    /// Writes those of a decision.
    pub(super) fn decide(&self, connection: &Connection, task: Uuid, now: i64) -> rusqlite::Result<(Uuid, i64)> {
        let sql = "SELECT instance, seat, person, record FROM sys_approval_task WHERE id = ?";
        let (instance, seat, person, record): ([u8; 16], i64, [u8; 16], [u8; 16]) =
            connection.prepare_cached(sql)?.query_row([task.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        let (id, record) = (Uuid::from_bytes(instance), Uuid::from_bytes(record));
        read(connection, id)?;
        connection.prepare_cached("DELETE FROM sys_timer WHERE key = ?")?.execute([format!("approval:{id}:0")])?;
        let sql = "UPDATE sys_approval_task SET state = 'done', done_at = ? WHERE instance = ? AND seat = ? AND person = ?";
        connection.prepare_cached(sql)?.execute(params![now, instance, seat, person])?;
        self.write(connection, &[id, record])?;
        Ok((id, seat))
    }

    /// Writes those of a timer; what it opens is another instance's, since this one's is there.
    pub(super) fn fire(&self, connection: &Connection, instance: Uuid, record: Uuid) -> rusqlite::Result<()> {
        read(connection, instance)?;
        let sql = "SELECT id FROM sys_timer WHERE visible_at > 0 ORDER BY visible_at, id LIMIT 1";
        let timer: [u8; 16] = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        connection.prepare_cached("DELETE FROM sys_timer WHERE id = ?")?.execute([timer])?;
        self.write(connection, &[super::bare::rising(), record])?;
        connection.prepare_cached("UPDATE sys_approval SET body = body || '' WHERE id = ?")?.execute([instance.as_bytes()]).map(drop)
    }
}

/// Reads an instance, as whoever goes on with it has to.
fn read(connection: &Connection, instance: Uuid) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("SELECT * FROM sys_approval WHERE id = ?")?;
    let columns = statement.column_count();
    statement.query_row([instance.as_bytes()], |row| (0..columns).try_for_each(|column| row.get::<_, Value>(column).map(drop)))
}
