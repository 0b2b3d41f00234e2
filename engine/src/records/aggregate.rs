//! In charge of groups and measures as a caller asks for them.
//! Invariant: a hidden or masked field can neither be grouped nor measured; a far one carries the caller's grant.

use std::collections::HashSet;

use chrono_tz::Tz;
use model::fault::escape_pointer;
use model::field::{Numbers, Role};
use model::{Code, EntityDef, EntityId, FieldDef, Message, Value, Violation};
use rules::query::{Column, Path, Predicate, View, column_of, resolve_path, to_target_in_sight};
use serde_json::{Map, Value as Json, json};
use store::{Aggregate, Bucket, Function, GroupBy, Measure};

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::read::filter_of;

/// The most groups of an answer.
const MAX_GROUPS: u32 = 10_000;
/// The most groups that are put into another order, or looked through by their measures.
const MAX_LOOKED_THROUGH: u32 = 100_000;

struct Group {
    name: String,
    path: Path,
    bucketed: Option<Bucket>,
}

struct Told {
    name: String,
    field: Option<(EntityId, model::FieldId)>,
    function: Function,
}

impl Engine {
    /// Groups of an entity's records: `{"data": […]}`.
    ///
    /// # Errors
    /// Every fault of the question.
    pub async fn aggregate(&self, cx: &Ctx, entity: EntityId, body: Json) -> Result<Json, Error> {
        let cx = cx.clone();
        self.store().read(move |tx| run(&cx, tx, entity, &body)).await
    }
}

fn malformed(at: impl Into<String>, message: Message) -> Violation {
    Violation::at(at, Code::Malformed, message)
}

fn run(cx: &Ctx, tx: &store::Tx, entity: EntityId, body: &Json) -> Result<Json, Error> {
    let def = cx.app.schema.entity(entity);
    if !cx.grants.sees(entity) {
        return Err(Error::unknown_entity(def.name.as_str()));
    }
    let mut reading = Reading { cx, def, faults: Vec::new() };
    let Some(body) = body.as_object() else { return Err(Error::Invalid(vec![malformed("", Message::new("wrong_type").with("expected", "{…}"))])) };
    for key in body.keys().filter(|key| !["group_by", "measures", "filter", "having", "sort", "limit"].contains(&key.as_str())) {
        reading.faults.push(malformed(format!("/{}", escape_pointer(key)), Message::new("unknown_key").with("name", key)));
    }
    let (groups, by) = reading.groups(body.get("group_by"));
    let (told, measures) = reading.measures(body.get("measures"));
    let filter = filter_of(cx, entity, body.get("filter"), "/filter").unwrap_or_else(|more| {
        reading.faults.extend(more);
        Predicate::False
    });
    let having = reading.having(body.get("having"), &told);
    reading.named_once(&groups, &told);
    let sort = reading.sort(body.get("sort"), &groups, &told);
    if !reading.faults.is_empty() {
        return Err(Error::Invalid(reading.faults));
    }
    let filter = Predicate::all(vec![Predicate::clone(&cx.grants.entity(entity).read), filter]);
    let limit = body.get("limit").and_then(Json::as_u64).and_then(|limit| u32::try_from(limit).ok()).unwrap_or(MAX_GROUPS).min(MAX_GROUPS);
    // Which groups come first is known only once all were computed.
    let looks_through = sort.is_some() || !having.is_empty();
    let most = if looks_through { MAX_LOOKED_THROUGH + 1 } else { limit };
    let rows = tx.aggregate(&cx.app.schema, &Aggregate { groups: by, measures, limit: most, ..Aggregate::of(entity, filter) })?;
    if looks_through && rows.len() > MAX_LOOKED_THROUGH as usize {
        return Err(Violation::at("/group_by", Code::OutOfRange, Message::new("too_many").with("max", MAX_LOOKED_THROUGH)).into());
    }
    let mut data: Vec<Map<String, Json>> = rows.iter().map(|row| object(cx, &groups, &told, row)).collect();
    data.retain(|row| having.iter().all(|(name, op, value)| fits(row.get(name), op, value)));
    if let Some((falls, name)) = sort {
        sort_rows(&mut data, falls, &name);
    }
    data.truncate(limit as usize);
    Ok(json!({"data": data}))
}

