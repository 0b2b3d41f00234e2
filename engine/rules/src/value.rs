//! In charge of values as documents write them: themselves, or how they are made.
//! Invariant: made in the order from (or text, expr), split, map, scale or format; `find` is the business of the engine.

use std::sync::Arc;

use chrono::NaiveDate;
use model::doc::{ValueRule, ValueSpec};
use model::field::{AcceptContext, Numbers, Reject, Role, TextContext};
use model::{Cells, Code, EntityId, FieldDef, Input, Message, Storage, Value};
use rust_decimal::Decimal;
use serde_json::Value as Json;

use crate::eval::HostFault;
use crate::expr::{EvalFault, Expression, Kind, Place, Use, decimal, fit};
use crate::query::{Column, Moment, Path, SystemView, column_of, resolve_path};
use crate::scope::{Extra, Scope};
use crate::text::{Escape, TextTemplate};

/// A value, compiled.
#[derive(Clone, Debug)]
pub struct CompiledValue {
    how: How,
    rule: ValueRule,
}

#[derive(Clone, Debug)]
enum How {
    Plain(Input),
    /// A path of the record.
    From(Path),
    Text(TextTemplate),
    Expression(Expression),
}

impl CompiledValue {
    /// Compiles `spec` as it stands at `place`.
    ///
    /// # Errors
    /// Every fault found, each with what was likely meant.
    pub fn compile(place: Place<'_>, spec: &ValueSpec) -> Result<Self, Vec<(String, Option<String>)>> {
        let one = |message: String| vec![(message, None)];
        let (how, rule) = match spec {
            ValueSpec::Plain(json) => (How::Plain(Input::from(json)), ValueRule::default()),
            ValueSpec::Rule(rule) => {
                let how = if let Some(from) = rule.from.as_ref().filter(|from| is_given(&place, from)) {
                    let compiled = Expression::compile_at(Place { usage: Use::Value, ..place }, from);
                    How::Expression(compiled.map_err(|faults| faults.into_iter().map(|fault| (fault.message, fault.hint)).collect::<Vec<_>>())?)
                } else if let Some(from) = &rule.from {
                    let path = resolve_path(place.schema, place.entity, from, &SystemView, "").map_err(|fault| one(fault.wording.text("en")))?;
                    How::From(path)
                } else if let Some(text) = &rule.text {
                    How::Text(TextTemplate::compile(text, Escape::None).map_err(one)?)
                } else if let Some(text) = &rule.expr {
                    let compiled = Expression::compile_at(Place { usage: Use::Value, ..place }, text);
                    How::Expression(compiled.map_err(|faults| faults.into_iter().map(|fault| (fault.message, fault.hint)).collect::<Vec<_>>())?)
                } else {
                    return Err(one("a value is made by from, text or expr".to_owned()));
                };
                (how, (**rule).clone())
            }
        };
        Ok(Self { how, rule })
    }

    /// The cells of `field`'s `Value` and `Part` columns.
    ///
    /// # Errors
    /// Where the value does not fit the field.
    pub fn make(&self, scope: &Scope<'_>, field: &FieldDef) -> Result<Vec<Value>, Reject> {
        match self.made(scope, field)? {
            Made::Cells(cells) => Ok(cells),
            Made::Input(input) => accept(field, &input, scope),
        }
    }

