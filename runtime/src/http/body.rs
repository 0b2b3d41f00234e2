//! In charge of reading bodies: JSON with its digits kept, within limits.
//! Invariant: a body is never held beyond its limit; what is over is refused by its declared length, or where the limit is passed.
//! Invariant: no NUL, no lone surrogate and no deep nesting gets past here.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use indexmap::IndexMap;
use model::input::Malformed;
use model::{Code, Input, Message, Violation};

use super::problem::Problem;
use crate::state::RuntimeState;

/// The most bytes of a JSON body.
pub const MAX_JSON: usize = 4 << 20;
/// The most members of one object: no entity has as many fields, and each unknown one costs a look at all names.
const MOST_MEMBERS: usize = 1_000;
/// How much of a body that is refused is still read, so that the client sees the answer.
const DRAINED: usize = 64 << 20;
/// How long the next piece of a body may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A body of JSON.
#[derive(Clone, Debug)]
pub struct JsonBody {
    /// What was sent.
    pub bytes: Bytes,
    /// What it says.
    pub input: Input,
}

impl JsonBody {
    /// The object that was sent.
    ///
    /// # Errors
    /// Where it is none.
    pub fn into_map(self) -> Result<IndexMap<String, Input>, Problem> {
        match self.input {
            Input::Map(map) => Ok(map),
            Input::Null | Input::Bool(_) | Input::Number(_) | Input::Text(_) | Input::List(_) => {
                Err(Problem::faults(vec![Violation::at("", Code::Malformed, Message::new("wrong_type").with("expected", "{…}"))]))
            }
        }
    }
}

impl FromRequest<RuntimeState> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &RuntimeState) -> Result<Self, Self::Rejection> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            let message = Message::new("unsupported_media_type").with("expected", "application/json");
            return Err(Problem::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, "malformed", message));
        }
        let bytes = read(&parts.headers, body, MAX_JSON).await?;
        let input = parse(&bytes)?;
        if widest(&input) > MOST_MEMBERS {
            return Err(Problem::of(Code::TooLarge, Message::new("too_many").with("max", MOST_MEMBERS)));
        }
        Ok(Self { bytes, input })
    }
}

/// Whether the content type is JSON, or none is given.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return true };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// Reads JSON; an empty body is an empty object.
///
/// # Errors
/// Where it is malformed.
pub fn parse(bytes: &[u8]) -> Result<Input, Problem> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Input::Map(IndexMap::new()));
    }
    let malformed = |detail: String| Problem::of(Code::Malformed, Message::new("malformed").with("detail", detail));
    let input = Input::parse(bytes).map_err(|fault| match fault {
        Malformed::Syntax(detail) => malformed(detail),
        Malformed::TooDeep => malformed("nested deeper than 64 levels".to_owned()),
    })?;
    let may_hold_nul = bytes.windows(5).any(|window| window == b"u0000");
    if may_hold_nul && holds_nul(&input) {
        return Err(Problem::of(Code::Malformed, Message::new("nul")));
    }
    Ok(input)
}

/// The members of the widest object.
fn widest(input: &Input) -> usize {
    match input {
        Input::List(items) => items.iter().map(widest).max().unwrap_or_default(),
        Input::Map(map) => map.values().map(widest).max().unwrap_or_default().max(map.len()),
        Input::Null | Input::Bool(_) | Input::Number(_) | Input::Text(_) => 0,
    }
}

fn holds_nul(input: &Input) -> bool {
    match input {
        Input::Text(text) => text.contains('\0'),
        Input::List(items) => items.iter().any(holds_nul),
        Input::Map(map) => map.iter().any(|(key, item)| key.contains('\0') || holds_nul(item)),
        Input::Null | Input::Bool(_) | Input::Number(_) => false,
    }
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// `too_large`, or that it does not come.
pub async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()).and_then(|length| length.parse::<usize>().ok());
    let mut stream = body.into_data_stream();
    let mut held: Vec<u8> = Vec::new();
    let mut over = declared.is_some_and(|length| length > limit);
    let mut seen = 0_usize;
    while !over || declared.unwrap_or(seen) <= DRAINED {
        let Ok(next) = tokio::time::timeout(PATIENCE, stream.next()).await else {
            return Err(Problem::http(StatusCode::REQUEST_TIMEOUT, "busy", Message::new("timed_out")));
        };
        let Some(piece) = next else { break };
        let piece = piece.map_err(|error| Problem::of(Code::Malformed, Message::new("malformed").with("detail", error)))?;
        seen = seen.saturating_add(piece.len());
        over = over || seen > limit;
        if over {
            held = Vec::new();
            if seen > DRAINED {
                break;
            }
        } else {
            held.extend_from_slice(&piece);
        }
    }
    if over { Err(Problem::of(Code::TooLarge, Message::new("too_large").with("max", limit))) } else { Ok(held.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_json_is_refused() {
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
        assert!(parse(br#"{"a": "x\u0000y"}"#).is_err());
        assert!(parse(br#"{"a\u0000": 1}"#).is_err());
        assert!(parse(br#"{"a": "\ud800"}"#).is_err());
        assert!(parse(br#"{"a": "\\u0000 is how NUL is written"}"#).is_ok());
        assert!(parse(b"  ").is_ok());
    }

    #[tokio::test]
    async fn a_body_is_held_to_its_limit() {
        let small = read(&HeaderMap::new(), Body::from("1234"), 4).await;
        assert_eq!(small.ok().as_deref(), Some(&b"1234"[..]));
        let large = read(&HeaderMap::new(), Body::from("12345"), 4).await;
        assert_eq!(large.err().map(|problem| problem.parts().0), Some(413));
    }
}
