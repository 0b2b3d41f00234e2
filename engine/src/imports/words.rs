//! In charge of how people write values in files: numbers with commas, days in their country's form, yes and no, labels.
//! Invariant: what is ambiguous is refused, never guessed: 03/04/2026 needs a `format`.
//! Invariant: what a field takes is the field's business; here a cell only comes into the shape that the field reads.

use std::collections::HashMap;

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeZone, Utc};
use chrono_tz::Tz;
use model::field::{Comparable, Currency, Role};
use model::text::fold;
use model::{EntityDef, FieldDef, FieldId, Input, Storage, Value};
use rust_decimal::Decimal;

use crate::published::EntityPlan;

/// What stands before the decimals; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DecimalSign {
    /// 1,234.5
    #[default]
    Point,
    /// 1.234,5
    Comma,
}

/// How a file writes values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// What stands before the decimals.
    pub(crate) decimal: DecimalSign,
    /// The zone of moments without one.
    pub(crate) zone: Tz,
    /// Days that every day and moment is moved by.
    pub(crate) shift: i64,
}

/// A field that a file fills, with what is known of how people write its values.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) field: FieldId,
    pub(crate) name: String,
    storage: Storage,
    many: bool,
    is_reference: bool,
    /// Whether each value has its own currency.
    any_currency: bool,
    /// Options and stages by name and by label in any language.
    options: HashMap<String, String>,
}

impl Target {
    /// What is known of `field`.
    pub(crate) fn of(def: &EntityDef, plan: &EntityPlan, field: &FieldDef) -> Self {
        let storage = field.typed.as_ref().and_then(|typed| typed.columns().first().map(|column| column.storage));
        Self {
            field: field.id,
            name: field.name.to_string(),
            storage: storage.unwrap_or(Storage::Text),
            many: field.typed.as_ref().is_some_and(|typed| typed.comparable() == Comparable::List),
            is_reference: matches!(field.role, Role::Reference(_) | Role::References(_)),
            any_currency: matches!(field.role, Role::Money { currency: Currency::Any, .. }),
            options: options_of(def, plan, field),
        }
    }

    /// Whether it points at records.
    pub(crate) fn is_reference(&self) -> bool {
        self.is_reference
    }

    /// Whether it holds several values.
    pub(crate) fn is_many(&self) -> bool {
        self.many
    }

    /// The value in the shape that the field reads.
    pub(crate) fn fit(&self, value: &Value, habits: Habits) -> Input {
        if !self.many {
            return self.one(value, habits);
        }
        match value {
            Value::Null => Input::Null,
            Value::List(items) => Input::List(items.iter().map(|item| self.one(item, habits)).collect()),
            Value::Json(json) if json.is_array() => Input::from(&**json),
            Value::Text(text) => Input::List(pieces(text).map(|piece| self.one(&Value::text(piece), habits)).collect()),
            other => Input::List(vec![self.one(other, habits)]),
        }
    }

    fn one(&self, value: &Value, habits: Habits) -> Input {
        match value {
            Value::Null => Input::Null,
            Value::Json(json) => Input::from(&**json),
            Value::Uuid(id) => Input::Text(id.to_string()),
            Value::List(items) => Input::List(items.iter().map(|item| self.one(item, habits)).collect()),
            Value::Bool(truth) => match self.storage {
                Storage::Bool => Input::Bool(*truth),
                Storage::Int | Storage::Decimal(_) => Input::Number(u8::from(*truth).to_string()),
                _ => Input::Text(truth.to_string()),
            },
            Value::Int(_) | Value::Decimal(_) => self.number(value, habits),
            Value::Text(text) => self.text(text, habits),
            Value::Date(day) => self.day(*day, habits),
            Value::Timestamp(at) => self.moment(*at, habits),
            Value::Time(_) | Value::Bytes(_) => Input::Text(text_of(value, habits.zone)),
        }
    }

    fn number(&self, value: &Value, habits: Habits) -> Input {
        let digits = text_of(value, habits.zone);
        match self.storage {
            Storage::Int | Storage::Decimal(_) => Input::Number(digits),
            Storage::Bool if digits == "1" => Input::Bool(true),
            Storage::Bool if digits == "0" => Input::Bool(false),
            _ => self.text(&digits, habits),
        }
    }

