//! In charge of JSON that comes from outside with its digits kept: bodies with record values.
//! Invariant: a number stays the text that was sent; nothing passes through a float.
//! Invariant: nesting is limited, so no input can exhaust the stack.

use indexmap::IndexMap;
use serde_json::value::RawValue;

/// The deepest nesting that is read.
pub const MAX_DEPTH: usize = 64;

/// A JSON value whose numbers are the digits as sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as its digits.
    Number(String),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Input>),
    /// An object; of a key sent twice the last counts.
    Map(IndexMap<String, Input>),
}

/// Why bytes are no JSON that we read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The syntax is wrong, or a string holds a lone surrogate or invalid UTF-8.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than 64 levels")]
    TooDeep,
}

impl Input {
    /// Reads one JSON text.
    ///
    /// # Errors
    /// [`Malformed`] where the bytes are no JSON or nested too deep.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if depth_of(bytes) > MAX_DEPTH {
            return Err(Malformed::TooDeep);
        }
        let raw: &RawValue = serde_json::from_slice(bytes).map_err(syntax)?;
        read(raw.get())
    }

    /// The object, where this is one.
    #[must_use]
    pub fn as_map(&self) -> Option<&IndexMap<String, Input>> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The string, where this is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The array, where this is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Input]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The truth, where this is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The whole number, where this is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// The member `key`, where this is an object that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Input> {
        self.as_map().and_then(|map| map.get(key))
    }

    /// The same as ordinary JSON; a number of more than 15 significant digits becomes a string.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(truth) => (*truth).into(),
            Self::Number(digits) => number_to_json(digits),
            Self::Text(text) => text.clone().into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(map) => map.iter().map(|(key, item)| (key.clone(), item.to_json())).collect(),
        }
    }
}

fn number_to_json(digits: &str) -> serde_json::Value {
    let significant = digits.bytes().filter(u8::is_ascii_digit).count();
    match serde_json::from_str(digits) {
        Ok(number) if significant <= 15 => number,
        Ok(number @ serde_json::Value::Number(_)) if digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => number,
        _ => digits.into(),
    }
}

impl From<&serde_json::Value> for Input {
    fn from(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(truth) => Self::Bool(*truth),
            serde_json::Value::Number(number) => Self::Number(number.to_string()),
            serde_json::Value::String(text) => Self::Text(text.clone()),
            serde_json::Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            serde_json::Value::Object(map) => Self::Map(map.iter().map(|(key, item)| (key.clone(), Self::from(item))).collect()),
        }
    }
}

fn read(text: &str) -> Result<Input, Malformed> {
    let text = text.trim_ascii();
    match text.as_bytes().first() {
        Some(b'n') => Ok(Input::Null),
        Some(b't') => Ok(Input::Bool(true)),
        Some(b'f') => Ok(Input::Bool(false)),
        Some(b'"') => serde_json::from_str(text).map(Input::Text).map_err(syntax),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(syntax)?;
            items.into_iter().map(|item| read(item.get())).collect::<Result<_, _>>().map(Input::List)
        }
        Some(b'{') => {
            let members: IndexMap<String, &RawValue> = serde_json::from_str(text).map_err(syntax)?;
            members.into_iter().map(|(key, item)| read(item.get()).map(|item| (key, item))).collect::<Result<_, _>>().map(Input::Map)
        }
        Some(_) => Ok(Input::Number(text.to_owned())),
        None => Err(Malformed::Syntax("no value".to_owned())),
    }
}

fn syntax(error: serde_json::Error) -> Malformed {
    Malformed::Syntax(error.to_string())
}

/// The deepest nesting of brackets outside strings.
fn depth_of(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match (in_string, *byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_string = false,
            (true, _) => {}
            (false, b'"') => in_string = true,
            (false, b'[' | b'{') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            (false, _) => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stay_as_sent() {
        let input = Input::parse(br#"{"a": 0.10, "b": [12345678901234567890.5]}"#).expect("valid");
        assert_eq!(input.get("a"), Some(&Input::Number("0.10".into())));
        assert_eq!(input.get("b").and_then(Input::as_list), Some(&[Input::Number("12345678901234567890.5".into())][..]));
    }

    #[test]
    fn hostile_nesting_and_surrogates_are_refused() {
        let deep = "[".repeat(100_000);
        assert_eq!(Input::parse(deep.as_bytes()), Err(Malformed::TooDeep));
        assert!(Input::parse(br#""\ud800""#).is_err());
        assert!(Input::parse(b"{\"a\": 1").is_err());
        assert!(Input::parse(b"\"\xff\"").is_err());
    }
}
