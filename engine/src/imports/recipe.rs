//! In charge of one value of an import document, compiled for one header: from a row's cells to a value.
//! Invariant: made in the order from (or text, expr), split, map, scale or format; `find` comes last, in the transaction.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use chrono::{NaiveDate, NaiveDateTime};
use indexmap::IndexMap;
use model::doc::{ValueRule, ValueSpec};
use model::{Cells, EntityId, FieldId, Value};
use rules::eval::{HostFault, Lookup};
use rules::expr::{Expression, Given, Place, Use};
use rules::query::RelatedVia;
use rules::scope::{Extra, Scope};
use rules::text::{Escape, TextTemplate};
use rust_decimal::Decimal;
use serde_json::Value as Json;
use uuid::Uuid;

use super::plan::Columns;
use super::words::{Habits, moment, number, text_of};
use crate::ctx::Ctx;

/// How a value is made of a row.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    take: Source,
    split: Option<String>,
    table: Option<Table>,
    scale: Option<Decimal>,
    form: Option<DayForm>,
}

/// Where it comes from; closed.
#[derive(Clone, Debug)]
enum Source {
    Column(usize),
    Text(TextTemplate),
    Expression(Expression),
    Plain(Value),
}

/// A table of corrections.
#[derive(Clone, Debug)]
struct Table {
    map: HashMap<String, Value>,
    otherwise: Otherwise,
}

/// What a value becomes that the table lacks; closed.
#[derive(Clone, Debug)]
enum Otherwise {
    /// An error.
    Refused,
    /// What the file says.
    Same,
    /// Another value.
    Made(Box<Recipe>),
}

/// A row with what recipes look at; what is dear is made once.
pub(crate) struct RowView<'a> {
    pub(crate) cx: &'a Ctx,
    pub(crate) app: &'a str,
    pub(crate) entity: EntityId,
    pub(crate) habits: Habits,
    pub(crate) columns: &'a [String],
    pub(crate) cells: &'a [Value],
    /// A record without values: what an expression sees of the record that is to be.
    pub(crate) record: &'a Cells,
    pub(crate) values: OnceCell<IndexMap<String, Value>>,
    pub(crate) json: OnceCell<Json>,
}

/// Other records are out of a file's reach.
struct Nothing;

impl Lookup for Nothing {
    fn get(&self, _: EntityId, _: Uuid) -> Result<Option<Arc<Cells>>, HostFault> {
        Ok(None)
    }

    fn related(&self, _: &RelatedVia, _: Uuid) -> Result<Vec<Arc<Cells>>, HostFault> {
        Ok(Vec::new())
    }

    fn is_member(&self, _: EntityId, _: Uuid, _: Uuid, _: bool) -> Result<bool, HostFault> {
        Ok(false)
    }

    fn is_under(&self, _: EntityId, _: FieldId, _: Uuid, _: Uuid) -> Result<bool, HostFault> {
        Ok(false)
    }
}

impl RowView<'_> {
    /// The value of an expression over `row`.
    pub(crate) fn evaluate(&self, expression: &Expression) -> Result<Value, String> {
        let values = self.values.get_or_init(|| self.columns.iter().cloned().zip(self.cells.iter().cloned()).collect());
        let params = self.cx.params(self.app, None);
        let extra = [("row", Extra::Values(values))];
        let scope = Scope {
            schema: &self.cx.app.schema,
            entity: self.entity,
            record: self.record,
            old: None,
            params: &params,
            locale: &self.cx.locale,
            lookup: &Nothing,
            extra: &extra,
        };
        expression.eval(&scope).map_err(|fault| fault.to_string())
    }

    fn render(&self, template: &TextTemplate) -> Result<Value, String> {
        let json = self.json.get_or_init(|| {
            let text = |cell: &Value| Json::String(text_of(cell, self.habits.zone));
            let row: serde_json::Map<String, Json> = self.columns.iter().cloned().zip(self.cells.iter().map(text)).collect();
            serde_json::json!({ "row": row })
        });
        template.render(json).map(|text| Value::text(text.trim()))
    }
}

