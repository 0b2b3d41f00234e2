//! In charge of what a page's address says, and of addresses with one thing changed.
//! Invariant: an address that is copied shows the same to whoever may see it.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http::query::Query;

/// Parameters that say what just happened: they are of one visit and go into no other address.
const PASSING: [&str; 5] = ["after", "add", "done", "id", "from"];

/// The parameters that another address of the same page keeps.
pub(super) fn kept(query: &Query) -> impl Iterator<Item = (&str, &str)> {
    query.pairs().filter(|(name, value)| !PASSING.contains(name) && !value.is_empty() && !name.ends_with(BEFORE) && !is_untouched(query, name))
}

/// The name of the input that holds the title that stood in a picker, after the field's.
pub(super) const BEFORE: &str = ":was";
/// The name of the input in which a title is typed where there is no script, after the field's.
pub(super) const TYPED: &str = ":text";

/// Whether a parameter is a title that nobody changed: the id beside it says the same.
pub(super) fn is_untouched(query: &Query, name: &str) -> bool {
    let Some(field) = name.strip_suffix(TYPED) else { return false };
    query.get(name).unwrap_or_default().trim() == query.get(&format!("{field}{BEFORE}")).unwrap_or_default().trim()
}

/// An address with one parameter changed.
pub(super) fn with(path: &str, query: &Query, name: &str, value: Option<&str>) -> String {
    address(path, kept(query).filter(|(key, _)| *key != name).chain(value.map(|value| (name, value))))
}

/// An address without some parameters.
pub(super) fn without(path: &str, query: &Query, names: &[&str]) -> String {
    address(path, kept(query).filter(|(key, _)| !names.contains(key)))
}

/// A path with parameters.
pub(super) fn address<'a>(path: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let text = pairs.map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect::<Vec<_>>().join("&");
    if text.is_empty() { path.to_owned() } else { format!("{path}?{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_what_lasts() {
        let query = Query::parse("f.stage=won&after=abc&done=moved&sort=-name&q=a%26b").expect("good");
        assert_eq!(with("/r/x", &query, "sort", Some("name")), "/r/x?f%2Estage=won&q=a%26b&sort=name");
        assert_eq!(without("/r/x", &query, &["f.stage", "q", "sort"]), "/r/x");
    }
}
