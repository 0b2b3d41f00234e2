//! In charge of looking a workspace and an app over: what stands, what is wrong, what to do.
//! Invariant: looks only; mending is a person's decision.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use model::doc::Package;
use model::{Diagnostic, EntityDef, Name, Severity, Value};
use rules::query::Predicate;
use store::{Binned, Location, Plan, Select, Tx};
use uuid::Uuid;

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::publish::{core_package, faults_of};
use crate::records::check::rules_broken;
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
    /// Looks the workspace over.
    ///
    /// # Errors
    /// Where the store could not.
    pub async fn examine(&self) -> Result<Examined, Error> {
        let app = self.current();
        let cx = self.system();
        self.store()
            .read(move |tx| {
                let mut found = Examined::default();
                for def in &app.schema.entities {
                    found.records.push((def.name.to_string(), tx.count(&app.schema, def.id, &Predicate::True, Binned::Live, None)?));
                }
                let plan = Plan::of(tx, &app.schema)?;
                found.faults.extend(plan.expand.iter().map(|step| format!("the database lacks {step:?}: publish again")));
                found.faults.extend(plan.indexes.iter().map(|step| format!("the database lacks {step:?}: publish again")));
                for def in &cx.app.schema.entities {
                    found.failing.extend(failing(&cx, tx, def)?);
                }
                Ok::<_, Error>(found)
            })
            .await
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