/// Compiles an expression over `row`.
pub(crate) fn expression(cx: &Ctx, app: &str, entity: EntityId, text: &str, usage: Use) -> Result<Expression, String> {
    let given = [("row".to_owned(), Given::Values)];
    let place = Place { schema: &cx.app.schema, entity, app, usage, given: &given };
    Expression::compile_at(place, text).map_err(|faults| faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>().join("; "))
}

/// Compiles `spec` for a header.
pub(crate) fn compile(cx: &Ctx, app: &str, entity: EntityId, columns: &Columns<'_>, spec: &ValueSpec) -> Result<Recipe, String> {
    let rule = match spec {
        ValueSpec::Plain(json) => return Ok(Recipe::of(Source::Plain(value_of(json)))),
        ValueSpec::Rule(rule) => &**rule,
    };
    let take = match rule {
        ValueRule { from: Some(from), .. } => Source::Column(columns.find(from).map_err(|message| message.text(&cx.locale))?),
        ValueRule { text: Some(text), .. } => Source::Text(TextTemplate::compile(text, Escape::None)?),
        ValueRule { expr: Some(text), .. } => Source::Expression(expression(cx, app, entity, text, Use::Value)?),
        ValueRule { .. } => return Err("a value is made by from, text or expr".to_owned()),
    };
    let table = match &rule.map {
        None => None,
        Some(map) => Some(Table {
            map: map.iter().map(|(key, json)| (key.clone(), value_of(json))).collect(),
            otherwise: match rule.otherwise.as_deref() {
                None => Otherwise::Refused,
                Some(ValueSpec::Rule(other)) if other.from.is_some() && other.from == rule.from && other.map.is_none() => Otherwise::Same,
                Some(other) => Otherwise::Made(Box::new(compile(cx, app, entity, columns, other)?)),
            },
        }),
    };
    let scale = match &rule.scale {
        None => None,
        Some(json) => {
            let digits = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
            Some(rules::expr::decimal(&digits).ok_or_else(|| format!("`scale` {digits} is no number"))?)
        }
    };
    let form = rule.format.as_deref().map(DayForm::parse);
    Ok(Recipe { take, split: rule.split.clone(), table, scale, form })
}

/// A JSON value as a cell.
fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(digits) => rules::expr::decimal(&digits.to_string()).map_or_else(|| Value::text(&digits.to_string()), Value::Decimal),
        Json::String(text) => Value::text(text),
        Json::Array(_) | Json::Object(_) => Value::Json(Arc::new(json.clone())),
    }
}

impl Recipe {
    fn of(take: Source) -> Self {
        Self { take, split: None, table: None, scale: None, form: None }
    }

    /// A column as it is.
    pub(crate) fn column(index: usize) -> Self {
        Self::of(Source::Column(index))
    }

    /// The value of a row.
    ///
    /// # Errors
    /// Why there is none, in the reader's language.
    pub(crate) fn make(&self, view: &RowView<'_>) -> Result<Value, String> {
        let value = match &self.take {
            Source::Column(index) => view.cells.get(*index).cloned().unwrap_or_default(),
            Source::Plain(value) => value.clone(),
            Source::Text(template) => view.render(template)?,
            Source::Expression(expression) => view.evaluate(expression)?,
        };
        match &self.split {
            Some(separator) if !value.is_null() => {
                let whole = text_of(&value, view.habits.zone);
                let parts = whole.split(separator.as_str()).map(str::trim).filter(|part| !part.is_empty());
                let items: Result<Vec<Value>, String> = parts.map(|part| self.correct(Value::text(part), view)).collect();
                Ok(Value::list(items?))
            }
            Some(_) | None => self.correct(value, view),
        }
    }

