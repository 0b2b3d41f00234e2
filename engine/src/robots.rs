//! In charge of the robots of chats: WeCom, DingTalk, Feishu, Slack, each in the form that its pages document.
//! Invariant: a robot answers 200 to what it refuses: its own code says whether it took a message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value as Json, json};
use sha2::Sha256;

/// The robots that are known.
pub(crate) const ROBOTS: [&str; 4] = ["wecom", "dingtalk", "feishu", "slack"];

/// The longest text that a robot takes, in bytes: the least of them all.
const LONGEST: usize = 2_000;

/// A message in a robot's form; none where there is no such robot.
pub(crate) fn message(kind: &str, subject: &str, text: &str) -> Option<Json> {
    let whole = if text.is_empty() { subject.to_owned() } else { format!("{subject}\n{text}") };
    let whole = cut(&whole);
    match kind {
        "wecom" => Some(json!({"msgtype": "text", "text": {"content": whole}})),
        "dingtalk" => Some(json!({"msgtype": "text", "text": {"content": whole}})),
        "feishu" => Some(json!({"msg_type": "text", "content": {"text": whole}})),
        "slack" => Some(json!({"text": whole})),
        _ => None,
    }
}

/// The address and body as they are sent at `now`: with a signature where the robot has a secret.
pub(crate) fn signed(kind: &str, url: String, body: Vec<u8>, secret: Option<&str>, now: DateTime<Utc>) -> (String, Vec<u8>) {
    let Some(secret) = secret.filter(|secret| !secret.is_empty()) else { return (url, body) };
    match kind {
        "dingtalk" => {
            let stamp = now.timestamp_millis();
            let sign = hash(secret.as_bytes(), format!("{stamp}\n{secret}").as_bytes());
            let joint = if url.contains('?') { '&' } else { '?' };
            let sign: String =
                sign.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("%{:02X}", u32::from(c)) }).collect();
            (format!("{url}{joint}timestamp={stamp}&sign={sign}"), body)
        }
        "feishu" => {
            let stamp = now.timestamp();
            let sign = hash(format!("{stamp}\n{secret}").as_bytes(), b"");
            let mut json: Json = serde_json::from_slice(&body).unwrap_or_default();
            if let Some(map) = json.as_object_mut() {
                map.insert("timestamp".to_owned(), stamp.to_string().into());
                map.insert("sign".to_owned(), sign.into());
            }
            (url, json.to_string().into_bytes())
        }
        _ => (url, body),
    }
}

/// Why a robot did not take a message that it answered with 200.
pub(crate) fn refusal(kind: &str, body: &[u8]) -> Option<String> {
    let keys: [&str; 2] = match kind {
        "wecom" | "dingtalk" => ["errcode", "errmsg"],
        "feishu" => ["code", "msg"],
        _ => return None,
    };
    let json: Json = serde_json::from_slice(body).ok()?;
    let code = json.get(keys[0]).and_then(Json::as_i64)?;
    (code != 0).then(|| format!("{code}: {}", json.get(keys[1]).and_then(Json::as_str).unwrap_or_default()))
}

fn hash(key: &[u8], text: &[u8]) -> String {
    // Any length is a key.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mut mac| {
            mac.update(text);
            STANDARD.encode(mac.finalize().into_bytes())
        })
        .unwrap_or_default()
}

fn cut(text: &str) -> &str {
    let mut end = LONGEST.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_robot_has_its_form() {
        for kind in ROBOTS {
            assert!(message(kind, "Hello", "there").is_some_and(|json| json.to_string().contains("Hello\\nthere")), "{kind}");
        }
        assert_eq!(message("pigeon", "a", "b"), None);
    }

    #[test]
    fn signatures_are_where_each_robot_looks() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).expect("a moment");
        let (url, _) = signed("dingtalk", "https://x/robot?access_token=t".to_owned(), Vec::new(), Some("SEC"), now);
        assert!(url.starts_with("https://x/robot?access_token=t&timestamp=1700000000000&sign="), "{url}");
        let (_, body) = signed("feishu", "https://x".to_owned(), b"{\"msg_type\":\"text\"}".to_vec(), Some("SEC"), now);
        let json: Json = serde_json::from_slice(&body).expect("json");
        assert_eq!(json["timestamp"], "1700000000");
        assert!(json["sign"].as_str().is_some_and(|sign| sign.len() == 44));
    }

    #[test]
    fn a_refusal_is_read_from_the_answer() {
        assert_eq!(refusal("wecom", br#"{"errcode":0,"errmsg":"ok"}"#), None);
        assert_eq!(refusal("dingtalk", br#"{"errcode":310000,"errmsg":"sign not match"}"#), Some("310000: sign not match".to_owned()));
        assert_eq!(refusal("feishu", br#"{"code":19021,"msg":"sign match fail"}"#), Some("19021: sign match fail".to_owned()));
        assert_eq!(refusal("slack", b"ok"), None);
    }
}
