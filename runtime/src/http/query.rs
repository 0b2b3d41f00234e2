//! In charge of the part of an address behind the question mark.
//! Invariant: a parameter that is not known here is a fault: a misspelt filter must not mean "everything".

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use model::{Code, Message, Violation};
use percent_encoding::percent_decode_str;

use super::problem::Problem;
use crate::state::RuntimeState;

/// The most parameters of an address or fields of a form: no entity has as many fields, and each is held against all others.
const MOST: usize = 2_000;

/// The parameters, in order.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl FromRequestParts<RuntimeState> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &RuntimeState) -> Result<Self, Self::Rejection> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

impl Query {
    /// Reads `name=value&…`.
    ///
    /// # Errors
    /// Where a part is no UTF-8 or holds NUL, or a parameter comes twice.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == MOST {
                return Err(Problem::of(Code::TooLarge, Message::new("too_many").with("max", MOST)));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(wrong(pair, "no UTF-8 without NUL"));
            };
            if pairs.iter().any(|(there, _)| *there == name) {
                return Err(wrong(&name, "given twice"));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Parameters that are there already, each once.
    #[must_use]
    pub fn of(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// The value of a parameter, where it is there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
    }

    /// All parameters, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a parameter, where it is there and not empty.
    #[must_use]
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Names separated by commas.
    #[must_use]
    pub fn names(&self, name: &str) -> Option<Vec<String>> {
        self.filled(name).map(|text| text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    /// Whether a parameter says yes.
    ///
    /// # Errors
    /// Where it says neither yes nor no.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(other) => Err(wrong(name, &format!("`{other}` is neither true nor false"))),
        }
    }

    /// How many rows are asked for. A number out of any range is handed on as one that is out of the list's.
    ///
    /// # Errors
    /// Where it is no number.
    pub fn limit(&self) -> Result<Option<u32>, Problem> {
        let Some(text) = self.get("limit") else { return Ok(None) };
        let number: i128 = text.parse().map_err(|_| wrong("limit", &format!("`{text}` is no whole number")))?;
        Ok(Some(u32::try_from(number.clamp(0, i128::from(u32::MAX))).unwrap_or(u32::MAX)))
    }

    /// That nothing else is asked.
    ///
    /// # Errors
    /// One fault for each parameter that is not among `known`.
    pub fn only(&self, known: &[&str]) -> Result<(), Problem> {
        let faults: Vec<Violation> = self
            .0
            .iter()
            .filter(|(name, _)| name != "locale" && !known.contains(&name.as_str()))
            .map(|(name, _)| {
                Violation::at(format!("/{}", model::fault::escape_pointer(name)), Code::Malformed, Message::new("unknown_key").with("name", name))
            })
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(Problem::faults(faults)) }
    }
}

/// The fault of a parameter.
#[must_use]
pub fn wrong(name: &str, detail: &str) -> Problem {
    let pointer = format!("/{}", model::fault::escape_pointer(name));
    Problem::faults(vec![Violation::at(pointer, Code::Malformed, Message::new("query_value").with("name", name).with("detail", detail))])
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    (!decoded.contains('\0')).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read() {
        let query = Query::parse("q=a+b%20c&fields=name,account.name&total&limit=99999999999").expect("good");
        assert_eq!(query.get("q"), Some("a b c"));
        assert_eq!(query.names("fields"), Some(vec!["name".to_owned(), "account.name".to_owned()]));
        assert_eq!(query.flag("total").ok(), Some(true));
        assert_eq!(query.limit().ok(), Some(Some(u32::MAX)));
        assert!(query.only(&["q", "fields", "total", "limit"]).is_ok());
        assert!(query.only(&["q"]).is_err());
    }

    #[test]
    fn odd_parameters_are_refused() {
        assert!(Query::parse("q=%ff").is_err());
        assert!(Query::parse("q=%00").is_err());
        assert!(Query::parse("q=1&q=2").is_err());
        let many: Vec<String> = (0..=MOST).map(|number| format!("p{number}=1")).collect();
        assert!(Query::parse(&many.join("&")).is_err());
        assert!(Query::parse("limit=ten").expect("good").limit().is_err());
    }
}
