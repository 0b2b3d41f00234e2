//! In charge of the papers: decisions are numbered without gaps, the pages are there, links lead somewhere.
//! Invariant: a paper that names a file names one that exists.

use std::fs;

use crate::assert_clean;
use crate::tree::{files, root};

#[test]
fn decisions_are_numbered() {
    let mut numbers: Vec<String> = fs::read_dir(root().join("engine/adr"))
        .expect("engine/adr is there")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    numbers.sort();
    let faults: Vec<String> = numbers
        .iter()
        .enumerate()
        .filter(|(index, name)| !name.starts_with(&format!("{:04}-", index + 1)) || !name.ends_with(".md"))
        .map(|(index, name)| format!("{name} stands where number {:04} is expected", index + 1))
        .collect();
    assert!(!numbers.is_empty(), "no decision is written down");
    assert_clean("numbers of decisions", &faults);
}

#[test]
fn papers_are_there() {
    let papers = [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "engine/ARCHITECTURE.md",
        "engine/GLOSSARY.md",
        "engine/render/assets/vendor/NOTICE",
    ];
    let faults: Vec<String> = papers.iter().filter(|paper| !root().join(paper).is_file()).map(|paper| format!("{paper} is missing")).collect();
    assert_clean("papers", &faults);
}

#[test]
fn links_lead_somewhere() {
    let mut faults = Vec::new();
    for source in files(&[".md"]) {
        let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in links(&source.text) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") && !file.starts_with("mailto:") && !root().join(folder).join(file).exists() {
                faults.push(format!("{} links to {target}", source.path));
            }
        }
    }
    assert_clean("links", &faults);
}

/// The targets of `[text](target)`.
fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|target| !target.contains(char::is_whitespace)).collect()
}