struct Reading<'a> {
    cx: &'a Ctx,
    def: &'a EntityDef,
    faults: Vec<Violation>,
}

impl Reading<'_> {
    fn field(&mut self, name: &str, at: &str) -> Option<(Path, Column)> {
        let schema = &self.cx.app.schema;
        let path = match resolve_path(schema, self.def.id, name, &*self.cx.grants, at) {
            Ok(path) => path,
            Err(fault) => {
                self.faults.push(fault);
                return None;
            }
        };
        let (def, field) = (schema.entity(path.entity), path.target(schema));
        let column = column_of(schema, def, field, self.cx.moment()).filter(|_| self.cx.grants.comparable(def, field));
        if column.is_none() {
            self.faults.push(malformed(at, Message::new("not_groupable")));
        }
        // What one may not see is one group: that of none.
        match to_target_in_sight(schema, &path, &*self.cx.grants) {
            Some(far) => {
                let slot = far.target(schema).slot()?;
                Some((far, Column::Slot(slot)))
            }
            None => column.map(|column| (path, column)),
        }
    }

    fn groups(&mut self, json: Option<&Json>) -> (Vec<Group>, Vec<GroupBy>) {
        let (mut groups, mut by) = (Vec::new(), Vec::new());
        self.must_be_list(json, "/group_by");
        for (index, item) in json.and_then(Json::as_array).into_iter().flatten().enumerate() {
            let at = format!("/group_by/{index}");
            self.only(item, &["field", "by", "as"], &at);
            let (name, bucket, renamed) = match item {
                Json::String(name) => (name.as_str(), None, None),
                Json::Object(map) => (
                    map.get("field").and_then(Json::as_str).unwrap_or_default(),
                    map.get("by").and_then(Json::as_str),
                    map.get("as").and_then(Json::as_str),
                ),
                _ => ("", None, None),
            };
            let Some((path, column)) = self.field(name, &at) else { continue };
            let bucketed = match bucket {
                None => None,
                Some(word) => match bucket_of(word).filter(|_| self.is_day(&path)) {
                    Some(bucket) => Some(bucket),
                    None => {
                        self.faults.push(malformed(format!("{at}/by"), Message::new("not_groupable")));
                        continue;
                    }
                },
            };
            let groupable = path.target(&self.cx.app.schema).typed.as_ref().is_some_and(|typed| typed.groupable());
            if !groupable {
                self.faults.push(malformed(&at, Message::new("not_groupable")));
                continue;
            }
            let name = renamed.map_or_else(|| bucket.map_or_else(|| name.to_owned(), |bucket| format!("{name}_{bucket}")), str::to_owned);
            by.push(GroupBy { path: path.clone(), column, bucket: bucketed, zone: zone(self.cx) });
            groups.push(Group { name, path, bucketed });
        }
        (groups, by)
    }

    /// Keys that nobody reads are faults: who sent them meant something.
    fn only(&mut self, item: &Json, known: &[&str], at: &str) {
        for key in item.as_object().map(Map::keys).into_iter().flatten().filter(|key| !known.contains(&key.as_str())) {
            self.faults.push(malformed(format!("{at}/{}", escape_pointer(key)), Message::new("unknown_key").with("name", key)));
        }
    }

    /// Two values of a row may not have one name.
    fn named_once(&mut self, groups: &[Group], told: &[Told]) {
        let mut seen = HashSet::new();
        let places = groups.iter().enumerate().map(|(index, group)| (format!("/group_by/{index}"), &group.name));
        for (at, name) in places.chain(told.iter().enumerate().map(|(index, measure)| (format!("/measures/{index}"), &measure.name))) {
            if !seen.insert(name) {
                self.faults.push(malformed(at, Message::new("named_twice").with("name", name)));
            }
        }
    }

    /// `-name`: whether it falls, and what it goes by.
    fn sort(&mut self, json: Option<&Json>, groups: &[Group], told: &[Told]) -> Option<(bool, String)> {
        let json = json.filter(|json| !json.is_null())?;
        let Some(text) = json.as_str() else {
            self.faults.push(malformed("/sort", Message::new("wrong_type").with("expected", "\"-name\"")));
            return None;
        };
        let (falls, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
        let is_known = groups.iter().map(|group| &group.name).chain(told.iter().map(|measure| &measure.name)).any(|there| there == name);
        if !is_known {
            self.faults.push(Violation {
                field: Some(name.to_owned()),
                ..Violation::at("/sort", Code::UnknownField, Message::new("unknown_field").with("name", name))
            });
        }
        is_known.then(|| (falls, name.to_owned()))
    }

    fn must_be_list(&mut self, json: Option<&Json>, at: &str) {
        if json.is_some_and(|json| !json.is_array()) {
            self.faults.push(malformed(at, Message::new("wrong_type").with("expected", "[…]")));
        }
    }

    fn is_day(&self, path: &Path) -> bool {
        let storage = path.target(&self.cx.app.schema).typed.as_ref().and_then(|typed| typed.columns().first().map(|column| column.storage));
        matches!(storage, Some(model::Storage::Date | model::Storage::Timestamp))
    }

    fn measures(&mut self, json: Option<&Json>) -> (Vec<Told>, Vec<Measure>) {
        let (mut told, mut measures) = (Vec::new(), Vec::new());
        self.must_be_list(json, "/measures");
        let default = [json!("count")];
        let items = json.and_then(Json::as_array).map_or(&default[..], Vec::as_slice);
        for (index, item) in items.iter().enumerate() {
            let at = format!("/measures/{index}");
            if item.as_str() == Some("count") {
                told.push(Told { name: "count".to_owned(), field: None, function: Function::Count });
                measures.push(Measure { function: Function::Count, path: None, column: None });
                continue;
            }
            let named = item.as_object().and_then(|map| map.iter().find(|(key, _)| function_of(key).is_some()));
            let Some((word, field)) = named.and_then(|(key, value)| Some((key.as_str(), value.as_str()?))) else {
                self.faults.push(malformed(&at, Message::new("not_measurable")));
                continue;
            };
            let (Some(function), Some((path, column))) = (function_of(word), self.field(field, &format!("{at}/{word}"))) else { continue };
            self.only(item, &[word, "as"], &at);
            if !self.is_measurable(&path, function) {
                self.faults.push(malformed(&at, Message::new("not_measurable")));
                continue;
            }
            let renamed = item.get("as").and_then(Json::as_str).map(str::to_owned);
            told.push(Told { name: renamed.unwrap_or_else(|| format!("{word}_{field}")), field: Some((path.entity, path.field)), function });
            measures.push(Measure { function, path: Some(path), column: Some(column) });
        }
        (told, measures)
    }

    fn is_measurable(&self, path: &Path, function: Function) -> bool {
        let field = path.target(&self.cx.app.schema);
        let storage = field.typed.as_ref().and_then(|typed| typed.columns().first().map(|column| column.storage));
        let number = matches!(storage, Some(model::Storage::Int | model::Storage::Decimal(_)));
        match function {
            Function::Sum | Function::Average | Function::Median => number,
            Function::Min | Function::Max => {
                number || matches!(storage, Some(model::Storage::Date | model::Storage::Timestamp | model::Storage::Time))
            }
            Function::Count | Function::Distinct => !matches!(storage, None | Some(model::Storage::Json)),
        }
    }

    fn having(&mut self, json: Option<&Json>, told: &[Told]) -> Vec<(String, String, Json)> {
        let leaves: Vec<&Json> = match json {
            None => Vec::new(),
            Some(json) => json.get("all").and_then(Json::as_array).map_or_else(|| vec![json], |items| items.iter().collect()),
        };
        let mut found = Vec::new();
        for leaf in leaves {
            let name = leaf.get("field").and_then(Json::as_str).unwrap_or_default();
            let op = leaf.get("op").and_then(Json::as_str).unwrap_or_default();
            let known = told.iter().any(|measure| measure.name == name) && ["=", "!=", "<", "<=", ">", ">="].contains(&op);
            if known {
                found.push((name.to_owned(), op.to_owned(), leaf.get("value").cloned().unwrap_or_default()));
            } else {
                self.faults.push(Violation {
                    field: Some(name.to_owned()),
                    ..Violation::at("/having", Code::UnknownField, Message::new("unknown_field").with("name", name))
                });
            }
        }
        found
    }
}

