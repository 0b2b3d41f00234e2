//! In charge of who may use whom: the floors of the crates, the homes of third-party crates, licences.
//! Invariant: arrows point down only; a third-party crate lives where the table says and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::Value as Json;

use crate::assert_clean;
use crate::tree::root;

/// The floor of each crate; equal floors are strangers to each other.
const FLOORS: &[(&str, u8)] = &[
    ("model", 0),
    ("rules", 1),
    ("store", 2),
    ("flow", 2),
    ("render", 2),
    ("engine", 3),
    ("runtime", 4),
    ("designer", 5),
    ("server", 6),
    ("tests", 7),
];

/// Where a third-party crate may be used. `tests` may use anything. What is in no row may be used nowhere.
const HOMES: &[(&str, &[&str])] = &[
    // Words that every floor speaks.
    ("chrono", &["model", "rules", "store", "flow", "render", "engine", "runtime", "server"]),
    ("chrono-tz", &["model", "rules", "store", "render", "engine"]),
    ("indexmap", &["model", "rules", "flow", "engine", "runtime", "server"]),
    ("rust_decimal", &["model", "rules", "store", "flow", "render", "engine", "runtime"]),
    ("serde", &["model", "rules", "store", "flow", "render", "engine", "runtime", "designer", "server"]),
    ("serde_json", &["model", "rules", "store", "flow", "render", "engine", "runtime", "designer", "server"]),
    ("thiserror", &["model", "rules", "store", "flow", "render", "engine", "runtime", "server"]),
    ("uuid", &["model", "rules", "store", "flow", "render", "engine", "runtime", "designer", "server"]),
    ("parking_lot", &["rules", "store", "engine", "runtime"]),
    // Nouns.
    ("icu_casemap", &["model"]),
    ("icu_normalizer", &["model"]),
    ("json-patch", &["model"]),
    ("jsonschema", &["model", "engine"]),
    ("phonenumber", &["model"]),
    ("regex", &["model"]),
    ("schemars", &["model"]),
    ("unicode-normalization", &["model", "rules"]),
    ("unicode-segmentation", &["model"]),
    ("url", &["model"]),
    // Reasoning.
    ("icu_collator", &["rules"]),
    ("icu_locale_core", &["rules"]),
    ("pinyin", &["rules"]),
    ("rhai", &["rules"]),
    // Texts of apps; our pages, and the routes that fill them.
    ("minijinja", &["rules", "render", "runtime"]),
    // Codes on papers.
    ("qrcode", &["render"]),
    // Tables. The server's benches measure bare SQL.
    ("rusqlite", &["store", "server"]),
    ("sea-orm", &["store", "server"]),
    ("sea-orm-migration", &["store"]),
    // Seals: of cursors and secrets, of vendored files.
    ("hmac", &["store", "engine"]),
    ("sha2", &["store", "render", "engine", "runtime"]),
    // From here up things may wait.
    ("tokio", &["store", "engine", "runtime", "designer", "server"]),
    ("tracing", &["store", "engine", "runtime", "designer", "server"]),
    // Verbs.
    ("arc-swap", &["engine"]),
    ("argon2", &["engine"]),
    ("calamine", &["engine"]),
    ("chacha20poly1305", &["engine"]),
    ("chardetng", &["engine"]),
    // Rules of repetition (RFC 5545): their corner cases are a library's business.
    ("rrule", &["rules"]),
    ("croner", &["engine"]),
    ("csv", &["engine"]),
    ("encoding_rs", &["engine"]),
    ("infer", &["engine"]),
    ("lettre", &["engine"]),
    ("reqwest", &["engine"]),
    ("rust_xlsxwriter", &["engine"]),
    // What speaks to the outside: the roots that it trusts are inside the program.
    ("rustls", &["engine"]),
    ("webpki-roots", &["engine"]),
    ("similar", &["engine"]),
    ("strsim", &["model", "engine"]),
    ("zip", &["engine", "runtime", "designer", "server"]),
    // Shared by verbs and faces.
    ("base64", &["engine", "runtime", "server"]),
    ("bytes", &["engine", "runtime"]),
    ("futures-util", &["engine", "runtime", "server"]),
    ("getrandom", &["engine", "runtime"]),
    ("rust-embed", &["render", "engine", "runtime", "designer", "server"]),
    ("subtle", &["engine", "runtime"]),
    // Faces.
    ("axum", &["runtime", "designer", "server"]),
    ("axum-extra", &["runtime"]),
    ("hyper", &["runtime"]),
    ("hyper-util", &["runtime"]),
    ("percent-encoding", &["runtime"]),
    ("tokio-stream", &["runtime"]),
    ("tower", &["runtime", "designer", "server"]),
    ("tower-http", &["runtime"]),
    // The program.
    ("clap", &["server"]),
    ("indicatif", &["server"]),
    ("mimalloc", &["server"]),
    // What the disk says of its free space, without a line that is unsafe.
    ("rustix", &["server"]),
    ("tempfile", &["server", "engine"]),
    ("toml", &["server"]),
    ("tracing-subscriber", &["server"]),
];

