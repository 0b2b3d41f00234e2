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
