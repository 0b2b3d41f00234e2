//! In charge of names that may not be, or had better not be, used.

use super::checking::Checking;
use crate::schema::SYSTEM_FIELDS;

/// Names that mean something else in filters, expressions and answers.
const RESERVED: [&str; 7] = ["old", "me", "record", "settings", "titles", "expanded", "q"];

/// The words of Rhai: a field called so is reached as `record["case"]`.
const RHAI_WORDS: [&str; 49] = [
    "as",
    "async",
    "await",
    "break",
    "call",
    "case",
    "catch",
    "const",
    "continue",
    "curry",
    "debug",
    "default",
    "do",
    "else",
    "eval",
    "exit",
    "export",
    "false",
    "fn",
    "for",
    "global",
    "go",
    "goto",
    "if",
    "import",
    "in",
    "is",
    "let",
    "loop",
    "match",
    "module",
    "new",
    "package",
    "print",
    "private",
    "protected",
    "public",
    "return",
    "shared",
    "static",
    "super",
    "switch",
    "sync",
    "this",
    "throw",
    "true",
    "try",
    "while",
    "with",
];

/// The words that Rhai keeps beside those.
const RHAI_MORE: [&str; 10] = ["nil", "null", "spawn", "thread", "until", "use", "var", "void", "yield", "type_of"];

/// Whether `name` may be the name of a field; `computed` ones may not be called `title`, and where a flow runs two names are its own.
pub(super) fn field_name(c: &mut Checking<'_, '_>, at: &str, name: &str, computed: bool, has_flow: bool) {
    if SYSTEM_FIELDS.contains(&name) {
        c.error(at, format!("every record has a field `{name}` of the engine's: give yours another name"));
    } else if RESERVED.contains(&name) || has_flow && matches!(name, "approval_state" | "approvals") {
        c.error(at, format!("`{name}` has a meaning of its own: give the field another name"));
    } else if name == "title" && computed {
        c.error(at, "a record's title is computed already: say how in the entity's `title`");
    } else if RHAI_WORDS.contains(&name) || RHAI_MORE.contains(&name) {
        c.warn(at, format!("`{name}` is a word of the expression language: expressions reach it as record[\"{name}\"]"));
    }
}
