//! In charge of the columns of an export: what each shows of a record as it is answered.

use chrono::{DateTime, NaiveDate, Utc};
use model::field::Role;
use model::{EntityDef, FieldDef, Input, Label, Storage};
use rules::query::resolve_path;
use rust_decimal::Decimal;

use crate::ctx::Ctx;
use crate::error::Error;

/// One column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// The field or path as it is asked for: the key in an answer.
    pub(crate) key: String,
    /// What stands above it.
    pub(crate) header: String,
    storage: Option<Storage>,
    is_reference: bool,
    /// Options by name, as people see them.
    options: Vec<(String, String)>,
}

/// A cell of an export; closed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Empty,
    Text(String),
    Number(Decimal),
    Truth(bool),
    Day(NaiveDate),
    Moment(DateTime<Utc>),
}

/// The fields that are exported where none are named: the id, the record's own, whose it is.
pub(crate) fn default_fields(cx: &Ctx, def: &EntityDef) -> Vec<String> {
    let whose = |field: &&FieldDef| matches!(field.name.as_str(), "owner" | "department" | "position");
    let shown = |field: &&FieldDef| {
        !matches!(field.role, Role::Lines { .. }) && !crate::records::history::sealed(field) && cx.grants.field(def, field.name.as_str()).is_some()
    };
    let own = def.fields.iter().filter(|field| !field.system).chain(def.fields.iter().filter(|field| field.system).filter(whose));
    std::iter::once("id".to_owned()).chain(own.filter(shown).map(|field| field.name.to_string())).collect()
}

/// The columns that show `fields`.
pub(crate) fn columns(cx: &Ctx, def: &EntityDef, fields: &[String], labels: bool) -> Result<Vec<Column>, Error> {
    let mut columns: Vec<Column> = Vec::new();
    let mut faults = Vec::new();
    for key in fields {
        if key == "title" && def.find("title").is_none() {
            columns.push(Column { key: key.clone(), header: key.clone(), storage: None, is_reference: false, options: Vec::new() });
            continue;
        }
        match resolve_path(&cx.app.schema, def.id, key, &*cx.grants, "/fields") {
            Ok(path) => {
                let field = path.target(&cx.app.schema);
                columns.push(Column {
                    key: key.clone(),
                    header: if labels { label_of(cx, def, key, field) } else { key.clone() },
                    storage: field.typed.as_ref().and_then(|typed| typed.columns().first().map(|column| column.storage)),
                    is_reference: path.hops.is_empty() && matches!(field.role, Role::Reference(_)),
                    options: if labels { options_of(cx, path.entity, field) } else { Vec::new() },
                });
            }
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    // Two columns with one label would not be told apart when the file is read again.
    let headers: Vec<String> = columns.iter().map(|column| column.header.clone()).collect();
    for column in &mut columns {
        if headers.iter().filter(|header| **header == column.header).count() > 1 {
            column.header.clone_from(&column.key);
        }
    }
    Ok(columns)
}

fn label_of(cx: &Ctx, def: &EntityDef, key: &str, field: &FieldDef) -> String {
    let own = field.doc.label(field.name.as_str(), &cx.locale).to_owned();
    match key.split_once('.').and_then(|(first, _)| def.find(first)) {
        Some(through) => format!("{}.{own}", through.doc.label(through.name.as_str(), &cx.locale)),
        None => own,
    }
}

fn options_of(cx: &Ctx, entity: model::EntityId, field: &FieldDef) -> Vec<(String, String)> {
    let text = |name: &str, label: Option<&Label>| (name.to_owned(), label.map_or(name, |label| label.get(&cx.locale)).to_owned());
    let mut options = Vec::new();
    if let Role::Choice { options: there, .. } = &field.role {
        options.extend(there.iter().map(|(name, option)| text(name.as_str(), option.label.as_ref())));
    }
    for stage in cx.app.plan(entity).stages.iter().filter(|stage| stage.field == field.id) {
        for pipeline in stage.pipelines.values() {
            options.extend(pipeline.doc.stages.iter().map(|(name, stage)| text(name.as_str(), stage.label.as_ref())));
        }
    }
    options
}

impl Column {
    /// What it shows of a record.
    pub(crate) fn cell(&self, record: &Input) -> Cell {
        if self.is_reference
            && let Some(title) = record.get("titles").and_then(|titles| titles.get(&self.key)).and_then(Input::as_text)
        {
            return Cell::Text(title.to_owned());
        }
        match record.get(&self.key) {
            None | Some(Input::Null) => Cell::Empty,
            Some(Input::Bool(truth)) => Cell::Truth(*truth),
            Some(Input::Number(digits)) => rules::expr::decimal(digits).map_or_else(|| Cell::Text(digits.clone()), Cell::Number),
            Some(Input::Text(text)) => self.text(text),
            Some(Input::List(items)) => Cell::Text(items.iter().map(|item| self.words(item)).collect::<Vec<_>>().join(", ")),
            Some(map @ Input::Map(_)) => Cell::Text(self.words(map)),
        }
    }

    fn text(&self, text: &str) -> Cell {
        let typed = match self.storage {
            Some(Storage::Date) => model::field::scalar::read_date(text).map(Cell::Day),
            Some(Storage::Timestamp) => model::field::scalar::read_datetime(text).map(Cell::Moment),
            _ => None,
        };
        typed.unwrap_or_else(|| Cell::Text(self.option(text).to_owned()))
    }

    fn option<'a>(&'a self, name: &'a str) -> &'a str {
        self.options.iter().find(|(there, _)| there == name).map_or(name, |(_, label)| label)
    }

    /// A structured value in words.
    fn words(&self, value: &Input) -> String {
        let part = |key: &str| value.get(key).map(|part| self.words(part));
        match value {
            Input::Null => String::new(),
            Input::Bool(truth) => truth.to_string(),
            Input::Number(digits) => digits.clone(),
            Input::Text(text) => self.option(text).to_owned(),
            Input::List(items) => items.iter().map(|item| self.words(item)).collect::<Vec<_>>().join(", "),
            Input::Map(_) => match (part("amount"), part("currency"), part("name")) {
                (Some(amount), Some(currency), _) => format!("{amount} {currency}"),
                (_, _, Some(name)) if part("size").is_some() => name,
                _ => value.to_json().to_string(),
            },
        }
    }
}
