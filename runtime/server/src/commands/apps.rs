//! In charge of `trellis app`: apps checked, tested, installed, exported, listed.

use std::path::{Path, PathBuf};

use engine::{Engine, Error, Wishes};
use model::doc::Package;
use model::{Diagnostic, Severity};

use crate::cli::{Install, Side};
use crate::terminal::Terminal;

/// A fault of a document as a line: file, pointer, what is wrong, what was likely meant.
pub(super) fn line(fault: &Diagnostic) -> String {
    let kind = match fault.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let file = fault.file.clone().or_else(|| model::package::file_of(&fault.pointer));
    let place = match (file, fault.pointer.as_str()) {
        (None, "") => String::new(),
        (None, pointer) => format!("{pointer}: "),
        (Some(file), pointer) => format!("{file} {pointer}: "),
    };
    let hint = fault.hint.as_ref().map(|hint| format!(" (did you mean `{hint}`?)")).unwrap_or_default();
    format!("{kind}: {place}{}{hint}", fault.message)
}

/// Reads an app from a folder or a ZIP file.
fn read(path: &Path, terminal: &Terminal) -> Result<Package, Error> {
    let path = terminal.path(path);
    if path.is_dir() {
        return engine::packages::read_folder(&path);
    }
    let bytes = std::fs::read(&path).map_err(|error| Error::Documents(vec![Diagnostic::error("", format!("{}: {error}", path.display()))]))?;
    engine::packages::read_files(runtime::api::archive::read(&bytes)?)
}

/// The app with those that it builds on, `core` among them.
fn with_others(path: &Path, with: &[PathBuf], terminal: &Terminal) -> Result<(Package, Vec<Package>), Error> {
    let mut others = Vec::new();
    for other in with {
        others.push(read(other, terminal)?);
    }
    Ok((read(path, terminal)?, others))
}

pub(super) fn check(path: &Path, with: &[PathBuf], terminal: &Terminal) -> u8 {
    let faults = match with_others(path, with, terminal).map(|(package, others)| engine::examine_among(&package, &others)) {
        Ok(faults) => faults,
        Err(error) => {
            super::complain(&error, terminal);
            return crate::FAILED;
        }
    };
    for fault in &faults {
        terminal.complain(line(fault));
    }
    let errors = faults.iter().filter(|fault| fault.severity == Severity::Error).count();
    let warnings = faults.len() - errors;
    if errors > 0 {
        terminal.complain(format!("{errors} error(s), {warnings} warning(s)"));
        return crate::FAILED;
    }
    terminal.say(format!("{}: no errors, {warnings} warning(s)", path.display()));
    crate::DONE
}

pub(super) async fn test(path: &Path, with: &[PathBuf], terminal: &Terminal) -> u8 {
    let outcomes = match with_others(path, with, terminal) {
        Ok((package, others)) => engine::scenarios::run_all(&package, &others).await,
        Err(error) => Err(error),
    };
    let outcomes = match outcomes {
        Ok(outcomes) => outcomes,
        Err(error) => {
            super::complain(&error, terminal);
            return crate::FAILED;
        }
    };
    let mut failed = 0;
    for outcome in &outcomes {
        match &outcome.failure {
            None => terminal.say(format!("ok      {}: {}", outcome.name, outcome.label)),
            Some((step, reason)) => {
                failed += 1;
                terminal.complain(format!("FAILED  {}: {}\n        step {step}: {reason}", outcome.name, outcome.label));
            }
        }
    }
    terminal.say(format!("{} scenario(s), {failed} failed", outcomes.len()));
    if failed == 0 { crate::DONE } else { crate::FAILED }
}

/// What a command line says to a publish; the argument that cannot be read, where one cannot.
fn wishes(install: &Install, note: &str) -> Result<Wishes, String> {
    let mut wishes = Wishes::noting(note);
    let side = |side: Side| match side {
        Side::Ours => engine::Side::Ours,
        Side::Theirs => engine::Side::Theirs,
    };
    wishes.choices.otherwise = install.conflicts.map(side);
    for text in &install.choose {
        let chosen = match text.rsplit_once('=') {
            Some((pointer, "ours")) => (pointer, engine::Side::Ours),
            Some((pointer, "theirs")) => (pointer, engine::Side::Theirs),
            _ => return Err(format!("--choose {text}: expected POINTER=ours or POINTER=theirs")),
        };
        wishes.choices.by_pointer.insert(chosen.0.to_owned(), chosen.1);
    }
    for text in &install.target {
        let parts = text.split_once(':').and_then(|(field, rest)| Some((field, rest.split_once('=')?)));
        let Some((field, (from, to))) = parts else { return Err(format!("--target {text}: expected ENTITY.FIELD:FROM=TO")) };
        wishes.targets.entry(field.to_owned()).or_default().insert(from.to_owned(), to.to_owned());
    }
    Ok(wishes)
}

pub(super) async fn install(engine: &Engine, install: &Install, upgrade: bool, terminal: &Terminal) -> Result<u8, Error> {
    let note = if upgrade { "upgraded" } else { "installed" };
    let wishes = match wishes(install, note) {
        Ok(wishes) => wishes,
        Err(wrong) => {
            terminal.complain(format!("trellis: {wrong}"));
            return Ok(crate::WRONG_USE);
        }
    };
    let package = read(&install.path, terminal)?;
    let name = package.app.app.name.clone();
    if upgrade && engine.current().app(&name).is_none() {
        terminal.complain(format!("trellis: `{name}` is not installed; use `trellis app install`"));
        return Ok(crate::FAILED);
    }
    let installed = engine.install_with(&engine.system(), package, wishes).await?;
    for warning in &installed.warnings {
        terminal.complain(line(warning));
    }
    for reason in &installed.seed_faults {
        terminal.complain(reason);
    }
    let did = if installed.upgraded { "upgraded" } else { "installed" };
    terminal.say(format!("{} {did} as revision {}", installed.app, installed.revision));
    Ok(crate::DONE)
}

pub(super) fn export(engine: &Engine, name: &str, out: Option<&Path>, terminal: &Terminal) -> Result<u8, Error> {
    let package = engine.export_app(&engine.system(), name)?;
    let out = terminal.path(out.unwrap_or(Path::new(name)));
    if out.extension().is_some_and(|ending| ending == "zip") {
        let bytes = runtime::api::archive::write(&package.to_files())?;
        std::fs::write(&out, bytes).map_err(|error| Error::Internal(format!("{}: {error}", out.display())))?;
    } else {
        engine::packages::write_folder(&package, &out)?;
    }
    terminal.say(crate::serve::shown(&out));
    Ok(crate::DONE)
}

pub(super) fn list(engine: &Engine, terminal: &Terminal) -> Result<u8, Error> {
    for (name, app) in &engine.current().schema.apps {
        let label = app.app.label.as_ref().map_or(name.as_str(), |label| label.get("en"));
        terminal.say(format!("{name:<24} {:<10} {label}", app.app.version));
    }
    Ok(crate::DONE)
}
