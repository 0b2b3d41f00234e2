//! In charge of the session cookie.
//! Invariant: scripts cannot read it; over TLS it is bound to this host and never leaves TLS.

use axum::http::{HeaderMap, HeaderValue, header};
use engine::auth::SignedIn;

/// The name over TLS: the browser itself holds the prefix to its rules.
const SECURE: &str = "__Host-trellis";
/// The name on loopback, where there is no TLS.
const PLAIN: &str = "trellis";

fn name(secure: bool) -> &'static str {
    if secure { SECURE } else { PLAIN }
}

/// The session's secret that a request carries.
#[must_use]
pub fn read(headers: &HeaderMap, secure: bool) -> Option<&str> {
    let wanted = name(secure);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().split_once('=').filter(|(name, _)| *name == wanted).map(|(_, value)| value))
}

/// What sets it.
#[must_use]
pub fn set(signed_in: &SignedIn, secure: bool) -> Option<HeaderValue> {
    make(&signed_in.secret, signed_in.lives.as_secs(), secure)
}

/// What takes it away.
#[must_use]
pub fn clear(secure: bool) -> Option<HeaderValue> {
    make("", 0, secure)
}

fn make(value: &str, seconds: u64, secure: bool) -> Option<HeaderValue> {
    let flag = if secure { "; Secure" } else { "" };
    HeaderValue::from_str(&format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{flag}", name(secure))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_cookie_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("a=b; trellis=trs_x; __Host-trellis=trs_y"));
        assert_eq!(read(&headers, false), Some("trs_x"));
        assert_eq!(read(&headers, true), Some("trs_y"));
        assert_eq!(read(&HeaderMap::new(), true), None);
    }
}
