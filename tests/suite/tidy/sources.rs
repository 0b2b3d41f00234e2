//! In charge of what a Rust file must look like: its header, its size, its name, and the words that never ship.
//! Invariant: a room has one purpose, says which, and is small enough to be read in one sitting.

use crate::assert_clean;
use crate::tree::{Source, files, shipped};

/// Above this a file is two rooms.
const MOST_LINES: usize = 600;

fn rust() -> Vec<Source> {
    let sources = files(&[".rs"]);
    assert!(sources.len() > 100, "the tree was not found: {} files", sources.len());
    sources
}

#[test]
fn files_are_one_room() {
    let faults: Vec<String> = files(&[".rs", ".js", ".mjs", ".html"])
        .iter()
        .map(|source| (source, source.text.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(source, lines)| format!("{} has {lines} lines", source.path))
        .collect();
    assert_clean("at most 600 lines", &faults);
}

#[test]
fn headers_say_what_for() {
    let faults: Vec<String> = rust()
        .iter()
        .filter(|source| {
            let header: Vec<&str> = source.text.lines().take_while(|line| line.starts_with("//!")).collect();
            !header.first().is_some_and(|line| line.starts_with("//! In charge of "))
        })
        .map(|source| format!("{} does not begin with `//! In charge of`", source.path))
        .collect();
    assert_clean("headers", &faults);
}

#[test]
fn nothing_is_called_utils() {
    let faults: Vec<String> = files(&[".rs", ".js", ".mjs", ".html"])
        .iter()
        .filter(|source| {
            source.path.split(['/', '.']).any(|part| matches!(part, "util" | "utils" | "helper" | "helpers" | "common" | "misc" | "stuff"))
        })
        .map(|source| format!("{} is named for nothing in particular", source.path))
        .collect();
    assert_clean("names", &faults);
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here so that this file does not contain them.
    let words = [format!("TO{}", "DO"), format!("FIX{}", "ME"), format!("todo{}(", "!"), format!("unimplemented{}(", "!"), format!("#[{}", "ignore")];
    let mut faults = Vec::new();
    for source in files(&[".rs", ".js", ".mjs", ".html", ".css", ".toml", ".md"]) {
        for (index, line) in source.text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(word.as_str())) {
                faults.push(format!("{}:{} says {word}", source.path, index + 1));
            }
        }
    }
    assert_clean("nothing for later", &faults);
}

#[test]
fn nothing_that_ships_may_panic_on_purpose() {
    let mut faults = Vec::new();
    for source in rust().iter().filter(|source| !source.path.contains("tests/") && !source.path.contains("/benches/")) {
        for (number, line) in shipped(&source.text) {
            if line.contains(".unwrap()") || line.contains("panic!(") || line.contains("unreachable!(") {
                faults.push(format!("{}:{number} {}", source.path, line.trim()));
            }
        }
    }
    assert_clean("no panics", &faults);
}

#[test]
fn only_the_dialect_knows_the_database() {
    // Above the store nothing may depend on which database there is; the program names them in its flags.
    let above = ["engine/model/", "engine/rules/", "engine/flow/", "engine/render/", "engine/src/", "runtime/src/", "designer/src/"];
    let mut faults = Vec::new();
    for source in rust().iter().filter(|source| above.iter().any(|folder| source.path.starts_with(folder))) {
        for (number, line) in shipped(&source.text) {
            let lower = line.to_lowercase();
            if ["sqlite", "postgres", "dbbackend", "databasebackend"].iter().any(|word| lower.contains(word)) {
                faults.push(format!("{}:{number} {}", source.path, line.trim()));
            }
        }
    }
    assert_clean("the database is the store's secret", &faults);
}
