//! In charge of functions over texts and lists.
//! Invariant: positions and lengths count characters; comparing ignores case and Unicode form.

use model::Value;

use super::{Clock, refused};
use crate::expr::item::{Item, MAX_TEXT, Refusal, holds, whole};

fn text<'a>(name: &str, arguments: &'a [Item], index: usize) -> Result<&'a str, Refusal> {
    match arguments.get(index) {
        Some(Item::Value(Value::Text(text))) => Ok(text),
        Some(Item::Value(Value::Null)) | None => Ok(""),
        Some(other) => Err(refused(name, other)),
    }
}

pub(super) fn upper(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    Item::text(&text("upper", arguments, 0)?.to_uppercase())
}

pub(super) fn lower(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    Item::text(&text("lower", arguments, 0)?.to_lowercase())
}

pub(super) fn trim(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    Item::text(text("trim", arguments, 0)?.trim())
}

pub(super) fn len(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    let count = match arguments.first() {
        Some(Item::Value(Value::Text(text))) => text.chars().count(),
        Some(Item::Value(Value::List(items))) => items.len(),
        Some(other) => return Err(refused("len", other)),
        None => 0,
    };
    i64::try_from(count).map(|count| Item::Value(Value::Int(count))).map_err(|_| Refusal::Overflow)
}

pub(super) fn contains(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    let [list, item] = arguments else { return Ok(Item::truth(false)) };
    holds(list, item).map(Item::truth)
}

pub(super) fn starts_with(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    let (whole, part) = (text("starts_with", arguments, 0)?, text("starts_with", arguments, 1)?);
    Ok(Item::truth(model::text::fold(whole).starts_with(&model::text::fold(part))))
}

pub(super) fn ends_with(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    let (whole, part) = (text("ends_with", arguments, 0)?, text("ends_with", arguments, 1)?);
    Ok(Item::truth(model::text::fold(whole).ends_with(&model::text::fold(part))))
}

/// `replace(text, what, by)`: every `what`, in exactly these letters.
pub(super) fn replace(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    let (whole, what, by) = (text("replace", arguments, 0)?, text("replace", arguments, 1)?, text("replace", arguments, 2)?);
    if what.is_empty() {
        return Item::text(whole);
    }
    // What is refused is counted first, so that a hostile text is never built.
    let times = whole.matches(what).count();
    if times.saturating_mul(by.len()) > MAX_TEXT {
        return Err(Refusal::TooLong);
    }
    Item::text(&whole.replace(what, by))
}

/// `sub_string(text, start, length)`: from the character at `start` on, counted from 0, or from the end where negative.
pub(super) fn sub_string(_: Clock<'_>, arguments: &[Item]) -> Result<Item, Refusal> {
    let whole_text = text("sub_string", arguments, 0)?;
    let position = |index: usize| match arguments.get(index) {
        Some(Item::Value(value)) => {
            value.as_decimal().and_then(whole).map(Some).ok_or_else(|| Refusal::Argument("`sub_string` takes whole numbers".to_owned()))
        }
        Some(other) => Err(refused("sub_string", other)),
        None => Ok(None),
    };
    let count = i64::try_from(whole_text.chars().count()).map_err(|_| Refusal::Overflow)?;
    let start = position(1)?.unwrap_or(0);
    let start = if start < 0 { count.saturating_add(start).max(0) } else { start };
    let length = position(2)?.unwrap_or(count).max(0);
    let skipped = usize::try_from(start).map_err(|_| Refusal::Overflow)?;
    let taken = usize::try_from(length).map_err(|_| Refusal::Overflow)?;
    Item::text(&whole_text.chars().skip(skipped).take(taken).collect::<String>())
}