    /// The value as somebody would send it for `field`.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn send(&self, scope: &Scope<'_>, field: &FieldDef) -> Result<Input, Reject> {
        match self.made(scope, field)? {
            Made::Cells(cells) => Ok(sent(field, &cells)),
            Made::Input(input) => Ok(input),
        }
    }

    /// The fields of the record, and over its references, that it reads.
    #[must_use]
    pub fn reads(&self) -> Vec<Path> {
        match &self.how {
            How::Plain(_) => Vec::new(),
            How::From(path) => vec![path.clone()],
            How::Expression(expression) => expression.reads().to_vec(),
            How::Text(_) => Vec::new(),
        }
    }

    /// The fields of what is given by `name` that it reads, where it is an expression.
    pub fn reads_of<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Path> {
        let expression = match &self.how {
            How::Expression(expression) => Some(expression),
            How::Plain(_) | How::From(_) | How::Text(_) => None,
        };
        expression.into_iter().flat_map(move |expression| expression.reads_of(name))
    }

    /// The rule that it is made by; the empty one for a plain value.
    #[must_use]
    pub fn rule(&self) -> &ValueRule {
        &self.rule
    }

    fn made(&self, scope: &Scope<'_>, field: &FieldDef) -> Result<Made, Reject> {
        let refused = |message: String| Reject::new(Code::WrongType, Message::new("wrong_type").with("expected", message));
        let input = match &self.how {
            How::Plain(input) => return Ok(Made::Input(input.clone())),
            How::Expression(expression) => {
                let value = expression.eval(scope).map_err(|fault: EvalFault| refused(fault.to_string()))?;
                match expression.kind() {
                    Kind::Record(entity) => pointing(&value, Some(entity), field, scope),
                    _ => input_of(&value),
                }
            }
            How::From(path) => {
                let cells = read(path, scope).map_err(|fault| refused(fault.to_string()))?;
                if self.is_copy() && is_same_kind(path.target(scope.schema), field) {
                    return Ok(Made::Cells(cells));
                }
                match (path.target(scope.schema), cells.first()) {
                    (from, Some(value @ Value::Uuid(_))) if matches!(from.role, Role::Reference(_)) => {
                        pointing(value, from.targets.first().copied(), field, scope)
                    }
                    (from, _) => sent(from, &cells),
                }
            }
            How::Text(template) => Input::Text(render(template, scope).map_err(refused)?),
        };
        let input = transform(&self.rule, input)?;
        Ok(Made::Input(if self.rule.find.is_some() { input } else { shaped(input, field) }))
    }

    /// The value on its own, for no field: a part of a payload.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn alone(&self, scope: &Scope<'_>) -> Result<Input, Reject> {
        let refused = |message: String| Reject::new(Code::WrongType, Message::new("wrong_type").with("expected", message));
        let input = match &self.how {
            How::Plain(input) => return Ok(input.clone()),
            How::Expression(expression) => input_of(&expression.eval(scope).map_err(|fault| refused(fault.to_string()))?),
            How::From(path) => sent(path.target(scope.schema), &read(path, scope).map_err(|fault| refused(fault.to_string()))?),
            How::Text(template) => Input::Text(render(template, scope).map_err(refused)?),
        };
        transform(&self.rule, input)
    }

    /// Whether the value is taken as it is.
    fn is_copy(&self) -> bool {
        let rule = &self.rule;
        rule.split.is_none() && rule.map.is_none() && rule.scale.is_none() && rule.format.is_none() && rule.find.is_none()
    }
}

/// What was made: cells as they are kept, or a value as it is sent.
enum Made {
    Cells(Vec<Value>),
    Input(Input),
}

/// Whether a path begins at something given, not at the record.
fn is_given(place: &Place<'_>, from: &str) -> bool {
    let first = from.split('.').next().unwrap_or_default();
    place.given.iter().any(|(name, _)| name == first)
}

/// The text of a template over a scope, as people read it.
///
/// # Errors
/// Where the template reaches a limit.
pub fn render(template: &TextTemplate, scope: &Scope<'_>) -> Result<String, String> {
    let texts: Vec<(Vec<String>, String)> = template.names().into_iter().map(|name| (name.clone(), text_of(&name, scope))).collect();
    template.render_texts(&texts)
}

/// Whether what one field holds may stand in the other as it is: stored files, which are not sent as they are kept.
fn is_same_kind(from: &FieldDef, to: &FieldDef) -> bool {
    matches!((&from.role, &to.role), (Role::Files { many: a, .. }, Role::Files { many: b, .. }) if a == b)
}

/// The cells of the field at the end of a path; none where a record on the way is gone or binned.
fn read(path: &Path, scope: &Scope<'_>) -> Result<Vec<Value>, HostFault> {
    let mut far: Option<Arc<Cells>> = None;
    for hop in &path.hops {
        let here = far.as_deref().unwrap_or(scope.record);
        let id = scope.schema.entity(hop.from).field(hop.field).cells(here).first().and_then(Value::as_uuid);
        let Some(id) = id else { return Ok(Vec::new()) };
        let deleted = scope.schema.entity(hop.to).slot("deleted_at");
        match scope.lookup.get(hop.to, id)? {
            Some(cells) if deleted.and_then(|slot| cells.get(slot)).is_none_or(Value::is_null) => far = Some(cells),
            Some(_) | None => return Ok(Vec::new()),
        }
    }
    let cells = far.as_deref().unwrap_or(scope.record);
    let field = path.target(scope.schema);
    if field.on_read {
        let moment = Moment { today: scope.params.today(), now: scope.params.now };
        let column = column_of(scope.schema, scope.schema.entity(path.entity), field, moment);
        return Ok(match column {
            Some(Column::Clock(clock, moment)) => vec![clock.value(cells, moment)],
            Some(Column::Slot(_)) | None => Vec::new(),
        });
    }
    Ok(field.cells(cells).to_vec())
}

