//! In charge of the course of an approval: what happened, who is at it, and who will be, as one list in the reader's words.
//! Invariant: made from what the API answers to the same person; what did not concern people has no line.

use chrono::{DateTime, Utc};
use engine::Ctx;
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::approval::{Changed, changes};
use super::env;
use super::inbox::{color_of, moment, state_text, text};

/// The most points of a drawn signature.
const POINTS: usize = 4_000;
/// The side of the square that a signature is drawn in, in its own units.
const SIDE: i64 = 1_000;

/// A line of the course.
#[derive(Debug, Default, Serialize)]
pub(super) struct Line {
    /// `past`, `open` or `ahead`.
    kind: &'static str,
    icon: &'static str,
    color: &'static str,
    /// Who; several where they are asked at the same time.
    who: String,
    what: String,
    step: String,
    at: String,
    moment: String,
    /// How long it took.
    used: String,
    words: String,
    files: Vec<(String, String)>,
    signature: Option<Signature>,
    /// What was changed with it.
    changes: Vec<Changed>,
}

/// A signature: a name, and a drawing where there is one.
#[derive(Debug, Serialize)]
struct Signature {
    name: String,
    path: String,
    /// How high the drawing is, in its own units.
    height: i64,
}

/// A moment as its reader's clocks show it.
pub(super) fn local(cx: &Ctx, at: DateTime<Utc>) -> String {
    at.with_timezone(&cx.zone).format("%Y-%m-%d %H:%M").to_string()
}

/// How long something took.
pub(super) fn span(locale: &str, seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let told = |key: &str, count: i64| env::text(locale, key).replace("{n}", &count.to_string());
    match () {
        () if minutes < 1 => env::text(locale, "span_moment"),
        () if hours < 1 => told("span_minutes", minutes),
        () if days < 1 => match minutes % 60 {
            0 => told("span_hours", hours),
            rest => format!("{} {}", told("span_hours", hours), told("span_minutes", rest)),
        },
        () => match hours % 24 {
            0 => told("span_days", days),
            rest => format!("{} {}", told("span_days", days), told("span_hours", rest)),
        },
    }
}

struct Teller<'a> {
    cx: &'a Ctx,
    detail: &'a Json,
}

/// The course of an approval.
pub(super) fn course(cx: &Ctx, detail: &Json) -> Vec<Line> {
    let teller = Teller { cx, detail };
    let mut lines = Vec::new();
    let (mut submitted, mut used) = (None, None);
    for event in detail["timeline"].as_array().into_iter().flatten() {
        let at = text(event, "at");
        match text(event, "event") {
            "submitted" => submitted = Some(at),
            // What was sent back and comes again votes for its initiator; the line of the submission says it.
            "voted" if submitted == Some(at) => continue,
            "voted" if text(event, "state") == "returned" => {
                used = event["seconds"].as_i64();
                continue;
            }
            _ => {}
        }
        if let Some(mut line) = teller.past(event, lines.iter().any(|line: &Line| line.icon == "send")) {
            if text(event, "event") == "returned"
                && let Some(seconds) = used.take()
            {
                line.used = span(&cx.locale, seconds);
            }
            lines.push(line);
        }
    }
    lines.extend(teller.open());
    lines.extend(teller.ahead());
    lines
}

