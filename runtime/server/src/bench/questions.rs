//! In charge of what both sides are asked: the n-th question of each kind is the same in every run.

use std::path::Path;

use rusqlite::Connection;
use sea_orm::sqlx;
use serde_json::json;
use uuid::Uuid;

use super::chance::Chance;
use super::child::{Failure, Site};
use super::data::{date, file, word};
use super::load::Request;
use super::remote::ask;

/// The fields of a page.
const FIELDS: &str = "code,name,account.name,status,amount,probability,quantity,close_date,seen_at,active,contact,note";
const PATH: &str = "/api/v1/records/bench.deal";

/// Ids that may be asked for.
pub(super) struct Questions {
    deals: Vec<String>,
    accounts: Vec<String>,
}

/// At most so many of `ids`, from all over.
fn spread(ids: Vec<Uuid>, most: usize) -> Vec<String> {
    let step = ids.len().div_ceil(most).max(1);
    ids.iter().step_by(step).map(Uuid::to_string).collect()
}

fn ids(file: &Path, sql: &str) -> Result<Vec<Uuid>, Failure> {
    let connection = Connection::open(file)?;
    let mut statement = connection.prepare(sql)?;
    let ids = statement.query_map([], |row| row.get::<_, [u8; 16]>(0))?;
    Ok(ids.map(|id| id.map(Uuid::from_bytes)).collect::<Result<_, _>>()?)
}

fn remote_ids(url: &str, sql: &'static str) -> Result<Vec<Uuid>, Failure> {
    ask(url, async |connection| sqlx::query_scalar::<_, Uuid>(sql).fetch_all(connection).await)
}

impl Questions {
    pub(super) fn of(site: &Site) -> Result<Self, Failure> {
        let ids = |sql: &'static str| match &site.database {
            Some(url) => remote_ids(url, sql),
            None => ids(&file(&site.folder), sql),
        };
        Ok(Self {
            deals: spread(ids("SELECT id FROM bench__deal WHERE status <> 'lost' ORDER BY id")?, 50_000),
            accounts: spread(ids("SELECT id FROM bench__account ORDER BY id")?, 5_000),
        })
    }

    fn pick<'a>(ids: &'a [String], chance: &mut Chance) -> &'a str {
        let index = usize::try_from(chance.below(ids.len() as u64)).unwrap_or_default();
        ids.get(index).map_or("", String::as_str)
    }

    pub(super) fn get(&self, n: u64) -> Request {
        Request::get(format!("{PATH}/{}", Self::pick(&self.deals, &mut Chance::new(n))))
    }

    pub(super) fn page(&self, n: u64) -> Request {
        let mut chance = Chance::new(n);
        let (status, least) = (chance.one(&["new", "open", "won"]), chance.below(50));
        // {"all":[{"field":"status","op":"=","value":…},{"field":"probability","op":">=","value":…}]}
        let filter = format!(
            "%7B%22all%22%3A%5B%7B%22field%22%3A%22status%22%2C%22op%22%3A%22%3D%22%2C%22value%22%3A%22{status}%22%7D%2C\
             %7B%22field%22%3A%22probability%22%2C%22op%22%3A%22%3E%3D%22%2C%22value%22%3A{least}%7D%5D%7D"
        );
        Request::get(format!("{PATH}?filter={filter}&sort=-close_date&fields={FIELDS}&limit=50"))
    }

    pub(super) fn group(&self) -> Request {
        Request::post(&format!("{PATH}/aggregate"), json!({"group_by": ["status"], "measures": [{"sum": "amount"}, "count"]}).to_string())
    }

    pub(super) fn search(&self, n: u64) -> Request {
        let mut chance = Chance::new(n);
        Request::get(format!("{PATH}?q={}+{}&fields=name&limit=20", word(&mut chance), word(&mut chance)))
    }

    pub(super) fn create(&self, n: u64) -> Request {
        let mut chance = Chance::new(n);
        let name = format!("{} {} {}", word(&mut chance), word(&mut chance), word(&mut chance));
        let body = json!({
            "code": format!("N{}-{n}", std::process::id()), "name": name, "account": Self::pick(&self.accounts, &mut chance),
            "status": chance.one(&["new", "open", "won"]), "amount": chance.below(90_000), "probability": chance.below(101),
            "quantity": chance.below(500), "close_date": date(&mut chance), "seen_at": "2026-03-05T08:30:00Z", "active": true,
            "note": "Met at the fair; wants a second offer",
        });
        Request::post(PATH, body.to_string())
    }
}