fn zone(cx: &Ctx) -> Tz {
    cx.zone
}

fn bucket_of(word: &str) -> Option<Bucket> {
    Some(match word {
        "day" => Bucket::Day,
        "week" => Bucket::Week,
        "month" => Bucket::Month,
        "quarter" => Bucket::Quarter,
        "year" => Bucket::Year,
        _ => return None,
    })
}

fn function_of(word: &str) -> Option<Function> {
    Some(match word {
        "count" => Function::Count,
        "sum" => Function::Sum,
        "average" => Function::Average,
        "min" => Function::Min,
        "max" => Function::Max,
        "distinct" => Function::Distinct,
        "median" => Function::Median,
        _ => return None,
    })
}

fn object(cx: &Ctx, groups: &[Group], told: &[Told], row: &[Value]) -> Map<String, Json> {
    let mut values = row.iter();
    let mut map = Map::new();
    for (group, value) in groups.iter().zip(values.by_ref()) {
        map.insert(group.name.clone(), group_value(cx, group, value));
    }
    for (measure, value) in told.iter().zip(values) {
        let field = measure.field.map(|(entity, field)| cx.app.schema.entity(entity).field(field));
        map.insert(measure.name.clone(), measure_value(field, measure.function, value));
    }
    map
}

fn group_value(cx: &Ctx, group: &Group, value: &Value) -> Json {
    let field = group.path.target(&cx.app.schema);
    match (group.bucketed, value) {
        (Some(Bucket::Month | Bucket::Quarter), Value::Date(day)) => json!(day.format("%Y-%m").to_string()),
        (Some(Bucket::Year), Value::Date(day)) => json!(day.format("%Y").to_string()),
        (Some(_), value) => plain(value),
        (None, value) => {
            let masked = matches!(field.role, Role::Reference(_)) && !value.is_null();
            if masked { plain(value) } else { typed(Some(field), value) }
        }
    }
}