impl Teller<'_> {
    fn word(&self, key: &str) -> String {
        env::text(&self.cx.locale, key)
    }

    fn name(&self, id: &str) -> String {
        self.detail["names"].get(id).and_then(Json::as_str).unwrap_or("…").to_owned()
    }

    fn names(&self, ids: Option<&Json>) -> String {
        let ids = ids.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        ids.map(|id| self.name(id)).collect::<Vec<_>>().join(", ")
    }

    fn because(&self, reason: &Json) -> Option<String> {
        reason.get("because").and_then(Json::as_str).map(|word| self.word(&format!("because_{word}")))
    }

    fn past(&self, event: &Json, again: bool) -> Option<Line> {
        let by = event.pointer("/by/name").and_then(Json::as_str).unwrap_or_default();
        let at = moment(event, "at").unwrap_or(self.cx.now);
        let mut line = Line {
            kind: "past",
            who: by.to_owned(),
            step: text(event, "label").to_owned(),
            at: local(self.cx, at),
            moment: at.to_rfc3339(),
            words: text(event, "opinion").to_owned(),
            ..Line::default()
        };
        let mut set = |icon: &'static str, color: &'static str, key: &str| {
            (line.icon, line.color, line.what) = (icon, color, self.word(key));
        };
        match text(event, "event") {
            "submitted" => {
                set("send", "blue", if again { "course_resubmitted" } else { "course_submitted" });
                line.step.clear();
            }
            "voted" => self.voted(event, &mut line)?,
            "visit_ended" => {
                let reason = self.because(event.get("reason")?)?;
                match text(event, "outcome") {
                    "passed" => set("circle-check", "green", "course_passed"),
                    "rejected" => set("circle-x", "red", "course_rejected_itself"),
                    _ => return None,
                }
                line.words = reason;
                line.who = self.word("the_system");
            }
            "visit_opened" => {
                let reason = self.because(event.get("reason")?)?;
                set("info-circle", "gray", "course_others_asked");
                line.words = reason;
                line.who = self.word("the_system");
            }
            "transferred" => {
                set("arrows-exchange", "gray", "course_transferred");
                line.what = format!("{} → {}", line.what, self.name(text(event, "to")));
            }
            "delegated" => {
                set("help", "gray", "course_delegated");
                line.what = format!("{} → {}", line.what, self.name(text(event, "to")));
            }
            "opinion_given" => set("message", "gray", "course_opinion"),
            "recalled" => set("rotate", "gray", "course_recalled"),
            "seats_added" => {
                set("user-plus", "gray", "course_added");
                let added = event["seats"].as_array().into_iter().flatten().filter_map(|seat| seat["principal"].as_str()).map(|id| self.name(id));
                line.what = format!("{} → {}", line.what, added.collect::<Vec<_>>().join(", "));
                line.words = if line.words.is_empty() { self.because(&event["reason"]).unwrap_or_default() } else { line.words };
            }
            "seat_removed" => {
                set("x", "gray", "course_removed");
                line.what = format!("{} → {}", line.what, event.pointer("/principal/name").and_then(Json::as_str).unwrap_or("…"));
            }
            "claimed" => set("user-check", "gray", "course_claimed"),
            "released" => set("rotate", "gray", "course_released"),
            "returned" => {
                set("rotate", "orange", "course_returned");
                line.what = format!("{} → {}", line.what, text(event, "to_label"));
            }
            "copied" => {
                set("copy", "gray", "course_copied");
                line.what = format!("{} → {}", line.what, self.names(event.get("people")));
            }
            "urged" => set("bell", "orange", "course_urged"),
            "commented" => {
                set("message-circle", "gray", "course_commented");
                let mentions = self.names(event.get("mentions"));
                if !mentions.is_empty() {
                    line.what = format!("{} @ {mentions}", line.what);
                }
                text(event, "text").clone_into(&mut line.words);
                line.files = event["files"].as_array().into_iter().flatten().map(file).collect();
            }
            "parked" => {
                set("alert-triangle", "red", "course_parked");
                text(event, "reason").clone_into(&mut line.words);
            }
            "suspended" => set("player-play", "orange", "course_suspended"),
            "resumed" => set("player-play", "gray", "course_resumed"),
            "unlocked" => set("lock", "orange", "course_unlocked"),
            "jumped" => {
                set("route", "orange", "course_jumped");
                line.what = format!("{} → {}", line.what, text(event, "to_label"));
            }
            "revocation_begun" => set("rotate", "orange", "course_revoking"),
            "taken_back" => set("rotate", "orange", "course_taken_back"),
            "restarted" => {
                set("refresh", "orange", "course_restarted");
                line.words = self.because(&event["reason"]).unwrap_or_default();
                line.who = self.word("the_system");
            }
            "ended" => {
                let state = text(event, "state");
                set("flag", color_of(state), "course_ended");
                line.what = format!("{}: {}", line.what, state_text(&self.cx.locale, state));
                line.step.clear();
                if event["reason"].is_null() && line.words.is_empty() {
                    line.who.clear();
                }
            }
            _ => return None,
        }
        if let (Some(pairs), Some(def)) = (event["changes"].as_object(), self.cx.app.schema.find(text(self.detail, "entity"))) {
            line.changes = changes(self.cx, def, pairs);
        }
        Some(line)
    }

    fn voted(&self, event: &Json, line: &mut Line) -> Option<()> {
        (line.icon, line.color) = match text(event, "state") {
            "approved" | "ahead" => ("circle-check", "green"),
            "rejected" => ("circle-x", "red"),
            _ => return None,
        };
        let rejected = line.color == "red";
        let done = event["step_kind"] == "handle";
        line.what = self.word(if rejected {
            "course_rejected"
        } else if done {
            "course_done"
        } else {
            "course_approved"
        });
        if let Some(reason) = self.because(&event["reason"]) {
            line.who = event.pointer("/principal/name").and_then(Json::as_str).map_or_else(|| self.word("the_system"), str::to_owned);
            line.words = if line.words.is_empty() { reason } else { format!("{reason} · {}", line.words) };
        }
        let (by, principal) = (event.pointer("/by/id").and_then(Json::as_str), event.pointer("/principal/id").and_then(Json::as_str));
        if let (Some(by), Some(principal)) = (by, principal)
            && by != principal
        {
            line.who = self.word("for_another").replace("{who}", &line.who).replace("{whom}", &self.name(principal));
        }
        if let Some(seconds) = event["seconds"].as_i64() {
            line.used = span(&self.cx.locale, seconds);
        }
        line.signature = signature(&event["signature"]);
        Some(())
    }

    /// Who is at it.
    fn open(&self) -> Vec<Line> {
        let tasks = self.detail["tasks"].as_array().into_iter().flatten();
        let told = |task: &Json| {
            let name = |key: &str| task.pointer(&format!("/{key}/name")).and_then(Json::as_str);
            let pool = task["pool"].as_array().into_iter().flatten().filter_map(|person| person["name"].as_str()).collect::<Vec<_>>().join(", ");
            let (who, key) = match text(task, "state") {
                "delegated" => (name("delegate").unwrap_or("…").to_owned(), "course_is_asked"),
                "unclaimed" => (pool, "course_may_claim"),
                _ => (name("holder").or(name("principal")).unwrap_or("…").to_owned(), "course_is_at_it"),
            };
            let since = moment(task, "opened_at").map(|at| span(&self.cx.locale, (self.cx.now - at).num_seconds()));
            let due = moment(task, "due_at").map(|at| self.word("due_at").replace("{at}", &local(self.cx, at)));
            Line {
                kind: "open",
                icon: "clock",
                color: "blue",
                who,
                what: self.word(key),
                step: text(task, "label").to_owned(),
                used: since.unwrap_or_default(),
                words: due.unwrap_or_default(),
                ..Line::default()
            }
        };
        tasks.map(told).collect()
    }

    /// Who will be, as it is foreseen now.
    fn ahead(&self) -> Vec<Line> {
        let tasks = self.detail["tasks"].as_array().map_or(&[][..], Vec::as_slice);
        let at_it =
            |step: &str, id: &str| tasks.iter().any(|task| task["step"] == step && ["principal", "holder"].iter().any(|key| task[*key]["id"] == id));
        let mut lines = Vec::new();
        for step in self.detail["path"].as_array().into_iter().flatten() {
            let name = text(step, "step");
            let is_open = tasks.iter().any(|task| task["step"] == name);
            let voted = |id: &str| self.detail["people"].as_array().into_iter().flatten().any(|visit| has_voted(visit, name, id));
            let people: Vec<&str> = step["people"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|person| !is_open || !(at_it(name, text(person, "id")) || voted(text(person, "id"))))
                .map(|person| text(person, "name"))
                .collect();
            if is_open && people.is_empty() {
                continue;
            }
            let automatic = step["automatic"].as_bool().unwrap_or(false);
            lines.push(Line {
                kind: "ahead",
                icon: "circle-dashed",
                color: "gray",
                who: people.join(", "),
                what: if automatic { self.word("course_passes_itself") } else { self.word("course_ahead") },
                step: text(step, "label").to_owned(),
                ..Line::default()
            });
        }
        if let Some(reason) = self.detail["uncertain"].as_str() {
            let what = self.word("course_uncertain");
            lines.push(Line { kind: "ahead", icon: "help", color: "gray", what, words: reason.to_owned(), ..Line::default() });
        }
        lines
    }
}

