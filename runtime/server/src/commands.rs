//! In charge of commands on a workspace: run by the process that owns it.
//! Invariant: what a command says goes into its answer, so that it reads the same whoever ran it.

use std::fmt::Write;
use std::path::Path;

use engine::auth::{Auth, NewToken, NewUser};
use engine::packages::{read_folder, write_folder};
use engine::{Engine, Error};
use model::Diagnostic;

use crate::cli::{AppCommand, Command, TokenCommand, UserCommand};

/// Runs a command: what it says, or why it failed.
///
/// # Errors
/// Why it failed, for people.
pub async fn run(engine: &Engine, command: &Command, input: &str, base: &str) -> Result<String, String> {
    match command {
        Command::App(command) => app(engine, command).await,
        Command::User(command) => user(engine, command, input, base).await,
        Command::Token(TokenCommand::New { email, scope }) => token(engine, email, scope).await,
        Command::Backup { file } => backup(engine, file).await,
        Command::Migrate => Ok("The workspace is up to date.\n".to_owned()),
        Command::Doctor => doctor(engine).await,
        Command::Serve(_) | Command::Schema { .. } => Err("this command needs no workspace".to_owned()),
    }
}

/// An error for people, all faults of it.
#[must_use]
pub fn told(error: &Error) -> String {
    match error {
        Error::Invalid(faults) => faults.iter().map(|fault| format!("{}{} {}", fault.code, fault.pointer, fault.wording.text("en"))).collect::<Vec<_>>().join("\n"),
        Error::Documents(faults) => faults.iter().map(diagnostic).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

/// A fault of a document in a line.
#[must_use]
pub fn diagnostic(fault: &Diagnostic) -> String {
    let file = fault.file.as_deref().unwrap_or("-");
    let kind = match fault.severity {
        model::Severity::Error => "error",
        model::Severity::Warning => "warning",
    };
    let hint = fault.hint.as_ref().map(|hint| format!(" (did you mean `{hint}`?)")).unwrap_or_default();
    format!("{kind}: {file} {}: {}{hint}", fault.pointer, fault.message)
}

async fn app(engine: &Engine, command: &AppCommand) -> Result<String, String> {
    let cx = engine.system();
    match command {
        AppCommand::Install { folder } => {
            let package = read_folder(folder).map_err(|error| told(&error))?;
            let installed = engine.install(&cx, package, "installed from the command line").await.map_err(|error| told(&error))?;
            let mut text: String = installed.warnings.iter().map(|warning| format!("{}\n", diagnostic(warning))).collect();
            for reason in engine::seed::load(engine, &installed.app, installed.upgraded).await.map_err(|error| told(&error))? {
                let _written = writeln!(text, "seed: {reason}");
            }
            let word = if installed.upgraded { "upgraded" } else { "installed" };
            let _written = writeln!(text, "{} {word}, revision {}", installed.app, installed.revision);
            Ok(text)
        }
        AppCommand::Export { name, out } => {
            let package = engine.export_app(&cx, name).map_err(|error| told(&error))?;
            let folder = out.clone().unwrap_or_else(|| name.into());
            write_folder(&package, &folder).map_err(|error| told(&error))?;
            Ok(format!("{name} written to {}\n", folder.display()))
        }
        AppCommand::List => {
            let current = engine.current();
            Ok(current.schema.apps.iter().map(|(name, app)| format!("{name}\t{}\n", app.app.version)).collect())
        }
        AppCommand::Check { .. } | AppCommand::Test { .. } => Err("this command needs no workspace".to_owned()),
    }
}

async fn user(engine: &Engine, command: &UserCommand, input: &str, base: &str) -> Result<String, String> {
    let (auth, cx) = (Auth::new(engine.clone()), engine.system());
    match command {
        UserCommand::Add { email, name, role, department, manager, password_stdin } => {
            let password = password_stdin.then(|| input.lines().next().unwrap_or_default().to_owned());
            let new = NewUser {
                email: email.clone(),
                name: name.clone().unwrap_or_else(|| email.clone()),
                roles: role.clone(),
                department: department.clone(),
                manager: manager.clone(),
                password,
                ..NewUser::default()
            };
            let has_password = new.password.is_some();
            let id = auth.create_user(&cx, new).await.map_err(|error| told(&error))?;
            if has_password {
                return Ok(format!("{email} added\n"));
            }
            let secret = auth.make_link(id).await.map_err(|error| told(&error))?;
            Ok(format!("{email} added; set a password at {base}/reset/{secret}\n"))
        }
        UserCommand::ResetPassword { email } => {
            let id = auth.find_user(email).await.map_err(|error| told(&error))?.ok_or_else(|| format!("there is no user {email}"))?;
            let secret = auth.make_link(id).await.map_err(|error| told(&error))?;
            Ok(format!("set a new password at {base}/reset/{secret}\n"))
        }
        UserCommand::List => {
            let users = auth.list_users(&cx).await.map_err(|error| told(&error))?;
            Ok(users.iter().map(|user| format!("{}\t{}\t{}\t{}\n", user.email, user.name, if user.active { "active" } else { "off" }, user.roles.join(","))).collect())
        }
    }
}

async fn token(engine: &Engine, email: &str, scopes: &[String]) -> Result<String, String> {
    let auth = Auth::new(engine.clone());
    let id = auth.find_user(email).await.map_err(|error| told(&error))?.ok_or_else(|| format!("there is no user {email}"))?;
    let new = NewToken { name: "command line".to_owned(), scopes: scopes.to_vec(), expires_at: None };
    let (secret, _) = auth.make_token(id, new).await.map_err(|error| told(&error))?;
    Ok(format!("{secret}\n"))
}

async fn backup(engine: &Engine, file: &Path) -> Result<String, String> {
    if file.exists() {
        return Err(format!("{} is there already", file.display()));
    }
    engine.store().backup(file.to_path_buf()).await.map_err(|error| error.to_string())?;
    Ok(format!("written to {}\n", file.display()))
}

async fn doctor(engine: &Engine) -> Result<String, String> {
    let found = engine.examine().await.map_err(|error| told(&error))?;
    let mut text = format!("database: {}, revision {}\n", engine.store().dialect_name(), engine.current().revision);
    for (name, count) in &found.records {
        let _written = writeln!(text, "{name}: {count} records");
    }
    if found.faults.is_empty() {
        text.push_str("nothing to mend\n");
        return Ok(text);
    }
    Err(format!("{text}{}", found.faults.join("\n")))
}