    fn text(&self, text: &str, habits: Habits) -> Input {
        if !self.options.is_empty() {
            return Input::Text(self.options.get(&fold(text.trim())).map_or(text.trim(), String::as_str).to_owned());
        }
        match self.storage {
            Storage::Bool => truth(text).map_or_else(|| Input::Text(text.to_owned()), Input::Bool),
            Storage::Int | Storage::Decimal(_) if self.any_currency => money(text, habits.decimal),
            Storage::Int | Storage::Decimal(_) => match number(text, habits.decimal) {
                Some(number) => Input::Number(number.to_string()),
                None => Input::Text(text.to_owned()),
            },
            Storage::Date => day(text).map_or_else(|| Input::Text(text.to_owned()), |day| self.day(day, habits)),
            Storage::Timestamp => match local_moment(text, habits.zone) {
                Some(at) => self.moment(at, habits),
                None => Input::Text(text.to_owned()),
            },
            Storage::Time => Input::Text(clock_time(text).unwrap_or_else(|| text.to_owned())),
            Storage::Json => match text.trim_start().as_bytes().first() {
                Some(b'{' | b'[') => Input::parse(text.as_bytes()).unwrap_or_else(|_| Input::Text(text.to_owned())),
                _ => Input::Text(text.to_owned()),
            },
            Storage::Text | Storage::Uuid | Storage::Bytes => Input::Text(unescaped(text).to_owned()),
        }
    }

    fn day(&self, day: NaiveDate, habits: Habits) -> Input {
        match self.storage {
            Storage::Timestamp => {
                let at = moment(NaiveDateTime::new(day, NaiveTime::MIN), habits.zone);
                at.map_or_else(|| Input::Text(day.to_string()), |at| self.moment(at, habits))
            }
            Storage::Date => Input::Text(day.checked_add_signed(Duration::days(habits.shift)).unwrap_or(day).to_string()),
            _ => Input::Text(day.to_string()),
        }
    }

    fn moment(&self, at: DateTime<Utc>, habits: Habits) -> Input {
        match self.storage {
            Storage::Timestamp => {
                let at = at.checked_add_signed(Duration::days(habits.shift)).unwrap_or(at);
                Input::Text(at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
            }
            // A moment is no day unless its time is zero; the field says so.
            _ => Input::Text(text_of(&Value::Timestamp(at), habits.zone)),
        }
    }
}

/// The names of a field's options or stages by their names and labels, folded. A label of two options names neither.
fn options_of(def: &EntityDef, plan: &EntityPlan, field: &FieldDef) -> HashMap<String, String> {
    let mut labels: Vec<(String, String)> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: &str, label: Option<&model::Label>| {
        names.push(name.to_owned());
        let texts: Vec<&str> = match label {
            Some(model::Label::Plain(text)) => vec![text.as_str()],
            Some(model::Label::Localised(texts)) => texts.values().map(String::as_str).collect(),
            None => Vec::new(),
        };
        labels.extend(texts.into_iter().map(|text| (fold(text.trim()), name.to_owned())));
    };
    if let Role::Choice { options, .. } = &field.role {
        options.iter().for_each(|(name, option)| add(name.as_str(), option.label.as_ref()));
    }
    for stage in plan.stages.iter().filter(|stage| def.field(stage.field).id == field.id) {
        for pipeline in stage.pipelines.values() {
            pipeline.doc.stages.iter().for_each(|(name, stage)| add(name.as_str(), stage.label.as_ref()));
        }
    }
    let mut known: HashMap<String, Option<String>> = HashMap::new();
    for (label, name) in labels {
        known.entry(label).and_modify(|there| *there = there.take().filter(|there| *there == name)).or_insert(Some(name));
    }
    let mut options: HashMap<String, String> = known.into_iter().filter_map(|(label, name)| Some((label, name?))).collect();
    options.extend(names.into_iter().map(|name| (fold(&name), name)));
    options
}

/// The parts of a cell that holds several values.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';', '，', '；', '、', '\n']).map(str::trim).filter(|piece| !piece.is_empty())
}

/// A text without the apostrophe that keeps sheets from taking it for a formula.
pub(crate) fn unescaped(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@', '\t', '\r']) => rest,
        Some(_) | None => text,
    }
}