/// Whether somebody voted in the open visit of a step.
fn has_voted(visit: &Json, step: &str, id: &str) -> bool {
    let open = visit["step"] == step && visit["outcome"].is_null();
    open && visit["seats"].as_array().into_iter().flatten().any(|seat| seat["principal"]["id"] == id && !seat["decided_at"].is_null())
}

fn file(json: &Json) -> (String, String) {
    let id = json["id"].as_str().and_then(|id| Uuid::try_parse(id).ok()).unwrap_or_default();
    (text(json, "name").to_owned(), format!("/api/v1/files/{id}"))
}

/// A signature as it is kept: `{"name", "strokes": [[x, y, x, y, …], …]}`, drawn in a square of its own.
fn signature(json: &Json) -> Option<Signature> {
    if json.is_null() {
        return None;
    }
    let mut path = String::new();
    let (mut points, mut height) = (0, SIDE / 5);
    for stroke in json["strokes"].as_array().into_iter().flatten() {
        let numbers: Vec<i64> = stroke.as_array().into_iter().flatten().filter_map(Json::as_i64).map(|number| number.clamp(0, SIDE)).collect();
        for (index, pair) in numbers.chunks_exact(2).enumerate() {
            points += 1;
            if points > POINTS {
                break;
            }
            if let [x, y] = pair {
                height = height.max(y + SIDE / 50);
                path.push_str(&format!("{}{x} {y}", if index == 0 { "M" } else { "L" }));
            }
        }
    }
    Some(Signature { name: json["name"].as_str().unwrap_or_default().to_owned(), path, height })
}

