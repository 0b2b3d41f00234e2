//! In charge of the section over a database server: a schema of its own there, gone with the measurement.
//! Invariant: what else the database holds is left alone.

use sea_orm::sqlx::{self, AssertSqlSafe, Connection, Executor, PgConnection, Row};

use super::child::{Child, Failure};
use super::questions::Questions;
use super::sides::{self, Aims};
use super::table::Target;
use super::{Run, data};

/// Measures it.
pub(super) fn measure(run: &mut Run<'_>, url: &str) -> Result<(), Failure> {
    let schema = Schema::make(url)?;
    let durable = ask(url, async |connection| {
        let row = connection.fetch_one("SELECT current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off'").await?;
        row.try_get::<bool, usize>(0)
    })?;
    if !durable {
        return Err(Failure::Process(
            "the database server answers before what it was told is on disk: fsync or synchronous_commit is off".to_owned(),
        ));
    }
    let rows = run.asked.rows;
    run.tell(&format!("making {rows} deals on PostgreSQL"));
    let (site, imported) = data::make(run.scratch, "remote", Some(&schema.url), rows)?;
    run.table.add("PostgreSQL: import, rows/s", imported.rows_per_second, None, Target::None);
    let questions = Questions::of(&site)?;
    let trellis = Child::trellis(&site, &run.scratch.join("remote.log"))?;
    let bare = Child::bare(&site, &run.scratch.join("remote-bare.log"))?;
    let aims = Aims { prefix: "PostgreSQL: ", most_cpu: None, create: 0.5 };
    sides::measure(run, (&trellis, &bare), &site.token, &questions, &aims)?;
    trellis.stop();
    bare.stop();
    Ok(())
}

/// Asks a database server something, on a connection of its own.
pub(super) fn ask<T>(url: &str, question: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await?;
        let answer = question(&mut connection).await?;
        connection.close().await?;
        Ok(answer)
    })
}

/// A schema that is there as long as this is.
struct Schema {
    /// The whole database.
    base: String,
    /// The database as it is seen from the schema.
    url: String,
    name: String,
}

impl Schema {
    fn make(base: &str) -> Result<Self, Failure> {
        let name = format!("trellis_bench_{}", std::process::id());
        let text = AssertSqlSafe(format!("CREATE SCHEMA \"{name}\""));
        ask(base, async |connection| connection.execute(text).await.map(drop))?;
        let separator = if base.contains('?') { '&' } else { '?' };
        Ok(Self { url: format!("{base}{separator}options[search_path]={name}"), base: base.to_owned(), name })
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let text = AssertSqlSafe(format!("DROP SCHEMA \"{}\" CASCADE", self.name));
        // Whoever looks sees what is left, by its name.
        let _gone = ask(&self.base, async |connection| connection.execute(text).await.map(drop));
    }
}
