//! In charge of checking public forms: a visitor enters what a page can ask, and nothing that leads further.

use super::checking::Checking;
use super::fields::is_computed;
use super::world::Known;
use crate::doc::{FormOn, WebForm, WebFormField};
use crate::name::Name;

/// The kinds of fields that a visitor may enter: plain values, none that takes a file. A reference is one of the records that the
/// form opens.
const ENTERED: [&str; 19] = [
    "text",
    "long_text",
    "email",
    "phone",
    "url",
    "integer",
    "decimal",
    "money",
    "percent",
    "rating",
    "boolean",
    "date",
    "datetime",
    "time",
    "duration",
    "choice",
    "choices",
    "color",
    "barcode",
];

/// Checks every public form of the app.
pub(super) fn check(c: &mut Checking<'_, '_>) {
    let app = c.app;
    for (name, form) in &app.web_forms {
        web_form(c, &format!("/web_forms/{name}"), form);
    }
}

fn web_form(c: &mut Checking<'_, '_>, at: &str, form: &WebForm) {
    c.order(&format!("{at}/order"), "field", form.order.iter().flatten().map(Name::as_str), form.fields.keys().map(Name::as_str));
    if form.limit.is_some_and(|limit| limit.per_hour == 0) {
        c.error(format!("{at}/limit/per_hour"), "a form that may be sent 0 times takes nothing: leave it out or remove the form");
    }
    for (index, origin) in form.embed.iter().enumerate() {
        if !is_origin(origin) {
            c.error(format!("{at}/embed/{index}"), format!("`{origin}` is no origin such as https://www.example.com"));
        }
    }
    let Some(entity) = c.entity(&format!("{at}/entity"), &form.entity) else { return };
    c.values(&format!("{at}/values"), entity, form.values.iter().map(|(name, value)| (name.as_str(), value)));
    for (index, name) in form.show.iter().enumerate() {
        c.field(format!("{at}/show/{index}"), entity, name.as_str());
    }
    for (index, name) in form.edit.iter().enumerate() {
        entered(c, &format!("{at}/edit/{index}"), entity, name, form.fields.get(name));
    }
    for (name, input) in &form.fields {
        entered(c, &format!("{at}/fields/{name}"), entity, name, Some(input));
    }
    if let Some(stage) = &form.moves {
        c.stage(&format!("{at}/move"), entity, stage.as_str());
    }
    if let Some(span) = &form.expires {
        c.duration_text(&format!("{at}/expires"), span);
    }
    if let Some(verify) = &form.verify {
        c.path(format!("{at}/verify/field"), entity, &verify.field);
    }
    if let Some(duplicate) = &form.duplicate {
        let known: Vec<&str> = entity.doc.duplicates.keys().map(Name::as_str).collect();
        if c.one_of(format!("{at}/duplicate/rule"), "rule of duplicates", duplicate.rule.as_str(), known) {
            rule(c, &format!("{at}/duplicate/rule"), entity, &duplicate.rule);
        }
    }
    match form.on {
        FormOn::New => new(c, at, entity, form),
        FormOn::Existing => existing(c, at, form),
    }
}

/// A field that a visitor enters.
fn entered<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, name: &Name, input: Option<&WebFormField>) {
    let Some(field) = c.field(at, entity, name.as_str()) else {
        if entity.has(name.as_str()) {
            c.error(at, format!("a visitor cannot enter `{name}`, which is the engine's"));
        }
        return;
    };
    if is_computed(field) || field.common.read_only {
        c.error(at, format!("`{name}` is not entered by anybody"));
    } else if field.kind == "reference" {
        if input.is_none_or(|input| input.choose.is_none()) {
            c.error(at, format!("say which records a visitor may choose for `{name}`, and what they read of them: `choose`"));
        }
    } else if input.is_some_and(|input| input.choose.is_some()) {
        c.error(format!("{at}/choose"), format!("`{name}` is no reference: nothing is chosen for it"));
    } else if !ENTERED.contains(&field.kind.as_str()) {
        c.error(at, format!("a visitor cannot enter a field of kind `{}`", field.kind));
    }
}

/// What is about a record that is there does something with it.
fn existing(c: &mut Checking<'_, '_>, at: &str, form: &WebForm) {
    if form.duplicate.is_some() {
        c.error(format!("{at}/duplicate"), "a form about a record that is there makes no duplicate");
    }
    if form.edit.is_empty() && form.moves.is_none() && form.values.is_empty() {
        c.error(format!("{at}/edit"), "this form does nothing: say what is edited, or where the record moves");
    }
    for name in form.fields.keys().filter(|name| !form.edit.contains(name)) {
        c.error(format!("{at}/fields/{name}"), format!("`{name}` is not among the fields of `edit`"));
    }
}

/// What makes a new record gives all that one needs.
fn new<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, form: &WebForm) {
    if form.fields.is_empty() {
        c.error(format!("{at}/fields"), "this form asks for nothing");
    }
    for (key, is_set) in [
        ("show", !form.show.is_empty()),
        ("edit", !form.edit.is_empty()),
        ("move", form.moves.is_some()),
        ("expires", form.expires.is_some()),
        ("once", form.once),
        ("verify", form.verify.is_some()),
    ] {
        if is_set {
            c.error(format!("{at}/{key}"), format!("`{key}` is for forms about a record that is there: `\"on\": \"existing\"`"));
        }
    }
    for name in form.fields.keys().filter(|name| form.values.contains_key(*name)) {
        c.error(format!("{at}/values/{name}"), format!("`{name}` is entered by the visitor already"));
    }
    let given = |name: &str| form.fields.contains_key(name) || form.values.contains_key(name);
    for (name, (_, field)) in &entity.fields {
        if field.common.required && field.common.default.is_none() && !is_computed(field) && !given(name) {
            c.error(format!("{at}/fields"), format!("`{name}` is required: without it no record can be made"));
        }
    }
}

/// A rule that a form looks duplicates up by finds them by something that is the same.
fn rule(c: &mut Checking<'_, '_>, at: &str, entity: &Known<'_>, name: &Name) {
    let parts = entity.doc.duplicates.get(name).and_then(|rule| rule.get("match")).and_then(serde_json::Value::as_array);
    let by_same = |part: &serde_json::Value| part.get("by").and_then(serde_json::Value::as_str) == Some("same");
    if parts.is_some_and(|parts| !parts.iter().any(by_same)) {
        c.error(at, format!("`{name}` compares nothing by `same`: among all records none could be found at once"));
    }
}

/// `https://www.example.com`, with a port or without, and nothing behind it.
fn is_origin(text: &str) -> bool {
    let Some(host) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte));
    is_name && port.is_none_or(|port| port.parse::<u16>().is_ok())
}