/// A signature as a form sends it: a typed name, and strokes as JSON.
pub(super) fn signed(name: &str, strokes: &str) -> Option<Json> {
    let strokes: Vec<Vec<i64>> = serde_json::from_str(strokes).unwrap_or_default();
    let drawn = strokes.iter().map(Vec::len).sum::<usize>() > 4 && strokes.iter().map(Vec::len).sum::<usize>() <= POINTS * 2;
    let strokes = if drawn { strokes } else { Vec::new() };
    let name = name.trim();
    (drawn || !name.is_empty()).then(|| serde_json::json!({"name": name, "strokes": strokes}))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn spans_name_their_two_largest_parts() {
        assert_eq!(span("en", 20), "under a minute");
        assert_eq!(span("en", 7_200), "2 h");
        assert_eq!(span("en", 90_060), "1 d 1 h");
        assert_eq!(span("zh-CN", 5_400), "1 小时 30 分钟");
    }

    #[test]
    fn a_signature_is_a_name_or_a_drawing() {
        assert_eq!(signed("  ", "[]"), None);
        assert_eq!(signed("Ann", "nonsense"), Some(json!({"name": "Ann", "strokes": []})));
        let drawn = signed("", "[[1,2,3,4,5,6]]").expect("a drawing");
        assert_eq!(signature(&drawn).expect("drawn").path, "M1 2L3 4L5 6");
        assert_eq!(signature(&json!({"strokes": [[-5, 9_999]]})).expect("kept within").path, "M0 1000");
    }
}
