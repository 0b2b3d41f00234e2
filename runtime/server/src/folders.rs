//! In charge of commands on folders alone: checking and testing an app, writing schemas.
//! Invariant: no workspace is opened; a fault ends with code 1.

use std::path::Path;

use engine::packages::read_folder;
use model::Severity;
use model::doc::Package;

use crate::commands::{diagnostic, told};

/// Checks an app: what it says, and whether the app may be published.
///
/// # Errors
/// Every fault, one a line.
pub fn check(folder: &Path) -> Result<String, String> {
    let package = read_folder(folder).map_err(|error| told(&error))?;
    let found = engine::examine_package(&package);
    let text: String = found.iter().map(|fault| format!("{}\n", diagnostic(fault))).collect();
    let errors = found.iter().filter(|fault| fault.severity == Severity::Error).count();
    if errors > 0 {
        return Err(format!("{text}{errors} error(s)"));
    }
    Ok(format!("{text}{}: no errors\n", package.app.app.name))
}

/// Runs an app's scenarios.
///
/// # Errors
/// The scenarios that failed, each with its step and reason.
pub async fn test(folder: &Path) -> Result<String, String> {
    let package: Package = read_folder(folder).map_err(|error| told(&error))?;
    let outcomes = engine::scenarios::run_all(&package, &[]).await.map_err(|error| told(&error))?;
    let mut text = String::new();
    for outcome in &outcomes {
        text.push_str(&match &outcome.failure {
            None => format!("ok      {} — {}\n", outcome.name, outcome.label),
            Some((step, reason)) => format!("FAILED  {} — {}\n        step {step}: {reason}\n", outcome.name, outcome.label),
        });
    }
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    text.push_str(&format!("{} passed, {failed} failed\n", outcomes.len() - failed));
    if failed > 0 { Err(text) } else { Ok(text) }
}

/// Writes the JSON Schemas.
///
/// # Errors
/// Where the folder cannot be written.
pub fn schemas(out: Option<&Path>) -> Result<String, String> {
    let all = model::schemas::all();
    let Some(folder) = out else {
        return serde_json::to_string_pretty(&all).map(|text| text + "\n").map_err(|error| error.to_string());
    };
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    for (name, schema) in &all {
        let text = serde_json::to_string_pretty(schema).map_err(|error| error.to_string())?;
        std::fs::write(folder.join(format!("{name}.json")), text + "\n").map_err(|error| error.to_string())?;
    }
    Ok(format!("{} schemas written to {}\n", all.len(), folder.display()))
}
