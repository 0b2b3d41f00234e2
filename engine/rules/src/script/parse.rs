//! In charge of reading scripts: Rhai's own parser, with everything closed that is not ours.
//! Invariant: the parser only builds a tree; nothing is folded or run by it, and no function is known to it.
//! Invariant: a text that is nested too deep, or written to overflow a parser, is refused before or by the parser.

use std::sync::LazyLock;

use rhai::{AST, Engine, ParseErrorType};

use crate::expr::parse::closed;
use crate::expr::{ExpressionFault, Spot};

/// The longest script, in bytes.
pub const MAX_LENGTH: usize = 64_000;
/// The deepest nesting of statements and expressions in a function.
pub(super) const MAX_DEPTH: usize = 48;
/// The most functions of a script.
const MAX_FUNCTIONS: usize = 100;
/// The most points and brackets in a row: `a.b.c[1].d`.
const MAX_CHAIN: usize = 64;

static PARSER: LazyLock<Engine> = LazyLock::new(|| {
    let mut engine = closed(MAX_DEPTH, MAX_LENGTH);
    engine.set_max_functions(MAX_FUNCTIONS).disable_symbol("import").disable_symbol("export");
    engine
});

/// The tree of a script.
pub(super) fn parse(text: &str) -> Result<AST, ExpressionFault> {
    if text.len() > MAX_LENGTH {
        return Err(ExpressionFault::new(Spot::START, format!("a script may have {MAX_LENGTH} bytes at most")));
    }
    if let Some(spot) = long_chain(text) {
        return Err(ExpressionFault::new(spot, format!("at most {MAX_CHAIN} names may be joined by points and brackets")));
    }
    PARSER.compile(text).map_err(|error| {
        let message = match error.err_type() {
            ParseErrorType::ExprTooDeep => format!("a script may be nested {MAX_DEPTH} deep at most"),
            ParseErrorType::Reserved(word) => match word.as_str() {
                "import" | "export" => "a script has no modules".to_owned(),
                word => format!("`{word}` cannot be used here"),
            },
            other => other.to_string(),
        };
        ExpressionFault::new(Spot::from(error.position()), message)
    })
}

/// Where a chain of points and brackets is longer than allowed: the parser would go as deep as it is long.
fn long_chain(text: &str) -> Option<Spot> {
    let (mut line, mut column) = (1, 0);
    let (mut links, mut before) = (0, ' ');
    for character in text.chars() {
        column += 1;
        match character {
            '\n' => (line, column) = (line + 1, 0),
            // A range, or a row of dots in a comment.
            '.' if before == '.' => links = 0,
            '.' | '[' => links += 1,
            // What ends an expression ends its chain.
            ';' | ',' | '{' | '}' | '=' | '+' | '-' | '*' | '/' | '<' | '>' | '&' | '|' => links = 0,
            _ => {}
        }
        before = character;
        if links > MAX_CHAIN {
            return Some(Spot { line, column });
        }
    }
    None
}