/// What people see of what a template names: a field of the record or over its references, or something given.
fn text_of(name: &[String], scope: &Scope<'_>) -> String {
    // One of several records given under a name is given by both names together.
    let of_several = name.get(..2).and_then(|both| scope.given(&both.join("."))).map(|given| (given, name.get(2..).unwrap_or_default()));
    match of_several.or_else(|| name.split_first().and_then(|(first, rest)| Some((scope.given(first)?, rest)))) {
        Some((Extra::Record(entity, cells), rest)) => {
            let inner = Scope { entity: *entity, record: cells, extra: &[], ..*scope };
            return text_of(rest, &inner);
        }
        Some((given, rest)) => return text_of_given(given, rest),
        None => {}
    }
    let own = if name.first().is_some_and(|first| first == "record") { name.get(1..).unwrap_or_default() } else { name };
    let text = resolve_path(scope.schema, scope.entity, &own.join("."), &SystemView, "").ok().and_then(|path| {
        let cells = read(&path, scope).ok()?;
        let typed = path.target(scope.schema).typed.clone()?;
        Some(typed.text(&cells, TextContext { locale: scope.locale, zone: scope.params.zone }))
    });
    text.unwrap_or_default()
}

/// A value that was given, as text.
fn text_of_given(given: &Extra<'_>, rest: &[String]) -> String {
    let value = match (given, rest) {
        (Extra::Values(values), [name, ..]) => values.get(name.as_str()).cloned().unwrap_or_default(),
        (Extra::Value(value), _) => value.clone(),
        (Extra::Values(_), []) | (Extra::Record(..), _) => Value::Null,
    };
    let mut input = input_of(&value);
    for name in rest.iter().skip(usize::from(matches!(given, Extra::Values(_)))) {
        input = input.get(name).cloned().unwrap_or(Input::Null);
    }
    match input {
        Input::Null => String::new(),
        Input::Text(text) => text,
        Input::Number(digits) => digits,
        other => other.to_json().to_string(),
    }
}

/// An id as it is sent to a field that points at records: with its entity where the field may point at several.
fn pointing(value: &Value, entity: Option<EntityId>, field: &FieldDef, scope: &Scope<'_>) -> Input {
    match (entity, &field.role) {
        (Some(entity), Role::AnyReference { .. }) if !value.is_null() => {
            let name = Input::Text(scope.schema.entity(entity).name.to_string());
            Input::Map([("entity".to_owned(), name), ("id".to_owned(), input_of(value))].into_iter().collect())
        }
        _ => input_of(value),
    }
}

/// What a field holds, as it would be sent.
fn sent(field: &FieldDef, cells: &[Value]) -> Input {
    let is_empty = cells.first().is_none_or(Value::is_null);
    let Some(typed) = field.typed.as_ref().filter(|typed| !is_empty && typed.sealed_for().is_none()) else { return Input::Null };
    let mut bytes = Vec::new();
    typed.write_json(cells, Numbers::Numbers, &mut bytes);
    Input::parse(&bytes).unwrap_or(Input::Null)
}

/// A number rounded to the digits of its field, or written as text where the field holds text.
pub(crate) fn shaped(input: Input, field: &FieldDef) -> Input {
    let storage = field.typed.as_ref().and_then(|typed| typed.columns().first().map(|column| column.storage));
    match (storage, &input) {
        (Some(storage @ (Storage::Int | Storage::Decimal(_))), Input::Number(digits)) => {
            let fitted = decimal(digits).and_then(|number| fit(Value::Decimal(number), storage).ok());
            fitted.as_ref().map_or(input, input_of)
        }
        (Some(Storage::Text), Input::Number(digits)) => Input::Text(digits.clone()),
        (Some(Storage::Text), Input::Bool(truth)) => Input::Text(truth.to_string()),
        _ => input,
    }
}

fn accept(field: &FieldDef, input: &Input, scope: &Scope<'_>) -> Result<Vec<Value>, Reject> {
    let Some(typed) = &field.typed else { return Ok(Vec::new()) };
    if matches!(input, Input::Null) {
        return Ok(Vec::new());
    }
    let cx = AcceptContext { now: scope.params.now, sibling: &|_| None };
    typed.accept(input, &cx).map_err(|mut rejects| if rejects.is_empty() { Reject::wrong_type("…") } else { rejects.remove(0) })
}

/// A value as it would be sent.
#[must_use]
pub fn input_of(value: &Value) -> Input {
    match value {
        Value::Null | Value::Bytes(_) => Input::Null,
        Value::Bool(truth) => Input::Bool(*truth),
        Value::Int(number) => Input::Number(number.to_string()),
        Value::Decimal(number) => Input::Number(number.to_string()),
        Value::Text(text) => Input::Text(text.to_string()),
        Value::Json(json) => Input::from(&**json),
        Value::List(items) => Input::List(items.iter().map(input_of).collect()),
        Value::Date(_) | Value::Time(_) | Value::Timestamp(_) | Value::Uuid(_) => {
            let mut bytes = Vec::new();
            model::json::write_value(value, &mut bytes);
            Input::parse(&bytes).unwrap_or(Input::Null)
        }
    }
}