/// Yes or no in the words that files use.
fn truth(text: &str) -> Option<bool> {
    match fold(text.trim()).as_str() {
        "true" | "yes" | "y" | "1" | "on" | "x" | "t" | "ja" | "oui" | "是" | "真" | "有" | "对" | "對" | "✓" | "√" => Some(true),
        "false" | "no" | "n" | "0" | "off" | "f" | "nein" | "non" | "否" | "假" | "无" | "無" | "错" | "錯" | "✗" | "×" => Some(false),
        _ => None,
    }
}

/// The number that a text spells: with groups of thousands, a sign of a currency or of percent.
pub(crate) fn number(text: &str, sign: DecimalSign) -> Option<Decimal> {
    let (group, point) = match sign {
        DecimalSign::Point => (',', '.'),
        DecimalSign::Comma => ('.', ','),
    };
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        Some(inner) => (true, inner),
        None => match text.strip_prefix(['-', '−']) {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        },
    };
    let text = text.trim().trim_start_matches(['$', '€', '£', '¥', '￥']).trim_end_matches(['%', '€', '元']).trim();
    let (whole, fraction) = text.split_once(point).map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let whole = grouped(whole, group)?;
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(&whole) || !fraction.is_none_or(is_digits) || (whole.is_empty() && fraction.is_none_or(str::is_empty)) {
        return scientific(text, sign).map(|number| if negative { -number } else { number });
    }
    let digits = format!("{}{}.{}", if negative { "-" } else { "" }, if whole.is_empty() { "0" } else { &whole }, fraction.unwrap_or_default());
    Decimal::from_str_exact(digits.trim_end_matches('.')).ok()
}

fn scientific(text: &str, sign: DecimalSign) -> Option<Decimal> {
    let plain = if sign == DecimalSign::Comma { text.replace(',', ".") } else { text.to_owned() };
    let has_form = plain.contains(['e', 'E']) && plain.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    has_form.then(|| Decimal::from_scientific(&plain).ok()).flatten()
}

/// Digits without their group signs; none where the groups are not of three.
fn grouped(whole: &str, group: char) -> Option<String> {
    let sign = [group, ' ', '\u{A0}', '\u{202F}', '\''].into_iter().find(|sign| whole.contains(*sign));
    let Some(sign) = sign else { return Some(whole.to_owned()) };
    let mut parts = whole.split(sign);
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let well_formed = (1..=3).contains(&first.len()) && rest.iter().all(|part| part.len() == 3);
    well_formed.then(|| format!("{first}{}", rest.concat()))
}

/// An amount with its currency, `12.50 USD`.
fn money(text: &str, sign: DecimalSign) -> Input {
    let text = text.trim();
    let is_code = |word: &str| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    let split = text
        .split_once(' ')
        .filter(|(code, _)| is_code(code))
        .or_else(|| text.rsplit_once(' ').filter(|(_, code)| is_code(code)).map(|(amount, code)| (code, amount)));
    match split.and_then(|(code, amount)| Some((code, number(amount, sign)?))) {
        Some((code, amount)) => Input::Map(
            [("amount".to_owned(), Input::Number(amount.to_string())), ("currency".to_owned(), Input::Text(code.to_owned()))].into_iter().collect(),
        ),
        None => number(text, sign).map_or_else(|| Input::Text(text.to_owned()), |number| Input::Number(number.to_string())),
    }
}

/// A day in a form that can only be read one way: the year first.
pub(crate) fn day(text: &str) -> Option<NaiveDate> {
    let text = text.trim();
    if let Some(day) = model::field::scalar::read_date(text) {
        return Some(day);
    }
    if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return NaiveDate::parse_from_str(text, "%Y%m%d").ok();
    }
    let text = text.strip_suffix(" 00:00:00").or_else(|| text.strip_suffix(" 0:00")).or_else(|| text.strip_suffix(" 00:00")).unwrap_or(text);
    let mut parts = text.trim_end_matches(['日', '號', '号']).split(['-', '/', '.', '年', '月']).map(str::trim);
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    let day = NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?;
    Some(day)
}

