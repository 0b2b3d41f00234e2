//! In charge of holding every field kind to its conformance cases: what it takes, how that leaves, what it refuses.
//!
//! A case file says, for each field, `valid` pairs of a value sent and the value read back, digits included, and
//! `invalid` values with the code and the pointer of the fault. What was read back is sent again and must stay the same.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;

use indexmap::IndexMap;
use model::doc::{ChoiceOption, Field};
use model::field::{AcceptContext, ColumnUse, CompileContext, Compiled, KINDS, Numbers, Shape, TypedField, kind};
use model::{Diagnostic, Input, Name, Value};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: String,
    cases: Vec<Case>,
    #[serde(default)]
    refused_settings: Vec<RefusedSettings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    field: Field,
    #[serde(default)]
    siblings: HashMap<String, String>,
    #[serde(default)]
    options: HashMap<String, IndexMap<Name, ChoiceOption>>,
    #[serde(default)]
    stages: HashMap<String, IndexMap<Name, ChoiceOption>>,
    #[serde(default)]
    valid: Vec<[Box<RawValue>; 2]>,
    #[serde(default)]
    invalid: Vec<Invalid>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invalid {
    value: Box<RawValue>,
    code: String,
    at: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusedSettings {
    field: Field,
    at: String,
}

fn compile(field: &Field, case: Option<&Case>) -> Result<Compiled, Vec<Diagnostic>> {
    let options = |name: &str| case.and_then(|case| case.options.get(name).cloned());
    let stages = |name: &str| case.and_then(|case| case.stages.get(name).cloned());
    let kind = kind(&field.kind).unwrap_or_else(|| panic!("there is no kind {}", field.kind));
    kind.compile(field, &CompileContext { currency: "USD", options: &options, stages: &stages })
}

/// The type of the field's own values; none where they are those of other fields, or rows.
fn typed(case: &Case) -> Option<Arc<dyn TypedField>> {
    let compiled = compile(&case.field, Some(case)).unwrap_or_else(|faults| panic!("{}", support::told(&faults)));
    match compiled.shape {
        Shape::Own(typed) => Some(typed),
        Shape::Like(like) => match compile(&like, Some(case)).map(|compiled| compiled.shape) {
            Ok(Shape::Own(typed)) => Some(typed),
            other => panic!("{other:?} is no result"),
        },
        Shape::Path(_) | Shape::Rollup | Shape::Nothing => None,
    }
}

fn input(raw: &RawValue) -> Input {
    Input::parse(raw.get().as_bytes()).unwrap_or_else(|error| panic!("{raw}: {error}"))
}

fn written(typed: &dyn TypedField, cells: &[Value]) -> Input {
    let mut out = Vec::new();
    typed.write_json(cells, Numbers::Numbers, &mut out);
    Input::parse(&out).unwrap_or_else(|error| panic!("{}: {error}", String::from_utf8_lossy(&out)))
}

/// What of a case does not hold.
fn check(file: &str, case: &Case) -> Vec<String> {
    let Some(typed) = typed(case) else {
        let is_empty = case.valid.is_empty() && case.invalid.is_empty();
        return (!is_empty).then(|| format!("{file}: has no values of its own")).into_iter().collect();
    };
    let sibling = |name: &str| case.siblings.get(name).cloned();
    let cx = AcceptContext { now: chrono::DateTime::UNIX_EPOCH, sibling: &sibling };
    let valid = case.valid.iter().filter_map(|[sent, expected]| taken(&*typed, &cx, sent, expected).err());
    let invalid = case.invalid.iter().filter_map(|invalid| refused(&*typed, &cx, invalid).err());
    valid.chain(invalid).map(|problem| format!("{file}: {problem}")).collect()
}

fn taken(typed: &dyn TypedField, cx: &AcceptContext<'_>, sent: &RawValue, expected: &RawValue) -> Result<(), String> {
    let cells = typed.accept(&input(sent), cx).map_err(|rejects| format!("{sent} is refused: {rejects:?}"))?;
    let columns: Vec<_> = typed.columns().into_iter().filter(|column| matches!(column.purpose, ColumnUse::Value | ColumnUse::Part)).collect();
    if cells.len() != columns.len() {
        return Err(format!("{sent}: {} cells for {} columns that hold something", cells.len(), columns.len()));
    }
    if let Some((cell, column)) = cells.iter().zip(columns).find(|(cell, column)| !fits(cell, column.storage)) {
        return Err(format!("{sent}: {cell:?} does not fit {:?}", column.storage));
    }
    let back = written(typed, &cells);
    if back != input(expected) {
        return Err(format!("{sent} leaves as {back:?}"));
    }
    match typed.accept(&back, cx) {
        _ if back == Input::Null => Ok(()),
        Ok(again) if again == cells => Ok(()),
        again => Err(format!("{sent}: what was read back is sent again and becomes {again:?}")),
    }
}

fn refused(typed: &dyn TypedField, cx: &AcceptContext<'_>, Invalid { value, code, at }: &Invalid) -> Result<(), String> {
    let Err(rejects) = typed.accept(&input(value), cx) else { return Err(format!("{value} is taken")) };
    let mut told: Vec<(&str, &str)> = rejects.iter().map(|reject| (reject.code.as_str(), reject.pointer.as_str())).collect();
    told.dedup();
    if told != [(code.as_str(), at.as_str())] {
        return Err(format!("{value} is refused as {told:?}"));
    }
    let gaps =
        ["en", "zh-CN", "zh-TW"].map(|locale| rejects[0].message.text(locale)).into_iter().find(|text| text.contains("{m") || text.contains("{e"));
    gaps.map_or(Ok(()), |text| Err(format!("{value}: a gap is left in “{text}”")))
}

fn fits(cell: &Value, storage: model::Storage) -> bool {
    use model::Storage;
    matches!(
        (cell, storage),
        (Value::Null, _)
            | (Value::Bool(_), Storage::Bool)
            | (Value::Int(_), Storage::Int)
            | (Value::Text(_), Storage::Text)
            | (Value::Date(_), Storage::Date)
            | (Value::Time(_), Storage::Time)
            | (Value::Timestamp(_), Storage::Timestamp)
            | (Value::Uuid(_), Storage::Uuid)
            | (Value::Json(_) | Value::List(_), Storage::Json)
            | (Value::Bytes(_), Storage::Bytes)
    ) || matches!((cell, storage), (Value::Decimal(number), Storage::Decimal(scale)) if number.scale() == u32::from(scale))
}

#[test]
fn every_kind_holds_to_its_cases() {
    let files = support::files("tests/cases/field");
    let mut problems = Vec::new();
    for kind in KINDS {
        let name = format!("{}.json", kind.name());
        let bytes = files.get(&name).unwrap_or_else(|| panic!("tests/cases/field/{name} is missing"));
        let file: File = serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(file.kind, kind.name());
        for case in &file.cases {
            assert_eq!(case.field.kind, file.kind, "{name}");
            problems.extend(check(&name, case));
        }
        for refused in &file.refused_settings {
            match compile(&refused.field, None) {
                Err(faults) if faults.iter().map(|fault| fault.pointer.as_str()).eq([refused.at.as_str()]) => {}
                other => problems.push(format!("{name}: {:?} gives {other:?}", refused.field.settings)),
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert_eq!(files.len(), KINDS.len(), "a case file is of no kind");
}
