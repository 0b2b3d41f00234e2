//! In charge of kinds whose value is a document: JSON, rich text, secrets.
//! Invariant: rich text is a structured document of known nodes; no HTML is stored or trusted.

use std::sync::Arc;

use crate::fault::{Code, Diagnostic};
use crate::field::text_settings::text_operand;
use crate::field::{AcceptContext, ColumnSpec, Comparable, Numbers, Reject, TextContext, TypedField};
use crate::filter::Op;
use crate::input::Input;
use crate::message::Message;
use crate::value::{Storage, Value};

/// The most bytes of one document.
const MAX_BYTES: usize = 1 << 20;

fn has_nul(json: &serde_json::Value) -> bool {
    match json {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(items) => items.iter().any(has_nul),
        serde_json::Value::Object(map) => map.iter().any(|(key, item)| key.contains('\0') || has_nul(item)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => false,
    }
}

fn read_document(input: &Input) -> Result<serde_json::Value, Reject> {
    let json = input.to_json();
    if has_nul(&json) {
        return Err(Reject::new(Code::BadFormat, Message::new("nul")));
    }
    if json.to_string().len() > MAX_BYTES {
        return Err(Reject::new(Code::OutOfRange, Message::new("too_long").with("max", MAX_BYTES)));
    }
    Ok(json)
}

/// The values of a JSON field.
#[derive(Clone, Debug)]
pub struct JsonField {
    schema: Option<Arc<jsonschema::Validator>>,
}

impl JsonField {
    /// A field whose values fit `schema`.
    ///
    /// # Errors
    /// Where that is no JSON Schema.
    pub fn new(schema: Option<&serde_json::Value>) -> Result<Self, Vec<Diagnostic>> {
        let schema = schema
            .map(|schema| jsonschema::options().with_pattern_options(jsonschema::PatternOptions::regex()).build(schema).map(Arc::new))
            .transpose()
            .map_err(|error| vec![Diagnostic::error("/schema", error.to_string())])?;
        Ok(Self { schema })
    }
}

impl TypedField for JsonField {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(Storage::Json)]
    }

    fn accept(&self, input: &Input, _: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        let json = read_document(input).map_err(|reject| vec![reject])?;
        if let Some(schema) = &self.schema {
            let faults: Vec<Reject> = schema
                .iter_errors(&json)
                .map(|error| Reject { code: Code::BadFormat, message: Message::new("bad_pattern"), pointer: error.instance_path().to_string() })
                .collect();
            if !faults.is_empty() {
                return Err(faults);
            }
        }
        Ok(vec![if json.is_null() { Value::Null } else { Value::Json(Arc::new(json)) }])
    }

    fn write_json(&self, cells: &[Value], _: Numbers, out: &mut Vec<u8>) {
        crate::json::write_value(cells.first().unwrap_or(&Value::Null), out);
    }

    fn operators(&self) -> &'static [Op] {
        &[Op::IsEmpty, Op::IsSet]
    }

    fn comparable(&self) -> Comparable {
        Comparable::Nothing
    }

    fn operand(&self, _: Op, _: &Input) -> Result<Value, Reject> {
        Err(Reject::wrong_type("is_empty"))
    }

    fn text(&self, cells: &[Value], _: TextContext<'_>) -> String {
        match cells.first() {
            Some(Value::Json(json)) => json.to_string(),
            _ => String::new(),
        }
    }

    fn sortable(&self) -> bool {
        false
    }

    fn groupable(&self) -> bool {
        false
    }

    fn value_schema(&self) -> serde_json::Value {
        serde_json::json!({})
    }
}

/// The nodes of a rich text, each with the nodes that it may hold.
const NODES: [&str; 11] =
    ["doc", "paragraph", "heading", "bullet_list", "ordered_list", "list_item", "blockquote", "code_block", "horizontal_rule", "text", "hard_break"];
const MARKS: [&str; 6] = ["bold", "italic", "underline", "strike", "code", "link"];

/// The values of a rich text field: `{"type": "doc", "content": […]}`; a plain string becomes paragraphs.
#[derive(Clone, Debug)]
pub struct RichTextField;

fn check_node(node: &serde_json::Value, at: &str, faults: &mut Vec<Reject>) {
    let fault = |pointer: String, name: &str| Reject { code: Code::BadFormat, message: Message::new("unknown_key").with("name", name), pointer };
    let Some(map) = node.as_object() else {
        faults.push(Reject { pointer: at.to_owned(), ..Reject::wrong_type("{…}") });
        return;
    };
    let kind = map.get("type").and_then(serde_json::Value::as_str).unwrap_or_default();
    if !NODES.contains(&kind) {
        faults.push(fault(format!("{at}/type"), kind));
    }
    for (key, value) in map {
        match (key.as_str(), value) {
            ("type", _) => {}
            ("content", serde_json::Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    check_node(item, &format!("{at}/content/{index}"), faults);
                }
            }
            ("text", serde_json::Value::String(_)) if kind == "text" => {}
            ("attrs", serde_json::Value::Object(attributes)) => {
                let known = attributes.iter().all(|(name, value)| name == "level" && value.as_u64().is_some_and(|level| (1..=6).contains(&level)));
                if !known {
                    faults.push(fault(format!("{at}/attrs"), "attrs"));
                }
            }
            ("marks", serde_json::Value::Array(marks)) => {
                for (index, mark) in marks.iter().enumerate() {
                    if !mark_is_known(mark) {
                        faults.push(fault(format!("{at}/marks/{index}"), "marks"));
                    }
                }
            }
            _ => faults.push(fault(format!("{at}/{}", crate::fault::escape_pointer(key)), key)),
        }
    }
}