fn measure_value(field: Option<&FieldDef>, function: Function, value: &Value) -> Json {
    match function {
        Function::Min | Function::Max => typed(field, value),
        Function::Count | Function::Sum | Function::Average | Function::Distinct | Function::Median => plain(value),
    }
}

fn plain(value: &Value) -> Json {
    let mut bytes = Vec::new();
    model::json::write_value(value, &mut bytes);
    model::Input::parse(&bytes).map(|input| input.to_json()).unwrap_or_default()
}

fn typed(field: Option<&FieldDef>, value: &Value) -> Json {
    match field.and_then(|field| field.typed.as_ref()) {
        Some(typed) if !value.is_null() && typed.columns().len() < 3 => {
            let mut bytes = Vec::new();
            typed.write_json(std::slice::from_ref(value), Numbers::Numbers, &mut bytes);
            model::Input::parse(&bytes).map(|input| input.to_json()).unwrap_or_default()
        }
        _ => plain(value),
    }
}

fn number(json: &Json) -> Option<rust_decimal::Decimal> {
    match json {
        Json::Number(number) => model::field::number::exact(&number.to_string()),
        Json::String(digits) => model::field::number::exact(digits),
        _ => None,
    }
}

fn fits(measure: Option<&Json>, op: &str, value: &Json) -> bool {
    let (Some(a), Some(b)) = (measure.and_then(number), number(value)) else { return op == "!=" };
    match op {
        "=" => a == b,
        "!=" => a != b,
        "<" => a < b,
        "<=" => a <= b,
        ">" => a > b,
        _ => a >= b,
    }
}

fn sort_rows(data: &mut [Map<String, Json>], falls: bool, name: &str) {
    data.sort_by(|a, b| {
        let (a, b) = (a.get(name), b.get(name));
        let order = match (a.and_then(number), b.and_then(number)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.map(Json::to_string).cmp(&b.map(Json::to_string)),
        };
        if falls { order.reverse() } else { order }
    });
}
