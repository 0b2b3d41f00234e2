//! In charge of looking a workspace and an app over: what stands, what is wrong, what to do.
//! Invariant: looks only; mending is a person's decision.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use model::doc::Package;
use model::{Diagnostic, Name, Severity};
use rules::query::Predicate;
use store::{Binned, Location, Plan};

use crate::Engine;
use crate::error::Error;
use crate::publish::{core_package, faults_of};

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    /// How many live records each entity has.
    pub records: Vec<(String, u64)>,
    /// What is wrong, each with what to do.
    pub faults: Vec<String>,
}

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
    let mut packages = IndexMap::new();
    let (Some(core), Some(name)) = (Name::parse("core"), Name::parse(&package.app.app.name)) else {
        return vec![Diagnostic::error("/app/name", format!("`{}` is not a name", package.app.app.name))];
    };
    match core_package() {
        Ok(found) => packages.insert(core, Arc::new(found)),
        Err(_) => return vec![Diagnostic::error("", "the core app cannot be read")],
    };
    packages.insert(name.clone(), Arc::new(package.clone()));
    let mut found = faults_of(&packages, std::slice::from_ref(&name));
    let prefix = format!("/{name}");
    for fault in &mut found {
        if let Some(rest) = fault.pointer.strip_prefix(&prefix).filter(|rest| rest.starts_with('/')) {
            fault.pointer = rest.to_owned();
        }
        if fault.file.is_none() {
            fault.file = model::package::file_of(&fault.pointer);
        }
    }
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
        self.store()
            .read(move |tx| {
                let mut found = Examined::default();
                for def in &app.schema.entities {
                    found.records.push((def.name.to_string(), tx.count(&app.schema, def.id, &Predicate::True, Binned::Live, None)?));
                }
                let plan = Plan::of(tx, &app.schema)?;
                found.faults.extend(plan.expand.iter().map(|step| format!("the database lacks {step:?}: publish again")));
                found.faults.extend(plan.indexes.iter().map(|step| format!("the database lacks {step:?}: publish again")));
                Ok::<_, Error>(found)
            })
            .await
    }
}