/// A link may lead to the web, to mail and to a phone, never to a script.
fn mark_is_known(mark: &serde_json::Value) -> bool {
    let kind = mark.get("type").and_then(serde_json::Value::as_str).unwrap_or_default();
    let href = mark.pointer("/attrs/href").and_then(serde_json::Value::as_str);
    MARKS.contains(&kind)
        && match (kind, href) {
            ("link", Some(href)) => ["https://", "http://", "mailto:", "tel:"].iter().any(|scheme| href.starts_with(scheme)),
            ("link", None) => false,
            _ => true,
        }
}

fn plain_text(node: &serde_json::Value, out: &mut String) {
    if let Some(text) = node.get("text").and_then(serde_json::Value::as_str) {
        out.push_str(text);
    }
    for item in node.get("content").and_then(serde_json::Value::as_array).into_iter().flatten() {
        plain_text(item, out);
    }
    if matches!(node.get("type").and_then(serde_json::Value::as_str), Some("paragraph" | "heading" | "hard_break" | "list_item"))
        && !out.ends_with('\n')
    {
        out.push('\n');
    }
}

impl TypedField for RichTextField {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(Storage::Json), ColumnSpec::FOLD]
    }

    fn accept(&self, input: &Input, _: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        let json = match input {
            Input::Text(text) if text.trim().is_empty() => return Ok(vec![Value::Null]),
            Input::Text(text) => {
                let paragraphs: Vec<_> = text
                    .lines()
                    .map(|line| match line {
                        "" => serde_json::json!({"type": "paragraph"}),
                        line => serde_json::json!({"type": "paragraph", "content": [{"type": "text", "text": line}]}),
                    })
                    .collect();
                serde_json::json!({"type": "doc", "content": paragraphs})
            }
            other => read_document(other).map_err(|reject| vec![reject])?,
        };
        if has_nul(&json) {
            return Err(vec![Reject::new(Code::BadFormat, Message::new("nul"))]);
        }
        let mut faults = Vec::new();
        if json.get("type").and_then(serde_json::Value::as_str) != Some("doc") {
            faults.push(Reject::wrong_type("{\"type\": \"doc\", \"content\": […]}"));
        } else {
            check_node(&json, "", &mut faults);
        }
        if faults.is_empty() { Ok(vec![Value::Json(Arc::new(json))]) } else { Err(faults) }
    }

    fn write_json(&self, cells: &[Value], _: Numbers, out: &mut Vec<u8>) {
        crate::json::write_value(cells.first().unwrap_or(&Value::Null), out);
    }

    fn operators(&self) -> &'static [Op] {
        &[Op::Contains, Op::NotContains, Op::IsEmpty, Op::IsSet]
    }

    fn comparable(&self) -> Comparable {
        Comparable::Folded
    }

    fn operand(&self, _: Op, input: &Input) -> Result<Value, Reject> {
        text_operand(input)
    }

    fn text(&self, cells: &[Value], _: TextContext<'_>) -> String {
        let mut out = String::new();
        if let Some(Value::Json(json)) = cells.first() {
            plain_text(json, &mut out);
        }
        out.trim_end().to_owned()
    }

    fn sortable(&self) -> bool {
        false
    }

    fn groupable(&self) -> bool {
        false
    }

    fn value_schema(&self) -> serde_json::Value {
        serde_json::json!({"type": ["object", "string", "null"]})
    }
}

/// The values of a secret; they rest sealed and nothing is ever read back.
#[derive(Clone, Debug)]
pub struct SecretField;

impl TypedField for SecretField {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(Storage::Text)]
    }

    fn accept(&self, input: &Input, _: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        let text = input.as_text().ok_or_else(|| vec![Reject::wrong_type("\"…\"")])?;
        Ok(vec![if text.is_empty() { Value::Null } else { Value::text(text) }])
    }

    fn write_json(&self, _: &[Value], _: Numbers, out: &mut Vec<u8>) {
        out.extend_from_slice(b"null");
    }

    fn operators(&self) -> &'static [Op] {
        &[]
    }

    fn comparable(&self) -> Comparable {
        Comparable::Nothing
    }

    fn operand(&self, _: Op, _: &Input) -> Result<Value, Reject> {
        Err(Reject::wrong_type("-"))
    }

    fn text(&self, _: &[Value], _: TextContext<'_>) -> String {
        String::new()
    }

    fn sortable(&self) -> bool {
        false
    }

    fn groupable(&self) -> bool {
        false
    }

    fn value_schema(&self) -> serde_json::Value {
        serde_json::json!({"type": ["string", "null"], "writeOnly": true})
    }
}
