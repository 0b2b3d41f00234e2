//! In charge of reading the tree: which files belong to the project, and what is in them.
//! Invariant: what git would not track (build output, installed packages, scratch data) is never looked at.

use std::fs;
use std::path::{Path, PathBuf};

/// The top of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).expect("tests/ stands in the repository")
}

/// A file of the project.
pub struct Source {
    /// Its path from the top, with forward slashes.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// Every file whose name ends in one of `endings`, vendored files left out; sorted.
pub fn files(endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root(), &root(), endings, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(top: &Path, folder: &Path, endings: &[&str], found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder of the project can be read").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            let hidden = name.starts_with('.') && name != ".ci" && name != ".config";
            if !hidden && !matches!(name.as_str(), "target" | "node_modules" | "vendor" | "trellis-data") {
                walk(top, &path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending))
            && let Ok(text) = fs::read_to_string(&path)
        {
            let path = path.strip_prefix(top).expect("below the top").to_string_lossy().replace('\\', "/");
            found.push(Source { path, text });
        }
    }
}

/// Rust without its unit tests and without comments: what ships, line by line with its number.
pub fn shipped(text: &str) -> Vec<(usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.trim_start().starts_with("#[cfg(test)]"))
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
        .collect()
}
