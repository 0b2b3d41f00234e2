//! In charge of finding what is wrong with an app's documents before anything is compiled: all of it at once.
//! Reading order: `check`, `world` (what may be named), `checking` (the words of every check), then one file for a kind of document.
//! Invariant: an app that passes compiles into a schema; expressions and filters are checked where they are understood, in `rules`.
//! Invariant: each fault says the file, the pointer into the app, what is wrong and, where there is one, the likely meant name.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::doc::App;
use crate::fault::{Diagnostic, Severity};
use crate::name::Name;
use crate::package::file_of;
use crate::schema::Layout;

mod app;
mod approvals;
mod automations;
mod checking;
mod clocks;
mod dashboards;
mod entities;
mod exchange;
mod fields;
mod files;
mod forms;
mod limits;
mod locales;
mod pipelines;
mod roles;
mod scenarios;
mod steps;
mod version;
mod views;
mod web_forms;
mod words;
mod work;
mod world;

pub use files::files;
pub use version::{Range, Version};

use checking::Checking;
use world::World;

/// What is wrong with the app called `name`, seen among all apps of the workspace.
#[must_use]
pub fn check(apps: &IndexMap<Name, Arc<App>>, name: &Name) -> Vec<Diagnostic> {
    let Some(app) = apps.get(name) else {
        return vec![Diagnostic::error("", format!("there is no app `{name}`"))];
    };
    let world = World::new(apps);
    let mut checking = Checking::new(&world, name.as_str(), app);
    app::check(&mut checking);
    entities::check(&mut checking);
    pipelines::check(&mut checking);
    forms::check(&mut checking);
    views::check(&mut checking);
    dashboards::check(&mut checking);
    roles::check(&mut checking);
    automations::check(&mut checking);
    approvals::check(&mut checking);
    work::check(&mut checking);
    exchange::check(&mut checking);
    web_forms::check(&mut checking);
    scenarios::check(&mut checking);
    locales::check(&mut checking);
    limits::check(&mut checking);
    let mut found = checking.finish();
    if !found.iter().any(|fault| fault.severity == Severity::Error) {
        found.extend(compile(apps, name));
    }
    found.sort_by(|a, b| (&a.file, &a.pointer).cmp(&(&b.file, &b.pointer)));
    found
}

/// What the compiler of the schema refuses: the net below the checks.
fn compile(apps: &IndexMap<Name, Arc<App>>, name: &Name) -> Vec<Diagnostic> {
    let Err(faults) = crate::schema::build(apps, &Layout::default(), &|_| false, &crate::field::sealed::no_key()) else { return Vec::new() };
    let own = format!("/{name}/");
    faults
        .into_iter()
        .filter_map(|mut fault| {
            fault.pointer = format!("/{}", fault.pointer.strip_prefix(&own)?);
            fault.file = file_of(&fault.pointer);
            Some(fault)
        })
        .collect()
}
