//! In charge of what is shown and shipped beside the program: templates, scripts, vendored files, translations.
//! Invariant: a template never turns escaping off and holds nothing that the content security policy would refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::assert_clean;
use crate::tree::{files, root};

#[test]
fn templates_stay_escaped() {
    let mut faults = Vec::new();
    for source in files(&[".html", ".jinja", ".svg"]).iter().filter(|source| source.path.contains("/templates/")) {
        for (index, line) in source.text.lines().enumerate() {
            let squeezed: String = line.split_whitespace().collect();
            if squeezed.contains("|safe") || squeezed.contains("autoescapefalse") {
                faults.push(format!("{}:{} turns escaping off", source.path, index + 1));
            }
        }
    }
    assert_clean("escaping", &faults);
}

#[test]
fn templates_obey_the_content_security_policy() {
    let mut faults = Vec::new();
    for source in files(&[".html", ".jinja"]).iter().filter(|source| source.path.contains("/templates/")) {
        for (index, line) in source.text.lines().enumerate() {
            let fault = if line.contains(" style=\"") || line.contains("<style") {
                "a style inside the page"
            } else if line.contains("hx-on") || has_handler(line) {
                "a handler inside the page"
            } else if line.contains("<script") && !line.contains(" src=") && !line.contains("application/json") {
                "a script inside the page"
            } else if line.contains("href=\"javascript:") {
                "a script as an address"
            } else {
                continue;
            };
            faults.push(format!("{}:{} has {fault}", source.path, index + 1));
        }
    }
    assert_clean("content security policy", &faults);
}

/// Whether an attribute such as `onclick="…"` stands in the line.
fn has_handler(line: &str) -> bool {
    line.match_indices(" on").any(|(at, _)| {
        let rest = &line[at + 3..];
        let name = rest.bytes().take_while(u8::is_ascii_lowercase).count();
        name > 2 && rest[name..].starts_with("=\"")
    })
}

#[test]
fn vendored_files_are_what_the_manifest_says() {
    let folder = root().join("engine/render/assets/vendor");
    let text = fs::read_to_string(folder.join("MANIFEST.toml")).expect("the manifest is there");
    let manifest: toml::Value = toml::from_str(&text).expect("the manifest is TOML");
    let notice = fs::read_to_string(folder.join("NOTICE")).expect("the notice is there");
    let mut faults = Vec::new();
    let mut known = BTreeSet::from(["MANIFEST.toml".to_owned(), "NOTICE".to_owned()]);
    for package in manifest["package"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let version = package["version"].as_str().unwrap_or_default();
        if !notice.contains(&format!("{name} {version}")) {
            faults.push(format!("{name} {version} has no notice"));
        }
        for (file, expected) in package["sha256"].as_table().into_iter().flatten() {
            known.insert(file.clone());
            let bytes = fs::read(folder.join(file)).unwrap_or_default();
            let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            if Some(digest.as_str()) != expected.as_str() {
                faults.push(format!("{file} is not what was vendored"));
            }
        }
    }
    let mut there = Vec::new();
    list(&folder, "", &mut there);
    faults.extend(there.into_iter().filter(|file| !known.contains(file)).map(|file| format!("{file} is in no package")));
    assert_clean("vendored files", &faults);
}

fn list(folder: &std::path::Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("the vendored files can be read").flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            list(&entry.path(), &format!("{name}/"), found);
        } else {
            found.push(name);
        }
    }
}

#[test]
fn translations_have_the_same_keys() {
    let mut folders: BTreeMap<String, Vec<(String, BTreeSet<String>)>> = BTreeMap::new();
    for source in files(&[".json"]) {
        let Some((folder, name)) = source.path.rsplit_once('/') else { continue };
        if folder.ends_with("locales") && !folder.contains("apps/") && !folder.starts_with("examples/") {
            let json: Json = serde_json::from_str(&source.text).unwrap_or_else(|error| panic!("{}: {error}", source.path));
            let mut keys = BTreeSet::new();
            gather("", &json, &mut keys);
            folders.entry(folder.to_owned()).or_default().push((name.to_owned(), keys));
        }
    }
    assert!(!folders.is_empty(), "no translations were found");
    let mut faults = Vec::new();
    for (folder, locales) in &folders {
        let names: Vec<&str> = locales.iter().map(|(name, _)| name.as_str()).collect();
        if names != ["en.json", "zh-CN.json", "zh-TW.json"] {
            faults.push(format!("{folder} has {names:?}"));
        }
        let all: BTreeSet<&String> = locales.iter().flat_map(|(_, keys)| keys).collect();
        for (name, keys) in locales {
            faults.extend(all.iter().filter(|key| !keys.contains(**key)).map(|key| format!("{folder}/{name} lacks {key}")));
        }
    }
    assert_clean("translations", &faults);
}

fn gather(prefix: &str, json: &Json, keys: &mut BTreeSet<String>) {
    match json {
        Json::Object(map) => {
            for (key, value) in map {
                gather(&format!("{prefix}/{key}"), value, keys);
            }
        }
        _ => {
            keys.insert(prefix.to_owned());
        }
    }
}
