//! In charge of money whose currency varies: its currency by a path, and its amount in the app's currency.
//! Invariant: the base amount follows the amount, the currency and the rate of the day; exact, rounded once.
//! Invariant: without a rate the base amount is empty, never wrong.

use model::field::{Currency, Role};
use model::{EntityDef, FieldDef, Op, Value};
use rules::query::{Column, Leaf, Path, Predicate, SystemView, Test, resolve_path};
use rust_decimal::Decimal;
use store::{Binned, Select};

use crate::error::Error;
use crate::records::fill::along;
use crate::records::slice::{Row, Writer};

/// The cells of varying money: the base amount, the amount as entered, its currency.
const BASE: usize = 0;
const AMOUNT: usize = 1;
const CURRENCY: usize = 2;

/// Whether a field's values have a currency of their own, or one by a path.
pub(crate) fn is_varying(field: &FieldDef) -> bool {
    matches!(&field.role, Role::Money { currency, .. } if !matches!(currency, Currency::Fixed(_))) && field.slots.len() > CURRENCY
}

/// The value that a person entered: of varying money the amount, not its base.
pub(crate) fn entered(cells: &[Value]) -> Value {
    match cells {
        [_, amount @ Value::Decimal(_), _, ..] => amount.clone(),
        // What is no such money has its value first, whatever else is kept beside it.
        [value, ..] => value.clone(),
        [] => Value::Null,
    }
}

/// Fills currencies and base amounts.
pub(crate) fn convert(w: &Writer<'_>, def: &EntityDef, row: &mut Row) -> Result<(), Error> {
    for field in &def.fields {
        let Role::Money { currency, rate_on } = &field.role else { continue };
        if !is_varying(field) {
            continue;
        }
        let start = field.slots.start;
        let Some(Value::Decimal(amount)) = row.after.get(start + AMOUNT).cloned() else {
            for cell in row.after.iter_mut().skip(start).take(field.slots.len()) {
                *cell = Value::Null;
            }
            continue;
        };
        if let Currency::From(path) = currency {
            let code = currency_along(w, def, row, path)?;
            set(row, start + CURRENCY, code);
        }
        let code = row.after.get(start + CURRENCY).and_then(Value::as_text).map(str::to_owned);
        let day = rate_on.as_ref().and_then(|name| def.slot(name.as_str())).and_then(|slot| row.after.get(slot)).and_then(Value::as_date);
        let base = match code {
            Some(code) => base_amount(w, def, field, amount, &code, day)?,
            None => Value::Null,
        };
        set(row, start + BASE, base);
    }
    Ok(())
}

fn set(row: &mut Row, slot: usize, value: Value) {
    if let Some(cell) = row.after.get_mut(slot) {
        *cell = value;
    }
}

/// The code at the end of a path: a text, or the currency of money that varies itself.
fn currency_along(w: &Writer<'_>, def: &EntityDef, row: &Row, path: &str) -> Result<Value, Error> {
    let schema = &w.app.schema;
    let Ok(path) = resolve_path(schema, def.id, path, &SystemView, "") else { return Ok(Value::Null) };
    let cells = along(w, &path, &row.after)?;
    let code = match path.target(schema).role {
        Role::Money { .. } => cells.get(CURRENCY),
        _ => cells.first(),
    };
    Ok(code.and_then(Value::as_text).map(|code| Value::text(&code.to_uppercase())).unwrap_or_default())
}

fn base_amount(
    w: &Writer<'_>,
    def: &EntityDef,
    field: &FieldDef,
    amount: Decimal,
    code: &str,
    day: Option<chrono::NaiveDate>,
) -> Result<Value, Error> {
    let app = w.app.app(field.app.as_str());
    let base = app.and_then(|app| app.app.currency.as_deref()).unwrap_or("USD");
    let scale = match def.columns.get(field.slots.start).map(|column| column.storage) {
        Some(model::Storage::Decimal(scale)) => scale,
        _ => 2,
    };
    if code == base {
        return Ok(Value::Decimal(amount));
    }
    let day = day.unwrap_or_else(|| w.cx.now.with_timezone(&w.cx.workspace_zone()).date_naive());
    let Some(rate) = rate(w, code, day)? else { return Ok(Value::Null) };
    let converted = amount.checked_mul(rate).map(|number| model::field::number::round(number, scale));
    Ok(converted.filter(|number| model::field::number::fits(*number, scale)).map(Value::Decimal).unwrap_or_default())
}

/// The newest rate of a currency that is not after `day`.
fn rate(w: &Writer<'_>, code: &str, day: chrono::NaiveDate) -> Result<Option<Decimal>, Error> {
    let schema = &w.app.schema;
    let Some(def) = schema.find("core.rate") else { return Ok(None) };
    let (Some(currency), Some(date), Some(rate)) = (def.find("currency"), def.find("date"), def.find("rate")) else { return Ok(None) };
    let json = serde_json::Value::from(code);
    let code = currency.typed.as_ref().and_then(|typed| typed.operand(Op::Eq, &model::Input::from(&json)).ok()).unwrap_or_else(|| Value::text(code));
    let leaf = |field: &FieldDef, test: Test| {
        let fold = field.slots.clone().find(|slot| def.columns.get(*slot).is_some_and(|column| column.purpose == model::field::ColumnUse::Fold));
        let slot = fold.or(field.slot()).unwrap_or_default();
        Predicate::Leaf(Leaf { path: Path::own(def.id, field.id), column: Column::Slot(slot), test, negated: false })
    };
    let folded = match (&code, currency.slots.len()) {
        (Value::Text(text), 2..) => Value::text(&model::text::fold(text)),
        _ => code,
    };
    let filter = Predicate::all(vec![leaf(currency, Test::Equal(folded)), leaf(date, Test::LessEqual(Value::Date(day)))]);
    let sort = rules::query::parse_sort(schema, def.id, "-date", &SystemView, w.cx.moment(), "").map_err(Error::Invalid)?;
    let query = Select { sort, limit: 1, slots: rate.slots.clone().collect(), ..Select::of(def.id, filter, Binned::Live) };
    let found = w.tx.select(schema, &query)?;
    Ok(found.first().and_then(|row| rate.cells(&row.cells).first().and_then(Value::as_decimal)))
}
