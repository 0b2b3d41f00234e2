//! In charge of reading expressions: Rhai's own parser, with everything closed that one line does not need.
//! Invariant: the parser only builds a tree; nothing is folded or run by it, and no function is known to it.
//! Invariant: a tree that leaves here is at most [`MAX_DEPTH`] deep and its text at most [`MAX_LENGTH`] bytes long.

use std::sync::LazyLock;

use rhai::{AST, Engine, OptimizationLevel, ParseError, ParseErrorType, Position};

use super::{ExpressionFault, Spot};

/// The longest expression, in bytes.
pub const MAX_LENGTH: usize = 4_000;
/// The deepest nesting of an expression.
pub const MAX_DEPTH: usize = 64;

/// A parser that knows no function and folds nothing, for texts of at most so many bytes, nested so deep.
pub(crate) fn closed(depth: usize, length: usize) -> Engine {
    // `new_raw` has no package, so no function, no module resolver, no printing.
    let mut engine = Engine::new_raw();
    engine
        .set_optimization_level(OptimizationLevel::None)
        .set_max_expr_depths(depth, depth)
        .set_max_string_size(length)
        .set_max_array_size(length)
        .set_max_map_size(length)
        .set_max_modules(0)
        .disable_symbol("eval");
    engine
}

/// One parser for all: it holds no state between expressions.
static PARSER: LazyLock<Engine> = LazyLock::new(|| {
    let mut engine = closed(MAX_DEPTH, MAX_LENGTH);
    engine
        .set_max_map_size(1)
        .set_max_functions(0)
        .set_max_variables(0)
        .set_max_call_levels(0)
        .set_allow_anonymous_fn(false)
        .set_allow_looping(false)
        .set_allow_loop_expressions(false)
        .set_allow_statement_expression(false)
        .set_allow_switch_expression(false);
    engine
});

impl From<Position> for Spot {
    fn from(position: Position) -> Self {
        let part = |number: Option<usize>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(1);
        Self { line: part(position.line()), column: part(position.position()) }
    }
}

/// The tree of an expression.
pub(super) fn parse(text: &str) -> Result<AST, ExpressionFault> {
    if text.len() > MAX_LENGTH {
        return Err(ExpressionFault::new(Spot::START, format!("an expression may have {MAX_LENGTH} bytes at most")));
    }
    if text.trim().is_empty() {
        return Err(ExpressionFault::new(Spot::START, "there is no expression here"));
    }
    PARSER.compile_expression(text).map_err(|error| explain(&error))
}

fn explain(error: &ParseError) -> ExpressionFault {
    let message = match error.err_type() {
        ParseErrorType::ExprTooDeep => format!("an expression may be nested {MAX_DEPTH} deep at most"),
        ParseErrorType::Reserved(word) => format!("`{word}` is a word of the language"),
        other => other.to_string(),
    };
    let hint = match error.err_type() {
        ParseErrorType::Reserved(word) if model::name::is_name(word) => Some(format!("write record[\"{word}\"] for a field of that name")),
        other => {
            let text = other.to_string();
            [("'and'", "&&"), ("'or'", "||"), ("'not'", "!"), ("'is'", "=="), ("'='", "==")]
                .into_iter()
                .find(|(word, _)| text.contains(word))
                .map(|(_, sign)| format!("write {sign}"))
        }
    };
    ExpressionFault { hint, ..ExpressionFault::new(Spot::from(error.position()), message) }
}
