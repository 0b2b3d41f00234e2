//! In charge of what choice kinds share: options written in place or by the name of a shared list.
//! Invariant: a retired option stays readable and is refused as a new value.

use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::doc::ChoiceOption;
use crate::fault::{Code, Diagnostic};
use crate::field::{AcceptContext, ColumnSpec, Comparable, CompileContext, Numbers, Reject, TextContext, TypedField};
use crate::filter::Op;
use crate::input::Input;
use crate::message::Message;
use crate::name::Name;
use crate::value::{Storage, Value};

/// Options in place, or the name of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Options {
    /// A shared list.
    List(Name),
    /// In place.
    Here(IndexMap<Name, ChoiceOption>),
}

/// Settings of `choice` and `choices`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChoiceSettings {
    /// The options.
    pub options: Options,
    /// Their order; as written where absent.
    #[serde(default)]
    pub order: Option<Vec<Name>>,
    /// The field that an option's `for` is about.
    #[serde(default)]
    pub depends_on: Option<Name>,
    /// The most that may be chosen, where several may.
    #[serde(default)]
    pub max: Option<usize>,
}

impl ChoiceSettings {
    /// The options in order.
    ///
    /// # Errors
    /// Where a shared list is not there.
    pub fn resolve(&self, cx: &CompileContext<'_>) -> Result<Arc<IndexMap<Name, ChoiceOption>>, Vec<Diagnostic>> {
        let options = match &self.options {
            Options::Here(options) => options.clone(),
            Options::List(name) => {
                (cx.options)(name.as_str()).ok_or_else(|| vec![Diagnostic::error("/options", format!("there is no option list `{name}`"))])?
            }
        };
        let mut ordered: IndexMap<Name, ChoiceOption> = IndexMap::new();
        for name in self.order.iter().flatten() {
            match options.get(name) {
                Some(option) => {
                    ordered.insert(name.clone(), option.clone());
                }
                None => return Err(vec![Diagnostic::error("/order", format!("there is no option `{name}`"))]),
            }
        }
        for (name, option) in options {
            ordered.entry(name).or_insert(option);
        }
        Ok(Arc::new(ordered))
    }
}

/// The values of a choice, of several, or of a stage.
#[derive(Clone, Debug)]
pub struct ChoiceField {
    /// The options, in order.
    pub options: Arc<IndexMap<Name, ChoiceOption>>,
    /// The field that an option's `for` is about.
    pub depends_on: Option<Name>,
    /// Several may be chosen, so many at most.
    pub many: Option<usize>,
}

const ONE: &[Op] = &[Op::Eq, Op::Ne, Op::In, Op::NotIn, Op::IsEmpty, Op::IsSet];
/// The operators of a list of values.
pub const MANY: &[Op] = &[Op::Contains, Op::NotContains, Op::IsEmpty, Op::IsSet];

impl ChoiceField {
    fn option(&self, input: &Input, cx: &AcceptContext<'_>) -> Result<Value, Reject> {
        let text = input.as_text().ok_or_else(|| Reject::wrong_type("\"…\""))?;
        let option = self.options.get(text).ok_or_else(|| not_an_option(text))?;
        if option.retired {
            return Err(Reject::new(Code::OutOfRange, Message::new("option_retired").with("value", text)));
        }
        if let (Some(field), Some(allowed)) = (&self.depends_on, &option.for_options)
            && let Some(other) = (cx.sibling)(field.as_str())
            && !allowed.iter().any(|name| *name == *other)
        {
            return Err(not_an_option(text));
        }
        Ok(Value::text(text))
    }

    /// What people see of the option called `name`.
    #[must_use]
    pub fn label<'a>(&'a self, name: &'a str, locale: &str) -> &'a str {
        self.options.get(name).and_then(|option| option.label.as_ref()).map_or(name, |label| label.get(locale))
    }
}

fn not_an_option(text: &str) -> Reject {
    Reject::new(Code::OutOfRange, Message::new("not_an_option").with("value", text))
}

impl TypedField for ChoiceField {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(if self.many.is_some() { Storage::Json } else { Storage::Text })]
    }

    fn accept(&self, input: &Input, cx: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        match self.many {
            None if input.as_text() == Some("") => Ok(vec![Value::Null]),
            None => self.option(input, cx).map(|value| vec![value]).map_err(|reject| vec![reject]),
            Some(max) => accept_list(input, max, |item| self.option(item, cx)).map(|list| vec![list]),
        }
    }

    fn write_json(&self, cells: &[Value], _: Numbers, out: &mut Vec<u8>) {
        write_list_or_value(cells, out);
    }

    fn operators(&self) -> &'static [Op] {
        if self.many.is_some() { MANY } else { ONE }
    }

    fn comparable(&self) -> Comparable {
        if self.many.is_some() { Comparable::List } else { Comparable::Scalar }
    }

    fn operand(&self, _: Op, input: &Input) -> Result<Value, Reject> {
        let text = input.as_text().ok_or_else(|| Reject::wrong_type("\"…\""))?;
        if self.options.contains_key(text) { Ok(Value::Text(text.into())) } else { Err(not_an_option(text)) }
    }

    fn text(&self, cells: &[Value], cx: TextContext<'_>) -> String {
        match cells.first() {
            Some(Value::Text(name)) => self.label(name, cx.locale).to_owned(),
            Some(Value::List(items)) => {
                items.iter().filter_map(Value::as_text).map(|name| self.label(name, cx.locale)).collect::<Vec<_>>().join(", ")
            }
            _ => String::new(),
        }
    }

    fn sortable(&self) -> bool {
        self.many.is_none()
    }

    fn groupable(&self) -> bool {
        self.many.is_none()
    }

    fn value_schema(&self) -> serde_json::Value {
        let names: Vec<&str> = self.options.keys().map(Name::as_str).collect();
        match self.many {
            None => serde_json::json!({"type": ["string", "null"], "enum": names.into_iter().map(Some).chain([None]).collect::<Vec<_>>()}),
            Some(_) => serde_json::json!({"type": ["array", "null"], "items": {"enum": names}}),
        }
    }
}

/// Reads an array of distinct items, at most `max`.
///
/// # Errors
/// Every item that is refused, with its place.
pub fn accept_list(input: &Input, max: usize, read: impl Fn(&Input) -> Result<Value, Reject>) -> Result<Value, Vec<Reject>> {
    let Some(items) = input.as_list() else { return Err(vec![Reject::wrong_type("[…]")]) };
    if items.len() > max {
        return Err(vec![Reject::new(Code::OutOfRange, Message::new("too_many").with("max", max))]);
    }
    let (mut values, mut faults) = (Vec::new(), Vec::new());
    for (index, item) in items.iter().enumerate() {
        match read(item) {
            Ok(value) if value.is_null() || values.contains(&value) => {}
            Ok(value) => values.push(value),
            Err(reject) => faults.push(Reject { pointer: format!("/{index}{}", reject.pointer), ..reject }),
        }
    }
    if faults.is_empty() { Ok(Value::list(values)) } else { Err(faults) }
}

/// Writes a list, or the plain value; an empty list is `[]`-less: `null`.
pub fn write_list_or_value(cells: &[Value], out: &mut Vec<u8>) {
    crate::json::write_value(cells.first().unwrap_or(&Value::Null), out);
}
