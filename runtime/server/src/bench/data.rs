//! In charge of what is measured on: a small app, accounts and deals that a seed decides, and somebody who may ask.
//! Invariant: the rows come in through the program's own commands, as a customer's would.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::chance::Chance;
use super::child::{Failure, Site, command};

/// The app that is measured.
#[derive(rust_embed::RustEmbed)]
#[folder = "bench_app"]
struct BenchApp;

/// Deals of one account.
const DEALS_OF_AN_ACCOUNT: u64 = 20;

/// Words of names: some rare, some common.
const WORDS: [&str; 24] = [
    "solar", "copper", "harbour", "quartz", "meadow", "falcon", "granite", "orchid", "saffron", "timber", "velvet", "walnut", "amber", "beacon",
    "cedar", "delta", "ember", "fjord", "garnet", "indigo", "juniper", "kestrel", "lagoon", "marble",
];

/// What an import came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Imported {
    /// Deals a second.
    pub(super) rows_per_second: f64,
    /// The most memory that it held, in megabytes.
    pub(super) most_memory: f64,
}

/// The workspace's database, where it is a file.
pub(super) fn file(folder: &Path) -> PathBuf {
    folder.join("trellis.sqlite")
}

/// Makes a workspace called `name` with so many deals.
pub(super) fn make(scratch: &Path, name: &str, database: Option<&str>, rows: u64) -> Result<(Site, Imported), Failure> {
    let mut site = Site { folder: scratch.join(name), database: database.map(str::to_owned), token: String::new() };
    let app = write_app::<BenchApp>(&scratch.join("bench"))?;
    command(&site, &["app", "install", &app.to_string_lossy()], None)?;
    command(&site, &["user", "add", "seller@bench.local", "--role", "bench.seller", "--password-stdin"], Some("a long enough password"))?;
    site.token = command(&site, &["token", "new", "seller@bench.local"], None)?.text;
    let (accounts, deals) = (scratch.join("accounts.csv"), scratch.join("deals.csv"));
    let count = (rows / DEALS_OF_AN_ACCOUNT).max(1);
    write_accounts(&accounts, count)?;
    write_deals(&deals, rows, count)?;
    command(&site, &["import", "bench.account", &accounts.to_string_lossy()], None)?;
    let map = scratch.join("deals.json");
    fs::write(&map, map_of_deals())?;
    let began = Instant::now();
    let said = command(&site, &["import", "bench.deal", &deals.to_string_lossy(), "--map", &map.to_string_lossy()], None)?;
    let imported = Imported { rows_per_second: rows as f64 / began.elapsed().as_secs_f64(), most_memory: said.most_memory };
    fs::remove_file(&deals)?;
    Ok((site, imported))
}

/// Writes an app that is part of this program into a folder.
pub(super) fn write_app<A: rust_embed::RustEmbed>(folder: &Path) -> Result<PathBuf, Failure> {
    for path in A::iter() {
        let Some(file) = A::get(&path) else { continue };
        let target = folder.join(&*path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(target, file.data)?;
    }
    Ok(folder.to_owned())
}

/// The same app, a version later, with one field more.
pub(super) fn app_with_a_new_field(scratch: &Path) -> Result<PathBuf, Failure> {
    let folder = write_app::<BenchApp>(&scratch.join("bench_later"))?;
    let change = |file: &str, from: &str, to: &str| -> Result<(), Failure> {
        let path = folder.join(file);
        let text = fs::read_to_string(&path)?;
        fs::write(&path, text.replace(from, to))?;
        Ok(())
    };
    change("app.json", "1.0.0", "1.1.0")?;
    change("entities/deal.json", "\"code\":", "\"region\": {\"kind\": \"text\"},\n    \"code\":")?;
    Ok(folder)
}

fn map_of_deals() -> String {
    let columns = ["code", "name", "status", "amount", "probability", "quantity", "close_date", "seen_at", "active", "contact", "note"];
    let mut text = String::from("{\"entity\": \"deal\", \"mode\": \"create\", \"values\": {");
    for column in columns {
        // Writing to a text cannot fail.
        let _written = write!(text, "\"{column}\": {{\"from\": \"{column}\"}}, ");
    }
    text.push_str("\"account\": {\"from\": \"account\", \"find\": {\"entity\": \"account\", \"by\": \"name\"}}}}");
    text
}

fn write_accounts(path: &Path, count: u64) -> Result<(), Failure> {
    let mut file = BufWriter::new(fs::File::create(path)?);
    let mut chance = Chance::new(1);
    writeln!(file, "name,sector")?;
    for number in 0..count {
        writeln!(file, "{} {} {number},{}", chance.one(&WORDS), chance.one(&WORDS), chance.one(&["retail", "medical", "software"]))?;
    }
    Ok(file.flush()?)
}

fn write_deals(path: &Path, rows: u64, accounts: u64) -> Result<(), Failure> {
    let names = account_names(accounts);
    let mut file = BufWriter::new(fs::File::create(path)?);
    let mut chance = Chance::new(2);
    writeln!(file, "code,name,account,status,amount,probability,quantity,close_date,seen_at,active,contact,note")?;
    for number in 0..rows {
        let account = usize::try_from(chance.below(accounts)).unwrap_or_default();
        writeln!(
            file,
            "D{number},{} {} {},{},{},{}.{:02},{},{},{},2026-{:02}-{:02}T08:30:00Z,{},contact{number}@example.com,Met at the fair; wants a second offer for {}",
            chance.one(&WORDS),
            chance.one(&WORDS),
            chance.one(&WORDS),
            names.get(account).map_or("", String::as_str),
            chance.one(&["new", "open", "won", "lost"]),
            chance.below(90_000),
            chance.below(100),
            chance.below(101),
            chance.below(500),
            date(&mut chance),
            chance.below(12) + 1,
            chance.below(28) + 1,
            chance.below(2) == 0,
            chance.one(&WORDS),
        )?;
    }
    Ok(file.flush()?)
}

fn account_names(count: u64) -> Vec<String> {
    let mut chance = Chance::new(1);
    (0..count)
        .map(|number| {
            let name = format!("{} {} {number}", chance.one(&WORDS), chance.one(&WORDS));
            chance.one(&["retail", "medical", "software"]);
            name
        })
        .collect()
}

/// A day of five years.
pub(super) fn date(chance: &mut Chance) -> String {
    format!("{}-{:02}-{:02}", 2022 + chance.below(5), chance.below(12) + 1, chance.below(28) + 1)
}

/// One of the words that names are made of.
pub(super) fn word(chance: &mut Chance) -> &'static str {
    chance.one(&WORDS)
}
