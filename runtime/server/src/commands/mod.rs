//! In charge of commands that work on a workspace and end.
//! Invariant: a command speaks to its terminal alone, so it runs the same here and within the server.

use engine::Error;
use engine::auth::Auth;

use crate::cli::{App, Command, Common, Key, User};
use crate::terminal::{self, Terminal, print_error, read_line};
use crate::workspace::{self, Refusal};

mod apps;
mod backup;
mod doctor;
mod exchange;
mod key;
mod people;
mod schema;

/// Runs a command: alone, or within the server that holds the data folder.
pub(crate) async fn run_here_or_there(common: &Common, command: Command) -> u8 {
    let input = wants_input(&command).then(read_line).flatten();
    let folder = match std::env::current_dir() {
        Ok(folder) => folder,
        Err(error) => {
            print_error(&format!("trellis: no current folder: {error}"));
            return crate::FAILED;
        }
    };
    let (terminal, lines) = Terminal::new(folder, input.clone());
    let printing = tokio::spawn(terminal::print(lines));
    let code = match command {
        Command::Schema(schema) => schema::run(&schema, &terminal),
        Command::App(App::Check { path, with }) => apps::check(&path, &with, &terminal),
        Command::App(App::Test { path, with }) => apps::test(&path, &with, &terminal).await,
        Command::Restore(restore) => backup::restore(common, &restore, &terminal),
        Command::Bench(asked) => crate::bench::run(asked, common.database.clone(), terminal.clone()).await,
        command => match workspace::hold(common) {
            Ok(held) => match workspace::open(common, &held).await {
                Ok(engine) => {
                    let code = match command {
                        // Nothing else may write meanwhile: it would use the old key.
                        Command::Key(Key::Rotate) => key::rotate(&engine, &terminal).await,
                        command => {
                            engine.start_jobs();
                            run(command, &Auth::new(engine.clone()), &terminal).await
                        }
                    };
                    engine.jobs().stop();
                    engine.close().await;
                    code
                }
                Err(refusal) => refused(&refusal, &terminal),
            },
            Err(refusal @ Refusal::Held(_)) => match crate::remote::send(&workspace::socket(&common.data), input).await {
                Some(code) => return code,
                None => refused(&refusal, &terminal),
            },
            Err(refusal) => refused(&refusal, &terminal),
        },
    };
    terminal.exit(code);
    printing.await.unwrap_or(crate::FAILED)
}

fn refused(refusal: &Refusal, terminal: &Terminal) -> u8 {
    terminal.complain(format!("trellis: {refusal}"));
    if matches!(refusal, Refusal::Wrong(_)) { crate::WRONG_USE } else { crate::FAILED }
}

fn wants_input(command: &Command) -> bool {
    matches!(command, Command::User(User::Add { password_stdin: true, .. } | User::ResetPassword { password_stdin: true, .. }))
}

/// Runs a command on an open workspace; the exit code. `auth` is the one that requests are checked by: it remembers who is
/// signed in, and must hear of who is not any more.
pub(crate) async fn run(command: Command, auth: &Auth, terminal: &Terminal) -> u8 {
    let engine = auth.engine();
    let done = match command {
        Command::App(App::Install(install)) => apps::install(engine, &install, false, terminal).await,
        Command::App(App::Upgrade(install)) => apps::install(engine, &install, true, terminal).await,
        Command::App(App::Export { name, out }) => apps::export(engine, &name, out.as_deref(), terminal),
        Command::App(App::List) => apps::list(engine, terminal),
        Command::App(App::Check { path, with }) => return apps::check(&path, &with, terminal),
        Command::App(App::Test { path, with }) => return apps::test(&path, &with, terminal).await,
        Command::Import(import) => exchange::import(engine, &import, terminal).await,
        Command::Export(export) => exchange::export(engine, &export, terminal).await,
        Command::Backup(asked) => backup::backup(engine, &asked, terminal).await,
        Command::User(user) => people::user(auth, user, terminal).await,
        Command::Token(token) => people::token(auth, token, terminal).await,
        Command::Doctor(doctor) => doctor::run(engine, doctor, terminal).await,
        Command::Migrate => doctor::migrated(engine, terminal).await,
        Command::Schema(schema) => return schema::run(&schema, terminal),
        Command::Serve(_) | Command::Key(_) | Command::Restore(_) | Command::Bench(_) | Command::BenchBare(_) => {
            terminal.complain("trellis: a server works on this data folder: end it first");
            Ok(crate::FAILED)
        }
    };
    done.unwrap_or_else(|error| {
        complain(&error, terminal);
        crate::FAILED
    })
}

/// Every fault of an error, a line each.
fn complain(error: &Error, terminal: &Terminal) {
    match error {
        Error::Invalid(faults) => {
            for fault in faults {
                let place = if fault.pointer.is_empty() { String::new() } else { format!("{}: ", fault.pointer) };
                terminal.complain(format!("{place}{} ({})", fault.wording.text("en"), fault.code));
            }
        }
        Error::Documents(faults) => {
            for fault in faults {
                terminal.complain(apps::line(fault));
            }
        }
        Error::Conflicts(conflicts) => {
            terminal.complain("trellis: the workspace and the new version both changed this; choose with --choose POINTER=ours|theirs:");
            for conflict in conflicts {
                let shown = |value: &Option<serde_json::Value>| value.as_ref().map_or_else(|| "(nothing)".to_owned(), ToString::to_string);
                terminal.complain(format!("{}\n  ours:   {}\n  theirs: {}", conflict.pointer, shown(&conflict.ours), shown(&conflict.theirs)));
            }
        }
        Error::Unplaced(values) => {
            terminal.complain("trellis: records have what goes; say where they go with --target ENTITY.FIELD:FROM=TO:");
            for unplaced in values {
                let (field, value, count) = (&unplaced.field, &unplaced.value, unplaced.count);
                terminal.complain(format!("{field}:{value}: {count} record(s); to one of {}", unplaced.offered.join(", ")));
            }
        }
        Error::Duplicates(found) => {
            for likeness in found {
                terminal.complain(format!("{} ({})", likeness.wording.text("en"), model::Code::DuplicateFound));
            }
        }
        Error::NotFound => terminal.complain("trellis: there is no such thing"),
        error => terminal.complain(format!("trellis: {error}")),
    }
}
