//! In charge of looking a workspace and an app over: what stands, what is wrong, what to do.
//! Invariant: looks only; mending is a person's decision.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use model::doc::Package;
use model::{Diagnostic, EntityDef, Name, Severity, Value};
use rules::compute::Rollup;
use rules::query::Predicate;
use store::system::Cond;
use store::system::file::FILE;
use store::{Binned, Location, Plan, Select, Tx};
use uuid::Uuid;

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::files::{FileRow, FileStore};
use crate::publish::{core_package, faults_of};
use crate::records::accept::differs;
use crate::records::check::rules_broken;
use crate::records::rollups;
use crate::records::slice::Writer;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    /// How many live records each entity has.
    pub records: Vec<(String, u64)>,
    /// What is wrong, each with what to do.
    pub faults: Vec<String>,
    /// Records that would not be taken as they are: documents or settings changed since they were written.
    pub failing: Vec<Failing>,
    /// What the database says is damaged in it.
    pub damages: Vec<String>,
    /// Files whose bytes are not there, or not all of them.
    pub lost_files: Vec<LostFile>,
    /// How many files were looked for.
    pub files: u64,
    /// Roll-ups that are not what counting anew gives.
    pub miscounted: Vec<Miscounted>,
    /// When the newest change was made.
    pub newest_change: Option<DateTime<Utc>>,
}

/// A file whose bytes are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostFile {
    /// The file.
    pub id: Uuid,
    /// What it is called.
    pub name: String,
    /// What it hangs on: entity and record.
    pub of: Option<(String, Uuid)>,
}

/// A roll-up that says something else than its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miscounted {
    /// The entity that has it.
    pub entity: String,
    /// The roll-up.
    pub field: String,
    /// In how many records it is wrong.
    pub count: u64,
    /// Some of them.
    pub some: Vec<Uuid>,
}

/// Records that the next write would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// The entity.
    pub entity: String,
    /// What they lack or break.
    pub reason: String,
    /// How many there are.
    pub count: u64,
    /// Some of them.
    pub some: Vec<Uuid>,
}

/// Records that are named of those that fail alike.
const SOME: usize = 5;
/// Records that are looked at in one question.
const PAGE: u32 = 200;

/// The database that a command line names: SQLite in the data folder where it names none.
#[must_use]
pub fn location_of(database: Option<&str>, data_dir: &Path) -> Option<Location> {
    match database {
        None => Some(Location::in_folder(data_dir)),
        Some(url) => Location::parse(url),
    }
}

/// What is wrong with an app, seen with the core app alone: errors and warnings.
#[must_use]
pub fn examine_package(package: &Package) -> Vec<Diagnostic> {
    examine_among(package, &[])
}

/// What is wrong with an app, seen with the core app and others that it builds on: errors, then warnings.
#[must_use]
pub fn examine_among(package: &Package, others: &[Package]) -> Vec<Diagnostic> {
    let core = match core_package() {
        Ok(core) => core,
        Err(_) => return vec![Diagnostic::error("", "the core app cannot be read")],
    };
    let mut packages = IndexMap::new();
    for package in std::iter::once(&core).chain(others).chain(std::iter::once(package)) {
        let text = &package.app.app.name;
        let Some(name) = Name::parse(text) else { return vec![Diagnostic::error("/app/name", format!("`{text}` is not a name"))] };
        packages.insert(name, Arc::new(package.clone()));
    }
    let own: Vec<Name> = Name::parse(&package.app.app.name).into_iter().collect();
    let mut found = faults_of(&packages, &own);
    found.dedup();
    found.sort_by_key(|fault| fault.severity != Severity::Error);
    found
}

impl Engine {
    /// Whether a mail server is set up and answers.
    ///
    /// # Errors
    /// What it said instead.
    pub async fn examine_mail(&self) -> Result<bool, String> {
        self.outside().mail_server().await.map_err(|refused| refused.reason)
    }

    /// Looks the workspace over.
    ///
    /// # Errors
    /// Where the store could not.
    pub async fn examine(&self) -> Result<Examined, Error> {
        let damages = self.store().damages().await?;
        if !damages.is_empty() {
            // Where pages are damaged, nothing that is read of them means anything.
            return Ok(Examined { damages, ..Examined::default() });
        }
        let (app, cx, files) = (self.current(), self.system(), self.files().clone());
        self.store()
            .read(move |tx| {
                let mut found = Examined { newest_change: tx.newest_moment()?, ..Examined::default() };
                lost_files(tx, &files, &mut found)?;
                for def in &app.schema.entities {
                    found.records.push((def.name.to_string(), tx.count(&app.schema, def.id, &Predicate::True, Binned::Live, None)?));
                }
                let plan = Plan::of(tx, &app.schema)?;
                found.faults.extend(plan.expand.iter().map(|step| format!("the database lacks {step:?}: publish again")));
                found.faults.extend(plan.indexes.iter().map(|step| format!("the database lacks {step:?}: publish again")));
                for def in &cx.app.schema.entities {
                    found.failing.extend(failing(&cx, tx, def)?);
                    found.miscounted.extend(miscounted(&cx, tx, def)?);
                }
                Ok::<_, Error>(found)
            })
            .await
    }
}

