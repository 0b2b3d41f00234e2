//! In charge of a record's approvals on its papers: who submitted it, who decided what and when, with words and signatures.
//! Invariant: made from what an approval tells the same reader.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use flow::approval::State;
use model::Message;
use render::paper::{Plain, Shown, Text};
use render::words;
use serde_json::Value as Json;
use store::Tx;
use uuid::Uuid;

use super::data::Data;
use crate::ctx::Ctx;
use crate::error::Error;

/// The side of the square in which a signature is drawn, in its own units.
const SIDE: i64 = 1_000;
/// Points of one drawing.
const MOST_POINTS: usize = 20_000;

/// The approvals of a record that the reader may know of, the newest first.
pub(super) fn of_record(data: &Data<'_, '_>, cx: &Ctx, tx: &Tx, record: Uuid) -> Result<Shown, Error> {
    let mut found = Vec::new();
    for instance in crate::approvals::of_record(tx, record)? {
        match crate::approvals::told_in(cx, tx, instance) {
            Ok(told) => found.push(one(data, cx, &told)?),
            Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Shown::List(found))
}

fn text(json: &Json, key: &str) -> Shown {
    Shown::text(json.get(key).and_then(Json::as_str).unwrap_or_default())
}

fn moment(cx: &Ctx, json: &Json, key: &str) -> Shown {
    let at = json.get(key).and_then(Json::as_str).and_then(|text| text.parse::<DateTime<Utc>>().ok());
    at.map_or(Shown::Empty, |at| {
        Shown::Value(Text {
            text: words::moment(&cx.locale, at.with_timezone(&cx.zone)),
            plain: Plain::Text(at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
            picture: None,
        })
    })
}

fn name(json: &Json, key: &str) -> Shown {
    Shown::text(json.get(key).and_then(|person| person.get("name")).and_then(Json::as_str).unwrap_or_default())
}

/// A word that conditions look at, in the reader's language.
fn word(cx: &Ctx, key: &'static str, plain: &str) -> Shown {
    Shown::Value(Text { text: Message::new(key).text(&cx.locale), plain: Plain::Text(plain.to_owned()), picture: None })
}

fn one(data: &Data<'_, '_>, cx: &Ctx, told: &Json) -> Result<Shown, Error> {
    let state = told.get("state").and_then(|state| serde_json::from_value::<State>(state.clone()).ok());
    let mut acts = Vec::new();
    for event in told.get("timeline").and_then(Json::as_array).into_iter().flatten() {
        if let Some(what) = what(cx, event) {
            acts.push(act(data, cx, event, what)?);
        }
    }
    let title = told.get("title").and_then(Json::as_str).unwrap_or_default().to_owned();
    let parts = [
        ("flow", text(told, "flow_label")),
        ("number", text(told, "number")),
        ("title", Shown::text(title.clone())),
        ("state", state.map_or(Shown::Empty, |state| word(cx, crate::approvals::state_key(state), state.as_str()))),
        ("initiator", name(told, "initiator")),
        ("submitted_at", moment(cx, told, "submitted_at")),
        ("ended_at", moment(cx, told, "ended_at")),
        ("acts", Shown::List(acts)),
    ];
    Ok(Shown::Thing(title, parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect()))
}

/// What was done, where it is something that a paper shows: who asked, who decided, how it came back and ended.
fn what(cx: &Ctx, event: &Json) -> Option<Shown> {
    let kind = event.get("event").and_then(Json::as_str)?;
    let state = event.get("state").and_then(Json::as_str).unwrap_or_default();
    let key = match (kind, state) {
        ("submitted", _) => "act_submitted",
        ("voted", "approved" | "ahead") => "act_approved",
        ("voted", "rejected") => "act_rejected",
        ("returned", _) => "act_returned",
        ("taken_back", _) => "act_taken_back",
        ("opinion_given", _) => "act_opinion",
        ("commented", _) => "act_commented",
        ("ended", "withdrawn") => "act_withdrawn",
        ("ended", "revoked") => "act_revoked",
        ("ended", "ended") => "act_ended",
        _ => return None,
    };
    Some(word(cx, key, key.strip_prefix("act_").unwrap_or(key)))
}

fn act(data: &Data<'_, '_>, cx: &Ctx, event: &Json, what: Shown) -> Result<Shown, Error> {
    let (by, principal) = (event.pointer("/by/id"), event.pointer("/principal/id"));
    // Who decided in somebody's place says for whom.
    let for_person = if principal.is_some() && by.is_some() && by != principal { name(event, "principal") } else { Shown::Empty };
    let person = if by.is_some_and(|by| !by.is_null()) { name(event, "by") } else { name(event, "principal") };
    let opinion = match text(event, "opinion") {
        Shown::Empty => text(event, "text"),
        opinion => opinion,
    };
    let parts: BTreeMap<String, Shown> = [
        ("step", text(event, "label")),
        ("person", person),
        ("for_person", for_person),
        ("what", what),
        ("opinion", opinion),
        ("at", moment(cx, event, "at")),
        ("signature", signature(data, event.get("signature").unwrap_or(&Json::Null))?),
    ]
    .into_iter()
    .map(|(name, part)| (name.to_owned(), part))
    .collect();
    Ok(Shown::Thing(String::new(), parts))
}

/// A signature: the name that was written, and its picture: as it was uploaded, or as it was drawn.
fn signature(data: &Data<'_, '_>, json: &Json) -> Result<Shown, Error> {
    if json.is_null() {
        return Ok(Shown::Empty);
    }
    let text = json.get("name").and_then(Json::as_str).unwrap_or_default().to_owned();
    let file = json.pointer("/file/id").and_then(Json::as_str).and_then(|id| Uuid::try_parse(id).ok());
    let picture = match file {
        Some(id) => data.picture_of(id)?,
        None => drawn(json.get("strokes").unwrap_or(&Json::Null)),
    };
    let plain = if text.is_empty() { Plain::Truth(picture.is_some()) } else { Plain::Text(text.clone()) };
    Ok(Shown::Value(Text { text, plain, picture }))
}

/// Strokes as a picture.
fn drawn(strokes: &Json) -> Option<String> {
    let (mut path, mut points, mut height) = (String::new(), 0, SIDE / 5);
    for stroke in strokes.as_array()? {
        let numbers: Vec<i64> = stroke.as_array().into_iter().flatten().filter_map(Json::as_i64).map(|number| number.clamp(0, SIDE)).collect();
        for (index, pair) in numbers.chunks_exact(2).enumerate() {
            points += 1;
            let [x, y] = pair else { continue };
            height = height.max(y + SIDE / 50);
            path.push_str(&format!("{}{x} {y}", if index == 0 { "M" } else { "L" }));
        }
    }
    if points == 0 || points > MOST_POINTS {
        return None;
    }
    // Only what a path is made of stands in it: no sign of it has a meaning in an address but those that are written out.
    Some(format!(
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {SIDE} {height}'%3E%3Cpath d='{path}' fill='none' stroke='%23112' stroke-width='8' stroke-linecap='round' stroke-linejoin='round'/%3E%3C/svg%3E"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::drawn;

    #[test]
    fn a_drawing_is_a_picture_of_its_own() {
        let picture = drawn(&json!([[1, 2, 3, 4], [-5, 9_999]])).expect("a drawing");
        assert!(picture.starts_with("data:image/svg+xml,") && picture.contains("d='M1 2L3 4M0 1000'"), "{picture}");
        assert_eq!(drawn(&json!([])), None);
        assert_eq!(drawn(&json!(null)), None);
    }
}