struct Package {
    name: String,
    licence: Option<String>,
    /// Names of what it depends on outside its own tests, with whether that is of the workspace.
    uses: Vec<(String, bool)>,
    ours: bool,
}

fn packages() -> Vec<Package> {
    let host = Command::new("rustc").arg("-vV").output().expect("rustc runs").stdout;
    let host = String::from_utf8_lossy(&host).lines().find_map(|line| line.strip_prefix("host: ").map(str::to_owned)).expect("rustc names its host");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &host])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Json = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    metadata["packages"].as_array().expect("packages").iter().map(package).collect()
}

fn package(json: &Json) -> Package {
    let uses = json["dependencies"].as_array().into_iter().flatten().filter(|dependency| dependency["kind"].as_str() != Some("dev"));
    Package {
        name: json["name"].as_str().unwrap_or_default().to_owned(),
        licence: json["license"].as_str().map(str::to_owned),
        uses: uses.map(|dependency| (dependency["name"].as_str().unwrap_or_default().to_owned(), !dependency["path"].is_null())).collect(),
        ours: json["source"].is_null(),
    }
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, floor)| *floor)
}

#[test]
fn arrows_point_down() {
    let mut faults = Vec::new();
    for package in packages().iter().filter(|package| package.ours) {
        let Some(own) = floor(&package.name) else {
            faults.push(format!("`{}` has no floor", package.name));
            continue;
        };
        for (name, _) in package.uses.iter().filter(|(_, ours)| *ours) {
            if floor(name).is_none_or(|other| other >= own) {
                faults.push(format!("`{}` (floor {own}) may not use `{name}`", package.name));
            }
        }
    }
    assert_clean("floors", &faults);
}

#[test]
fn third_party_crates_stay_at_home() {
    let homes: BTreeMap<&str, BTreeSet<&str>> = HOMES.iter().map(|(name, homes)| (*name, homes.iter().copied().collect())).collect();
    let mut faults = Vec::new();
    for package in packages().iter().filter(|package| package.ours && package.name != "tests") {
        for (name, _) in package.uses.iter().filter(|(_, ours)| !ours) {
            match homes.get(name.as_str()) {
                None => faults.push(format!("`{}` uses `{name}`, which has no home", package.name)),
                Some(allowed) if !allowed.contains(package.name.as_str()) => {
                    faults.push(format!("`{name}` lives in {allowed:?}, not in `{}`", package.name));
                }
                Some(_) => {}
            }
        }
    }
    assert_clean("homes", &faults);
}

#[test]
fn licences_are_allowed() {
    let text = fs::read_to_string(root().join("deny.toml")).expect("deny.toml is there");
    let deny: toml::Value = toml::from_str(&text).expect("deny.toml is TOML");
    let strings = |value: &toml::Value| -> BTreeSet<String> {
        value.as_array().into_iter().flatten().filter_map(toml::Value::as_str).map(str::to_owned).collect()
    };
    let allowed = strings(&deny["licenses"]["allow"]);
    let exceptions: BTreeMap<String, BTreeSet<String>> = deny["licenses"]["exceptions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|exception| (exception["name"].as_str().unwrap_or_default().to_owned(), strings(&exception["allow"])))
        .collect();
    let mut faults = Vec::new();
    for package in packages().iter().filter(|package| !package.ours) {
        let Some(licence) = &package.licence else {
            faults.push(format!("`{}` names no licence", package.name));
            continue;
        };
        let more = exceptions.get(&package.name);
        if !satisfied(licence, &|word| allowed.contains(word) || more.is_some_and(|more| more.contains(word.trim_end_matches('+')))) {
            faults.push(format!("`{}` is under {licence}", package.name));
        }
    }
    assert_clean("licences", &faults);
}

/// Whether an SPDX expression can be satisfied with licences that are `allowed`; `/` is the old way to write OR.
fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let holds = any_of(&mut words, allowed);
    holds && words.peek().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut holds = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        let next = all_of(words, allowed);
        holds = holds || next;
    }
    holds
}

fn all_of(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut holds = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        let next = one(words, allowed);
        holds = holds && next;
    }
    holds
}

fn one(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> bool {
    match words.next() {
        Some("(") => {
            let holds = any_of(words, allowed);
            words.next_if_eq(&")").is_some() && holds
        }
        Some(name) => {
            if words.next_if_eq(&"WITH").is_some() {
                let exception = words.next().unwrap_or_default();
                return allowed(&format!("{name} WITH {exception}"));
            }
            allowed(name)
        }
        None => false,
    }
}

#[test]
fn licence_expressions_are_read() {
    let mit = |word: &str| word == "MIT";
    for (expression, holds) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT/Apache-2.0", true),
        ("MIT OR GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND MIT", true),
        ("(GPL-3.0 OR MPL-2.0) AND MIT", false),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
        ("(MIT", false),
        ("", false),
    ] {
        assert_eq!(satisfied(expression, &mit), holds, "{expression}");
    }
}