/// `split`, `map`, then `scale` or `format` of a rule.
///
/// # Errors
/// Where a table lacks the value or the value has not the form.
pub fn transform(rule: &ValueRule, input: Input) -> Result<Input, Reject> {
    let text = |input: &Input| match input {
        Input::Text(text) => Some(text.clone()),
        Input::Number(digits) => Some(digits.clone()),
        Input::Bool(truth) => Some(truth.to_string()),
        Input::Null | Input::List(_) | Input::Map(_) => None,
    };
    if let Some(separator) = &rule.split {
        let Some(whole) = text(&input) else { return Ok(input) };
        let plain = ValueRule { split: None, ..rule.clone() };
        let parts = whole.split(separator.as_str()).map(str::trim).filter(|part| !part.is_empty());
        let items: Result<Vec<Input>, Reject> = parts.map(|part| transform(&plain, Input::Text(part.to_owned()))).collect();
        return items.map(Input::List);
    }
    let mut input = input;
    if let (Some(map), Some(key)) = (&rule.map, text(&input).filter(|key| !key.is_empty())) {
        input = match (map.get(&key), rule.otherwise.as_deref()) {
            (Some(mapped), _) => Input::from(mapped),
            (None, Some(ValueSpec::Plain(json))) => Input::from(json),
            // `{"from": …}` of the same column: what the file says.
            (None, Some(ValueSpec::Rule(_))) => input,
            (None, None) => return Err(Reject::new(Code::OutOfRange, Message::new("not_an_option").with("value", key))),
        };
    }
    if let (Some(scale), Some(digits)) = (&rule.scale, text(&input).filter(|digits| !digits.trim().is_empty())) {
        let factor = match scale {
            Json::String(digits) => decimal(digits),
            other => decimal(&other.to_string()),
        };
        let number = decimal(digits.trim());
        let product = factor.zip(number).and_then(|(factor, number): (Decimal, Decimal)| number.checked_mul(factor));
        let product = product.ok_or_else(|| Reject::wrong_type("1.23"))?;
        return Ok(Input::Number(product.normalize().to_string()));
    }
    if let (Some(format), Some(written)) = (&rule.format, text(&input).filter(|written| !written.trim().is_empty())) {
        return day(&written, format).map(|day| Input::Text(day.to_string())).ok_or_else(|| Reject::bad_format(format));
    }
    Ok(input)
}

/// The day that a text spells in a form such as `dd/MM/yyyy`.
#[must_use]
pub fn day(text: &str, format: &str) -> Option<NaiveDate> {
    let pattern = format.replace("yyyy", "%Y").replace("yy", "%y").replace("MMM", "%b").replace("MM", "%m").replace("dd", "%d");
    let pattern = if pattern.contains("%m") || pattern.contains("%b") { pattern } else { pattern.replace('M', "%m") };
    let pattern = if pattern.contains("%d") { pattern } else { pattern.replacen('d', "%d", 1) };
    NaiveDate::parse_from_str(text.trim(), &pattern).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_split_mapped_and_scaled_in_order() {
        let rule: ValueRule =
            serde_json::from_value(serde_json::json!({"from": "x", "split": ",", "map": {"a": "one"}, "else": {"from": "x"}})).expect("a rule");
        let made = transform(&rule, Input::Text("a, b".to_owned())).expect("made");
        assert_eq!(made, Input::List(vec![Input::Text("one".to_owned()), Input::Text("b".to_owned())]));
        let rule: ValueRule = serde_json::from_value(serde_json::json!({"from": "x", "scale": 100})).expect("a rule");
        assert_eq!(transform(&rule, Input::Text("0.15".to_owned())).expect("made"), Input::Number("15".to_owned()));
        let strict: ValueRule = serde_json::from_value(serde_json::json!({"from": "x", "map": {"a": "one"}})).expect("a rule");
        assert!(transform(&strict, Input::Text("c".to_owned())).is_err());
    }

    #[test]
    fn days_are_read_in_their_form() {
        assert_eq!(day("31/12/2025", "dd/MM/yyyy"), NaiveDate::from_ymd_opt(2025, 12, 31));
        assert_eq!(day("2025.3.5", "yyyy.M.d"), NaiveDate::from_ymd_opt(2025, 3, 5));
        assert_eq!(day("30/02/2025", "dd/MM/yyyy"), None);
    }
}