/// Looks for the bytes of every file.
fn lost_files(tx: &Tx, files: &FileStore, found: &mut Examined) -> Result<(), Error> {
    let mut after = None;
    loop {
        let conditions: Vec<Cond> = after.map(|id| Cond::Gt("id", Value::Uuid(id))).into_iter().collect();
        let rows = tx.find(&FILE, &conditions, &[("id", false)], PAGE)?;
        for row in rows.iter().filter_map(|row| FileRow::read(row)) {
            found.files += 1;
            if files.size(&row.hash) != Some(row.info.size) {
                found.lost_files.push(LostFile { id: row.info.id, name: row.info.name, of: row.entity.zip(row.record) });
            }
        }
        match rows.last().and_then(|row| row.first()).and_then(Value::as_uuid) {
            Some(last) if rows.len() >= PAGE as usize => after = Some(last),
            Some(_) | None => return Ok(()),
        }
    }
}

/// The roll-ups of an entity's live records that counting anew gives otherwise.
fn miscounted(cx: &Ctx, tx: &Tx, def: &EntityDef) -> Result<Vec<Miscounted>, Error> {
    let rollups: Vec<&Rollup> = cx.app.graph.rollups_on(def.id).collect();
    if rollups.is_empty() {
        return Ok(Vec::new());
    }
    let mut found: BTreeMap<String, Miscounted> = BTreeMap::new();
    let mut after = None;
    loop {
        let slots = (0..def.columns.len()).collect();
        let query = Select { after: after.take(), limit: PAGE, slots, ..Select::of(def.id, Predicate::True, Binned::Live) };
        let rows = tx.select(&cx.app.schema, &query)?;
        let writer = Writer::new(cx, tx);
        for row in &rows {
            let Some(id) = def.slot("id").and_then(|slot| row.cells.get(slot)).and_then(Value::as_uuid) else { continue };
            for rollup in &rollups {
                let field = def.field(rollup.field);
                let mut cells = row.cells.clone();
                let is_wrong = match rollups::recount(&writer, rollup, id, &mut cells) {
                    Ok(()) => differs(def, field, &row.cells, &cells),
                    // More than its column holds.
                    Err(Error::Invalid(_)) => true,
                    Err(error) => return Err(error),
                };
                if !is_wrong {
                    continue;
                }
                let wrong = Miscounted { entity: def.name.to_string(), field: field.name.to_string(), count: 0, some: Vec::new() };
                let wrong = found.entry(wrong.field.clone()).or_insert(wrong);
                wrong.count += 1;
                if wrong.some.len() < SOME {
                    wrong.some.push(id);
                }
            }
        }
        match rows.last() {
            Some(last) if rows.len() >= PAGE as usize => after = Some(last.keys.clone()),
            Some(_) | None => return Ok(found.into_values().collect()),
        }
    }
}

/// The live records of an entity that the next write would refuse, alike ones together.
fn failing(cx: &Ctx, tx: &Tx, def: &EntityDef) -> Result<Vec<Failing>, Error> {
    let writer = Writer::new(cx, tx);
    let plan = writer.plan(def.id);
    let is_required = |field: &&model::FieldDef| field.doc.common.required && !field.slots.is_empty() && plan.field(field.id).show_if.is_none();
    let required: Vec<&model::FieldDef> = def.fields.iter().filter(is_required).collect();
    if required.is_empty() && plan.rules.is_empty() {
        return Ok(Vec::new());
    }
    let mut found: BTreeMap<String, Failing> = BTreeMap::new();
    let mut after = None;
    loop {
        let slots = (0..def.columns.len()).collect();
        let query = Select { after: after.take(), limit: PAGE, slots, ..Select::of(def.id, Predicate::True, Binned::Live) };
        let rows = tx.select(&cx.app.schema, &query)?;
        for row in &rows {
            let Some(id) = def.slot("id").and_then(|slot| row.cells.get(slot)).and_then(Value::as_uuid) else { continue };
            let lacking = required.iter().filter(|field| field.cells(&row.cells).iter().all(Value::is_null));
            let broken = rules_broken(&writer, def, &plan.rules, None, &row.cells, false);
            let reasons =
                lacking.map(|field| format!("`{}` is required and empty", field.name)).chain(broken.iter().map(|fault| fault.wording.text("en")));
            for reason in reasons {
                let failing = Failing { entity: def.name.to_string(), reason: reason.clone(), count: 0, some: Vec::new() };
                let failing = found.entry(reason).or_insert(failing);
                failing.count += 1;
                if failing.some.len() < SOME {
                    failing.some.push(id);
                }
            }
        }
        match rows.last() {
            Some(last) if rows.len() >= PAGE as usize => after = Some(last.keys.clone()),
            Some(_) | None => return Ok(found.into_values().collect()),
        }
    }
}
