//! In charge of titles: the text that names a record.
//! Invariant: a title shows a reader only fields that the reader may read; what is hidden is left out.
//! Invariant: every entity has one: its template, else a field called `title` or `name`, else its first text.

use model::field::{Role, TextContext};
use model::{Diagnostic, EntityDef, FieldDef, Schema, Value};
use rules::query::{Hop, Path, SystemView, View, resolve_path};
use rules::text::{Escape, Piece, TextTemplate};

/// What names a record of one entity.
#[derive(Debug)]
pub struct Title {
    template: Option<TextTemplate>,
    inputs: Vec<TitleInput>,
    /// The parts of a plain title: an input, or a text as it is.
    plain: Option<Vec<Part>>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Input(usize),
}

/// One field that a title shows.
#[derive(Clone, Debug)]
pub struct TitleInput {
    /// The name as the template writes it.
    pub name: Vec<String>,
    /// The field.
    pub path: Path,
}

impl Title {
    /// Compiles the title of `def`; faults are told at `at`.
    pub(crate) fn compile(schema: &Schema, def: &EntityDef, at: &str, faults: &mut Vec<Diagnostic>) -> Self {
        let written = match (def.find("title"), &def.doc.title) {
            (Some(_), _) => "{{ title }}".to_owned(),
            (None, Some(template)) => template.clone(),
            (None, None) => naming_field(def).map_or_else(|| "{{ id }}".to_owned(), |field| format!("{{{{ {} }}}}", field.name)),
        };
        let template = match TextTemplate::compile(&written, Escape::None) {
            Ok(template) => template,
            Err(message) => {
                faults.push(Diagnostic::error(at, message));
                return Self { template: None, inputs: Vec::new(), plain: Some(Vec::new()) };
            }
        };
        let mut inputs = Vec::new();
        for name in template.names() {
            match resolve_path(schema, def.id, &name.join("."), &SystemView, at) {
                Ok(path) => inputs.push(TitleInput { name, path: named(schema, path) }),
                Err(fault) => faults.push(Diagnostic::error(at, fault.wording.text("en"))),
            }
        }
        let plain = template.simple().map(|pieces| pieces.iter().filter_map(|piece| part(piece, &inputs)).collect());
        Self { template: Some(template), inputs, plain }
    }

    /// The fields that it shows.
    #[must_use]
    pub fn inputs(&self) -> &[TitleInput] {
        &self.inputs
    }

    /// The title; `text` gives the text of each input, empty where it is out of sight.
    #[must_use]
    pub fn render(&self, mut text: impl FnMut(usize) -> String) -> String {
        if let Some(parts) = &self.plain {
            let mut title = String::new();
            for part in parts {
                match part {
                    Part::Text(plain) => title.push_str(plain),
                    Part::Input(index) => title.push_str(&text(*index)),
                }
            }
            return title.trim().to_owned();
        }
        let values: Vec<(Vec<String>, String)> = self.inputs.iter().enumerate().map(|(index, input)| (input.name.clone(), text(index))).collect();
        let rendered = self.template.as_ref().map(|template| template.render_texts(&values));
        match rendered {
            Some(Ok(title)) => title.trim().to_owned(),
            // A template that cannot be rendered for this record (a limit) names it by what it would have shown.
            Some(Err(_)) | None => values.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ").trim().to_owned(),
        }
    }
}

/// The text of a title's input for a reader: nothing where the reader may not read the field.
#[must_use]
pub fn input_text(schema: &Schema, view: &dyn View, input: &TitleInput, cells: &[Value], cx: TextContext<'_>) -> String {
    let def = schema.entity(input.path.entity);
    let field = input.path.target(schema);
    if view.field(def, field.name.as_str()).is_none() {
        return String::new();
    }
    field.typed.as_ref().map(|typed| typed.text(cells, cx)).unwrap_or_default()
}

fn part(piece: &Piece, inputs: &[TitleInput]) -> Option<Part> {
    match piece {
        Piece::Text(text) => Some(Part::Text(text.clone())),
        Piece::Path(path) => inputs.iter().position(|input| input.name.join(".") == *path).map(Part::Input),
    }
}

/// The field that names a record of an entity without a template.
fn naming_field(def: &EntityDef) -> Option<&FieldDef> {
    let own = |field: &&FieldDef| !field.system && field.typed.is_some();
    def.find("name").or_else(|| def.fields.iter().filter(own).find(|field| field.doc.kind == "text" || field.doc.kind == "autonumber"))
}

/// A path that ends at a reference goes on to the field that names its target: an id says nothing to a person.
fn named(schema: &Schema, mut path: Path) -> Path {
    let field = path.target(schema);
    if let (Role::Reference(_), [target]) = (&field.role, field.targets.as_slice())
        && let Some(name) = naming_field(schema.entity(*target))
        && path.hops.len() < model::filter::MAX_HOPS
    {
        let rows = std::sync::Arc::new(rules::query::Predicate::True);
        path.hops.push(Hop { from: path.entity, field: path.field, to: *target, rows });
        path.entity = *target;
        path.field = name.id;
    }
    path
}
