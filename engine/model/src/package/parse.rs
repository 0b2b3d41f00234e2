//! In charge of reading the text of a document strictly.
//! Invariant: what is read says the same as what was written: no key twice, no number that a float would change.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};

use crate::fault::{Diagnostic, escape_pointer};

/// The most bytes of one document.
pub const MAX_DOCUMENT: usize = 1_000_000;
/// The most significant digits of a number that is not written as a string.
const MAX_DIGITS: usize = 15;

/// Reads a document; pointers begin with `at`.
///
/// # Errors
/// Every fault of the text.
pub(super) fn document(bytes: &[u8], at: &str) -> Result<Json, Vec<Diagnostic>> {
    if bytes.len() > MAX_DOCUMENT {
        return Err(vec![Diagnostic::error(at, format!("{} bytes: a document has {MAX_DOCUMENT} at most", bytes.len()))]);
    }
    // Editors on Windows put a byte order mark before UTF-8.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let twice = RefCell::new(Vec::new());
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let json = Strict { at: at.to_owned(), twice: &twice }.deserialize(&mut reader).map_err(|error| vec![syntax(&error, at)])?;
    reader.end().map_err(|error| vec![syntax(&error, at)])?;
    let mut faults = twice.into_inner();
    faults.extend(long_numbers(bytes, at));
    if faults.is_empty() { Ok(json) } else { Err(faults) }
}

fn syntax(error: &serde_json::Error, at: &str) -> Diagnostic {
    Diagnostic::error(at, format!("not valid JSON: {error}"))
}

/// Reads a value and notes keys that come twice.
struct Strict<'a> {
    at: String,
    twice: &'a RefCell<Vec<Diagnostic>>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Json, E> {
        Ok(truth.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Number::from_f64(number).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(text.into())
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Strict { at: format!("{}/{}", self.at, list.len()), twice: self.twice })? {
            list.push(item);
        }
        Ok(Json::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut map = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let at = format!("{}/{}", self.at, escape_pointer(&key));
            let value = members.next_value_seed(Strict { at: at.clone(), twice: self.twice })?;
            if map.insert(key.clone(), value).is_some() {
                self.twice.borrow_mut().push(Diagnostic::error(at, format!("`{key}` is written twice")));
            }
        }
        Ok(Json::Object(map))
    }
}

/// Numbers outside strings with more digits than a float keeps.
fn long_numbers(bytes: &[u8], at: &str) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    let (mut in_string, mut escaped, mut start) = (false, false, None);
    for (index, byte) in bytes.iter().enumerate() {
        if in_string {
            (escaped, in_string) = (*byte == b'\\' && !escaped, *byte != b'"' || escaped);
            continue;
        }
        match (byte, start) {
            (b'"', _) => in_string = true,
            (b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E', Some(_)) => {}
            (b'0'..=b'9' | b'-', None) => start = Some(index),
            (_, Some(from)) => {
                faults.extend(long_number(&bytes[from..index], at));
                start = None;
            }
            _ => {}
        }
    }
    faults
}

fn long_number(digits: &[u8], at: &str) -> Option<Diagnostic> {
    let text = std::str::from_utf8(digits).ok()?;
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    let significant: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    (significant.trim_start_matches('0').len() > MAX_DIGITS)
        .then(|| Diagnostic::error(at, format!("{text} has more than {MAX_DIGITS} digits: write it as a string, so that none is lost")))
}

#[cfg(test)]
mod tests {
    use super::document;

    fn messages(text: &str) -> Vec<String> {
        match document(text.as_bytes(), "/x") {
            Ok(_) => Vec::new(),
            Err(faults) => faults.into_iter().map(|fault| format!("{}: {}", fault.pointer, fault.message)).collect(),
        }
    }

    #[test]
    fn a_key_twice_is_told_with_its_place() {
        assert_eq!(messages(r#"{"a": [{"b": 1, "b": 2}], "c": "\"", "c": 3}"#), ["/x/a/0/b: `b` is written twice", "/x/c: `c` is written twice"]);
    }

    #[test]
    fn a_number_keeps_its_digits_or_is_refused() {
        assert_eq!(messages(r#"{"a": 123456789012345, "b": "12345678901234567890", "c": 0.000000000000000001}"#), [] as [&str; 0]);
        assert_eq!(messages(r#"{"a": 1.2345678901234567}"#).len(), 1);
    }

    #[test]
    fn broken_text_is_told_with_line_and_column() {
        assert!(messages("{\n  \"a\": ,\n}")[0].contains("line 2 column"));
        assert!(messages("{} {}")[0].contains("trailing characters"));
        assert!(document(b"\xef\xbb\xbf{}", "").is_ok());
        assert!(document("[".repeat(100_000).as_bytes(), "").is_err());
    }
}
