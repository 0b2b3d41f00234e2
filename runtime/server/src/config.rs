//! In charge of `trellis.toml`: its keys are the flags, as `listen = "…"` at the top or below `[serve]`.
//! Invariant: a key that is no flag is a fault: a misspelt setting must not be passed over.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{ArgAction, Command, Error};
use toml::{Table, Value};

/// The file that is looked for.
const FILE: &str = "trellis.toml";

/// The command with what the file says as its defaults.
pub(crate) fn with_file(command: Command, arguments: &[OsString]) -> Result<Command, Error> {
    let named = named_file(arguments);
    let path = named.clone().unwrap_or_else(|| PathBuf::from(FILE));
    match std::fs::read_to_string(&path) {
        Ok(text) => apply(command, &text, &path),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(command),
        Err(error) => Err(fault(&path, &error)),
    }
}

fn named_file(arguments: &[OsString]) -> Option<PathBuf> {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if text == "--config" {
            return words.next().map(PathBuf::from);
        }
        if let Some(path) = text.strip_prefix("--config=") {
            return Some(PathBuf::from(path));
        }
    }
    std::env::var_os("TRELLIS_CONFIG").map(PathBuf::from)
}

fn fault(path: &Path, what: &dyn std::fmt::Display) -> Error {
    Error::raw(ErrorKind::InvalidValue, format!("{}: {what}\n", path.display()))
}

fn apply(mut command: Command, text: &str, path: &Path) -> Result<Command, Error> {
    let table: Table = text.parse().map_err(|error| fault(path, &error))?;
    for (key, value) in &table {
        let known = |command: &Command| command.get_arguments().any(|argument| argument.get_long() == Some(key));
        command = match value {
            Value::Table(inner) if command.find_subcommand(key).is_some() => {
                for (key, value) in inner {
                    command = below(command, &[table_name(&table, inner)], key, value, path)?;
                }
                command
            }
            value if known(&command) => set(command, key, value, path)?,
            value if command.find_subcommand("serve").is_some_and(known) => below(command, &["serve"], key, value, path)?,
            _ => return Err(fault(path, &format!("there is no setting `{key}`"))),
        };
    }
    Ok(command)
}

/// The key under which a table stands.
fn table_name<'a>(table: &'a Table, inner: &Table) -> &'a str {
    table.iter().find(|(_, value)| value.as_table().is_some_and(|there| std::ptr::eq(there, inner))).map_or("", |(key, _)| key.as_str())
}

fn below(command: Command, names: &[&str], key: &str, value: &Value, path: &Path) -> Result<Command, Error> {
    let Some(name) = names.first() else { return set(command, key, value, path) };
    let is_there = command.find_subcommand(name).is_some_and(|inner| inner.get_arguments().any(|argument| argument.get_long() == Some(key)));
    if !is_there {
        return Err(fault(path, &format!("there is no setting `{key}` of `{name}`")));
    }
    let mut wrong = None;
    let command = command.mut_subcommand(*name, |inner| match set(inner.clone(), key, value, path) {
        Ok(inner) => inner,
        Err(error) => {
            wrong = Some(error);
            inner
        }
    });
    wrong.map_or(Ok(command), Err)
}

fn set(command: Command, key: &str, value: &Value, path: &Path) -> Result<Command, Error> {
    let texts = texts(value).ok_or_else(|| fault(path, &format!("`{key}` is neither a text, a number, a truth nor a list of them")))?;
    let Some(id) = command.get_arguments().find(|argument| argument.get_long() == Some(key)).map(|argument| argument.get_id().clone()) else {
        return Err(fault(path, &format!("there is no setting `{key}`")));
    };
    // Defaults of arguments live as long as the program, and this runs once.
    let texts: Vec<&'static str> = texts.into_iter().map(|text| &*Box::leak(text.into_boxed_str())).collect();
    Ok(command.mut_arg(id, |argument| match argument.get_action() {
        ArgAction::SetTrue if texts.iter().all(|text| *text == "false") => argument,
        _ => argument.default_values(texts),
    }))
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Integer(number) => Some(vec![number.to_string()]),
        Value::Float(number) => Some(vec![number.to_string()]),
        Value::Boolean(truth) => Some(vec![truth.to_string()]),
        Value::Array(items) => items.iter().map(texts).collect::<Option<Vec<_>>>().map(|items| items.concat()),
        Value::Datetime(_) | Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;
    use crate::cli::Cli;

    fn read(text: &str, words: &[&str]) -> Result<Cli, Error> {
        let command = apply(Cli::command(), text, Path::new("trellis.toml"))?;
        Cli::from_arg_matches(&command.try_get_matches_from(words)?)
    }

    #[test]
    fn the_file_is_below_the_command_line() {
        let text = "data = \"from-file\"\nlisten = \"127.0.0.1:9000\"\n[serve]\ndemo = true\nbehind-proxy = [\"10.0.0.0/8\", \"::1\"]\n";
        let cli = read(text, &["trellis", "serve", "--listen", "127.0.0.1:9001"]).expect("good");
        assert_eq!(cli.common.data, PathBuf::from("from-file"));
        let crate::cli::Command::Serve(serve) = cli.command else { unreachable!("serve was asked") };
        assert!(serve.demo);
        assert_eq!(serve.listen.port(), 9001);
        assert_eq!(serve.behind_proxy.len(), 2);
    }

    #[test]
    fn a_misspelt_setting_is_a_fault() {
        assert!(read("lisen = \"x\"", &["trellis", "serve"]).is_err());
        assert!(read("[serve]\nlisen = \"x\"", &["trellis", "serve"]).is_err());
        assert!(read("listen = \"nowhere\"", &["trellis", "serve"]).is_err());
    }
}
