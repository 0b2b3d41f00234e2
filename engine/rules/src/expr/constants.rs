//! In charge of constants as the parser gives them: what each is here, in expressions and scripts alike.
//! Invariant: an empty text is nothing, as everywhere.

use model::Value;
use rhai::{Dynamic, Expr};
use rust_decimal::Decimal;

use super::item::Item;
use super::kind::Kind;

/// The value that is written out, and its kind; none where this is no constant that is known here.
pub(crate) fn constant(expr: &Expr) -> Option<(Item, Kind)> {
    match expr {
        Expr::Unit(_) => Some((Item::EMPTY, Kind::Empty)),
        Expr::BoolConstant(truth, _) => Some(of(Value::Bool(*truth), Kind::Truth)),
        Expr::IntegerConstant(number, _) => Some(of(Value::Int(*number), Kind::Number)),
        Expr::CharConstant(character, _) => Some(text(&character.to_string())),
        Expr::StringConstant(written, _) => Some(text(written)),
        Expr::DynamicConstant(value, _) => of_dynamic(value),
        _ => None,
    }
}

/// The same of a value that stands alone, before `=>`.
pub(crate) fn of_dynamic(value: &Dynamic) -> Option<(Item, Kind)> {
    if value.is_unit() {
        return Some((Item::EMPTY, Kind::Empty));
    }
    if let Ok(truth) = value.as_bool() {
        return Some(of(Value::Bool(truth), Kind::Truth));
    }
    if let Ok(number) = value.as_int() {
        return Some(of(Value::Int(number), Kind::Number));
    }
    if let Ok(character) = value.as_char() {
        return Some(text(&character.to_string()));
    }
    match value.clone().into_immutable_string() {
        Ok(written) => Some(text(&written)),
        Err(_) => value.clone().try_cast::<Decimal>().map(|number| of(Value::Decimal(number), Kind::Number)),
    }
}

fn of(value: Value, kind: Kind) -> (Item, Kind) {
    (Item::Value(value), kind)
}

fn text(written: &str) -> (Item, Kind) {
    if written.is_empty() { (Item::EMPTY, Kind::Empty) } else { of(Value::text(written), Kind::Text) }
}