/// A moment: with a zone of its own, else in `zone`.
fn local_moment(text: &str, zone: Tz) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Some(at) = model::field::scalar::read_datetime(text) {
        return Some(at);
    }
    if let Some(day) = day(text) {
        return moment(NaiveDateTime::new(day, NaiveTime::MIN), zone);
    }
    let (date, time) = text.split_once(['T', ' '])?;
    let time = clock_time(time)?;
    let time = NaiveTime::parse_from_str(&time, "%H:%M:%S").ok()?;
    moment(NaiveDateTime::new(day(date)?, time), zone)
}

/// A time of day with seconds.
fn clock_time(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.split_once('.').map_or(text, |(whole, _)| whole);
    let time = ["%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p"].iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok())?;
    Some(time.format("%H:%M:%S").to_string())
}

/// The moment of a local time; one that a change of the clocks leaves out is taken an hour later.
pub(crate) fn moment(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let at = zone.from_local_datetime(&local).earliest().or_else(|| zone.from_local_datetime(&(local + Duration::hours(1))).earliest());
    at.map(|at| at.with_timezone(&Utc))
}

/// A cell as text: what templates, tables of corrections and error files see.
pub(crate) fn text_of(value: &Value, zone: Tz) -> String {
    match value {
        Value::Null | Value::Bytes(_) => String::new(),
        Value::Text(text) => text.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Decimal(number) => number.normalize().to_string(),
        Value::Date(day) => day.to_string(),
        Value::Time(time) => time.format("%H:%M:%S").to_string(),
        Value::Timestamp(at) => at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string(),
        Value::Uuid(id) => id.to_string(),
        Value::Json(json) => json.to_string(),
        Value::List(items) => items.iter().map(|item| text_of(item, zone)).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str, sign: DecimalSign) -> Option<String> {
        number(text, sign).map(|number| number.to_string())
    }

    #[test]
    fn numbers_are_read_exactly_as_people_write_them() {
        let point = DecimalSign::Point;
        for (text, expected) in [
            ("1234.50", "1234.50"),
            ("1,234.5", "1234.5"),
            ("$1,234", "1234"),
            ("￥ 99.90", "99.90"),
            ("15%", "15"),
            ("(5)", "-5"),
            ("-0.10", "-0.10"),
            (".5", "0.5"),
            ("1 234 567", "1234567"),
            ("1.5E3", "1500"),
            ("12345678901234567.89", "12345678901234567.89"),
        ] {
            assert_eq!(digits(text, point).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(digits("1.234,50", DecimalSign::Comma).as_deref(), Some("1234.50"));
        assert_eq!(digits("12,5", DecimalSign::Comma).as_deref(), Some("12.5"));
        for text in ["", "abc", "1,23", "1.2.3", "1,234,5", "--1", "1e", "."] {
            assert_eq!(digits(text, point), None, "{text}");
        }
    }

    #[test]
    fn days_are_read_only_where_they_are_clear() {
        let wanted = NaiveDate::from_ymd_opt(2026, 1, 5);
        for text in ["2026-01-05", "2026/1/5", "2026.01.05", "2026年1月5日", "20260105", "2026-01-05 00:00:00", "2026/1/5 0:00"] {
            assert_eq!(day(text), wanted, "{text}");
        }
        for text in ["05/01/2026", "1/5/26", "2026-02-30", "2026-01", "tomorrow", ""] {
            assert_eq!(day(text), None, "{text}");
        }
    }

    #[test]
    fn moments_without_a_zone_are_local() {
        let zone = chrono_tz::Asia::Shanghai;
        let at = |text: &str| local_moment(text, zone).map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
        assert_eq!(at("2026-01-05 09:30").as_deref(), Some("2026-01-05T01:30:00Z"));
        assert_eq!(at("2026/1/5 9:30:15").as_deref(), Some("2026-01-05T01:30:15Z"));
        assert_eq!(at("2026-01-05T09:30:00Z").as_deref(), Some("2026-01-05T09:30:00Z"));
        assert_eq!(at("2026-01-05").as_deref(), Some("2026-01-04T16:00:00Z"));
        assert_eq!(at("noon"), None);
    }

    #[test]
    fn truth_has_many_words() {
        assert_eq!((truth("Yes"), truth("否"), truth(" 1 "), truth("maybe")), (Some(true), Some(false), Some(true), None));
        assert_eq!((unescaped("'=1+1"), unescaped("'tis")), ("=1+1", "'tis"));
    }
}
