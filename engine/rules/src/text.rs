//! In charge of text templates: titles, mails, values of imports.
//! Invariant: sandboxed: no files, no functions of the host, fuel, depth and output limited; what is refused says why.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

/// The steps that one rendering may take.
const FUEL: u64 = 50_000;
/// The deepest recursion.
const DEPTH: usize = 50;
/// The longest text that comes out, in bytes.
pub const MAX_OUTPUT: usize = 100_000;
/// The longest template, in bytes.
pub const MAX_LENGTH: usize = 50_000;

/// How values are escaped; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// Not at all: the text is escaped where it is shown.
    None,
    /// As HTML.
    Html,
}

/// A part of a plain template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Text(String),
    /// The value of a name, `account.name`.
    Path(String),
}

/// A compiled template.
#[derive(Clone, Debug)]
pub struct TextTemplate {
    source: String,
    escape: Escape,
    names: Vec<Vec<String>>,
    pieces: Option<Vec<Piece>>,
}

fn environment(escape: Escape) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_auto_escape_callback(move |_| match escape {
        Escape::None => AutoEscape::None,
        Escape::Html => AutoEscape::Html,
    });
    environment
}

static PLAIN: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Escape::None));
static HTML: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Escape::Html));

impl TextTemplate {
    /// Compiles a template.
    ///
    /// # Errors
    /// What is wrong with it, with its line.
    pub fn compile(source: &str, escape: Escape) -> Result<Self, String> {
        if source.len() > MAX_LENGTH {
            return Err(format!("a text template may have {MAX_LENGTH} bytes at most"));
        }
        let environment = Self::environment(escape);
        let template = environment.template_from_str(source).map_err(told)?;
        let mut read = template.undeclared_variables(true);
        // The library does not look into what is cut (`text[:80]`): the same template without the cuts tells.
        if let Ok(uncut) = environment.template_from_str(&without_cuts(source)) {
            read.extend(uncut.undeclared_variables(true));
        }
        let mut names: Vec<Vec<String>> = read.into_iter().map(|name| name.split('.').map(str::to_owned).collect()).collect();
        names.sort();
        Ok(Self { source: source.to_owned(), escape, names, pieces: pieces_of(source) })
    }

    fn environment(escape: Escape) -> &'static Environment<'static> {
        match escape {
            Escape::None => &PLAIN,
            Escape::Html => &HTML,
        }
    }

    /// The dotted names that it reads.
    #[must_use]
    pub fn names(&self) -> Vec<Vec<String>> {
        self.names.clone()
    }

    /// Its pieces, where it is only texts and plain names.
    #[must_use]
    pub fn simple(&self) -> Option<&[Piece]> {
        self.pieces.as_deref()
    }

    /// Renders it over values by name.
    ///
    /// # Errors
    /// Where a limit is reached or a value cannot be used so.
    pub fn render(&self, context: &serde_json::Value) -> Result<String, String> {
        let environment = Self::environment(self.escape);
        let template = environment.template_from_str(&self.source).map_err(told)?;
        let mut output = Capped(Vec::new());
        template.render_captured_to(Serde(context), &mut output).map_err(told)?;
        String::from_utf8(output.0).map_err(|error| error.to_string())
    }

    /// Renders it over texts by dotted name.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn render_texts(&self, values: &[(Vec<String>, String)]) -> Result<String, String> {
        let mut root = Tree::default();
        for (name, text) in values {
            root.put(name, text);
        }
        self.render(&root.json())
    }
}

/// Texts by dotted name, on the way to nested values.
#[derive(Default)]
struct Tree {
    text: Option<String>,
    below: BTreeMap<String, Tree>,
}

impl Tree {
    fn put(&mut self, name: &[String], text: &str) {
        match name.split_first() {
            None => self.text = Some(text.to_owned()),
            Some((first, rest)) => self.below.entry(first.clone()).or_default().put(rest, text),
        }
    }

    fn json(&self) -> serde_json::Value {
        if self.below.is_empty() {
            return self.text.clone().map_or(serde_json::Value::Null, serde_json::Value::String);
        }
        self.below.iter().map(|(name, tree)| (name.clone(), tree.json())).collect()
    }
}

/// A buffer that takes so much and no more.
struct Capped(Vec<u8>);

impl std::io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(std::io::Error::other("the text became too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn told(error: minijinja::Error) -> String {
    match error.line() {
        Some(line) => format!("{} (line {line})", error.kind_and_detail()),
        None => error.kind_and_detail(),
    }
}

trait Told {
    fn kind_and_detail(&self) -> String;
}

impl Told for minijinja::Error {
    fn kind_and_detail(&self) -> String {
        match self.detail() {
            Some(detail) => format!("{}: {detail}", self.kind()),
            None => self.kind().to_string(),
        }
    }
}

/// Words of the template language that look like names.
const WORDS: [&str; 6] = ["true", "false", "none", "loop", "self", "super"];

/// A template without its slices: brackets that hold a colon and no bracket.
fn without_cuts(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        match after.split_once([']', '[']) {
            Some((inside, more)) if inside.contains(':') && after[inside.len()..].starts_with(']') => rest = more,
            Some(_) | None => {
                out.push('[');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The pieces of a template that is only texts and `{{ names }}`.
fn pieces_of(source: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    // The renderer drops one line end at the end.
    let mut rest = source.strip_suffix('\n').map_or(source, |text| text.strip_suffix('\r').unwrap_or(text));
    while let Some((before, after)) = rest.split_once("{{") {
        if before.contains("{%") || before.contains("{#") {
            return None;
        }
        let (inside, after) = after.split_once("}}")?;
        let name = inside.trim();
        let is_path = name.split('.').all(model::name::is_name) && !name.split('.').next().is_some_and(|first| WORDS.contains(&first));
        if !is_path {
            return None;
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        pieces.push(Piece::Path(name.to_owned()));
        rest = after;
    }
    if rest.contains("{%") || rest.contains("{#") {
        return None;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_templates_are_pieces() {
        let template = TextTemplate::compile("{{ name }} - {{ account.name }}", Escape::None).expect("compiles");
        assert_eq!(template.simple().map(<[Piece]>::len), Some(3));
        assert_eq!(template.names(), [vec!["account".to_owned(), "name".to_owned()], vec!["name".to_owned()]]);
        let texts = [(vec!["name".to_owned()], "A".to_owned()), (vec!["account".to_owned(), "name".to_owned()], "<B>".to_owned())];
        assert_eq!(template.render_texts(&texts).expect("renders"), "A - <B>");
    }

    #[test]
    fn what_is_cut_is_read() {
        for (source, names) in
            [("{{ text[:80] }}", vec!["text"]), ("{{ (a ~ b)[1:2] }} {{ c.d[:3] }}", vec!["a", "b", "c.d"]), ("{{ text[0] }}", vec!["text"])]
        {
            let template = TextTemplate::compile(source, Escape::None).expect("compiles");
            let read: Vec<String> = template.names().iter().map(|name| name.join(".")).collect();
            assert_eq!(read, names, "{source}");
        }
    }

    #[test]
    fn hostile_templates_end() {
        for source in ["{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}", "{{ 'x' * 1000000000 }}"] {
            let outcome = TextTemplate::compile(source, Escape::None).and_then(|template| template.render(&serde_json::json!({})));
            assert!(outcome.is_err(), "{source}");
        }
        assert!(TextTemplate::compile("{{ name", Escape::None).is_err());
    }
}