    /// `map`, then `scale` or `format`.
    fn correct(&self, value: Value, view: &RowView<'_>) -> Result<Value, String> {
        let mut value = value;
        if let Some(table) = &self.table {
            let key = text_of(&value, view.habits.zone);
            let key = key.trim();
            value = match (table.map.get(key), &table.otherwise) {
                (Some(mapped), _) => mapped.clone(),
                (None, _) if key.is_empty() => Value::Null,
                (None, Otherwise::Same) => value,
                (None, Otherwise::Made(recipe)) => recipe.make(view)?,
                (None, Otherwise::Refused) => return Err(model::Message::new("not_an_option").with("value", key).text(&view.cx.locale)),
            };
        }
        match (&value, self.scale, &self.form) {
            (Value::Null, _, _) => Ok(Value::Null),
            (_, Some(factor), _) => {
                let read = value.as_decimal().or_else(|| value.as_text().and_then(|text| number(text, view.habits.decimal)));
                let product = read.and_then(|number| number.checked_mul(factor)).map(|number| Value::Decimal(number.normalize()));
                product.ok_or_else(|| model::Message::new("wrong_type").with("expected", "1.23").text(&view.cx.locale))
            }
            // What the sheet has typed needs no form.
            (Value::Text(text), None, Some(form)) => {
                form.read(text, view.habits).ok_or_else(|| model::Message::new("bad_format").with("expected", &form.written).text(&view.cx.locale))
            }
            (_, None, _) => Ok(value),
        }
    }
}

/// The form of days or moments in a file, `dd/MM/yyyy HH:mm`.
#[derive(Clone, Debug)]
struct DayForm {
    written: String,
    pattern: String,
    has_time: bool,
}

impl DayForm {
    fn parse(written: &str) -> Self {
        let has_hours = written.contains(['H', 'h']);
        // `dd/mm/yyyy` is written as often as `dd/MM/yyyy`: without hours there are no minutes.
        let small_is_month = !has_hours && !written.contains('M');
        let mut pattern = String::new();
        let mut letters = written.chars().peekable();
        while let Some(letter) = letters.next() {
            let mut count = 1;
            while letters.peek() == Some(&letter) && letter.is_ascii_alphabetic() {
                letters.next();
                count += 1;
            }
            match (letter, count) {
                ('y', 3..) => pattern.push_str("%Y"),
                ('y', _) => pattern.push_str("%y"),
                ('M', 4..) => pattern.push_str("%B"),
                ('M', 3) => pattern.push_str("%b"),
                ('M', _) => pattern.push_str("%m"),
                ('m', _) if small_is_month => pattern.push_str("%m"),
                ('m', _) => pattern.push_str("%M"),
                ('d', _) => pattern.push_str("%d"),
                ('H', _) => pattern.push_str("%H"),
                ('h', _) => pattern.push_str("%I"),
                ('s', _) => pattern.push_str("%S"),
                ('a', _) => pattern.push_str("%p"),
                ('%', _) => pattern.push_str("%%"),
                (other, count) => pattern.extend(std::iter::repeat_n(other, count)),
            }
        }
        Self { written: written.to_owned(), pattern, has_time: has_hours }
    }

    fn read(&self, text: &str, habits: Habits) -> Option<Value> {
        let text = text.trim();
        if self.has_time {
            let local = NaiveDateTime::parse_from_str(text, &self.pattern).ok()?;
            return moment(local, habits.zone).map(Value::Timestamp);
        }
        NaiveDate::parse_from_str(text, &self.pattern).ok().map(Value::Date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::words::DecimalSign;

    #[test]
    fn forms_of_days_are_read_as_written() {
        let habits = Habits { decimal: DecimalSign::Point, zone: chrono_tz::Asia::Shanghai, shift: 0 };
        let day = NaiveDate::from_ymd_opt(2026, 3, 4).map(Value::Date);
        for (form, text) in [
            ("dd/MM/yyyy", "04/03/2026"),
            ("dd/mm/yyyy", "4/3/2026"),
            ("MM/dd/yy", "03/04/26"),
            ("d MMM yyyy", "4 Mar 2026"),
            ("yyyy年M月d日", "2026年3月4日"),
        ] {
            assert_eq!(DayForm::parse(form).read(text, habits), day, "{form}");
        }
        let at = DayForm::parse("dd.MM.yyyy HH:mm").read("04.03.2026 09:30", habits);
        assert_eq!(at.map(|at| text_of(&at, chrono_tz::UTC)).as_deref(), Some("2026-03-04 01:30:00"));
        assert_eq!(DayForm::parse("dd/MM/yyyy").read("30/02/2026", habits), None);
        assert_eq!(DayForm::parse("dd/MM/yyyy").read("2026-03-04", habits), None);
    }
}
