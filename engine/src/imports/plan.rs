//! In charge of an import document compiled for one header and one caller: which cell becomes which field, and how rows are told apart.
//! Invariant: names resolve against the caller's own view; a field out of sight is answered like one that is not there.
//! Invariant: what does not compile is told with all its faults before the first row is read.

use std::cell::OnceCell;

use model::doc::{EmptyCell, FindBy, IfMissing, Import, ImportDuplicates, ImportMode, ValueSpec};
use model::field::{ColumnUse, Role};
use model::text::fold;
use model::{Code, EntityDef, EntityId, FieldDef, FieldId, Input, Message, Slot, Value, Violation};
use rules::expr::{Expression, Use};
use uuid::Uuid;

use super::read::Row;
use super::recipe::{self, Recipe, RowView};
use super::words::{DecimalSign, Habits, Target, text_of};
use crate::ctx::Ctx;
use crate::error::Error;

/// A document compiled for a header.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) entity: EntityId,
    /// The app whose settings expressions read.
    pub(crate) app: String,
    /// The revision that the names were resolved in.
    pub(crate) revision: i64,
    pub(crate) columns: Vec<String>,
    pub(crate) steps: Vec<Step>,
    pub(crate) finds: Vec<Find>,
    pub(crate) key: Key,
    pub(crate) mode: ImportMode,
    /// Whether empty cells empty fields.
    pub(crate) clear: bool,
    /// Whether rows that may be there already are taken.
    pub(crate) accepts_duplicates: bool,
    pub(crate) habits: Habits,
    condition: Option<Expression>,
    record: model::Cells,
}

/// One field that rows fill.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) target: Target,
    recipe: Recipe,
    /// The look-up that the value goes through.
    pub(crate) find: Option<usize>,
    /// Whether values that are ids already pass the look-up.
    ids_pass: bool,
    /// Whether the value is added to what is there.
    pub(crate) add: bool,
}

/// A look-up of records by a field.
#[derive(Debug)]
pub(crate) struct Find {
    pub(crate) entity: EntityId,
    pub(crate) field: FieldId,
    /// The slot that is compared.
    pub(crate) slot: Slot,
    by: Target,
    pub(crate) missing: IfMissing,
    /// Whether a record that is not there may come with a later row.
    pub(crate) waits: bool,
}

/// How rows find the records that they change; closed.
#[derive(Debug)]
pub(crate) enum Key {
    /// Not at all: each row is a new record.
    None,
    /// By the id in a column.
    Id(usize),
    /// By values: steps with the slots that are compared.
    Fields(Vec<KeyField>),
}

/// One field of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyField {
    pub(crate) step: usize,
    pub(crate) field: FieldId,
    pub(crate) slot: Slot,
}

/// A row with its values made.
#[derive(Clone, Debug)]
pub(crate) struct Mapped {
    pub(crate) row: Row,
    /// Its place among the rows of the file, from 0.
    pub(crate) ordinal: u64,
    /// The revision that its values were made under.
    pub(crate) revision: i64,
    /// A value for each step.
    pub(crate) made: Vec<Made>,
    /// The id that it names.
    pub(crate) id: Option<String>,
    /// Why it is not written.
    pub(crate) early: Option<Early>,
}

/// Why a row is not even tried; closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Early {
    /// It does not count.
    Skipped,
    /// It is faulty.
    Failed(String),
}

/// A value of a row; closed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Made {
    /// The field stays as it is.
    Keep,
    /// This.
    Input(Input),
    /// The records that these keys lead to.
    Find(Vec<Sought>),
}

/// A key of a look-up.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sought {
    /// The key as text: equal keys have equal texts.
    pub(crate) key: String,
    /// The key as the database compares it.
    pub(crate) value: Value,
    /// The value as the file says it.
    pub(crate) shown: String,
}

/// The columns of a file.
pub(crate) struct Columns<'a>(pub(crate) &'a [String]);

impl Columns<'_> {
    /// The column called `name`; case and blanks around do not matter.
    pub(crate) fn find(&self, name: &str) -> Result<usize, Message> {
        let same = |wanted: &str, there: &str| fold(wanted.trim()) == fold(there.trim());
        let found = self.0.iter().position(|there| there == name).or_else(|| self.0.iter().position(|there| same(name, there)));
        found.ok_or_else(|| match rules::query::likely(name, self.0.iter().map(String::as_str)) {
            Some(hint) => Message::new("import_no_column_hint").with("name", name).with("hint", hint),
            None => Message::new("import_no_column").with("name", name),
        })
    }
}

/// The entity that a document is about, for this caller.
pub(crate) fn entity_of<'a>(cx: &'a Ctx, app: Option<&str>, name: &str) -> Result<&'a EntityDef, Error> {
    let schema = &cx.app.schema;
    let found = app.and_then(|app| schema.find_from(app, name)).or_else(|| schema.find(name));
    found.filter(|def| cx.grants.sees(def.id)).ok_or_else(|| Error::unknown_entity(name))
}

struct Compiling<'a> {
    cx: &'a Ctx,
    def: &'a EntityDef,
    app: String,
    columns: Columns<'a>,
    /// Entities that this import writes.
    written: &'a [EntityId],
    steps: Vec<Step>,
    finds: Vec<Find>,
    id: Option<usize>,
    faults: Vec<Violation>,
}

/// Compiles `document` for a header. `app` is the app that the document is of; `written` are all entities of the import.
///
/// # Errors
/// Every fault of the document.
pub(crate) fn compile(cx: &Ctx, app: Option<&str>, document: &Import, header: &[String], written: &[EntityId], shift: i64) -> Result<Plan, Error> {
    let def = entity_of(cx, app, &document.entity)?;
    let app = app.unwrap_or_else(|| def.name.app()).to_owned();
    let mut c = Compiling { cx, def, app, columns: Columns(header), written, steps: Vec::new(), finds: Vec::new(), id: None, faults: Vec::new() };
    if document.values.is_empty() {
        header.iter().enumerate().for_each(|(index, name)| c.by_header(index, name));
    } else {
        document.values.iter().for_each(|(name, spec)| c.by_document(name.as_str(), spec));
    }
    let key = c.key(document);
    let condition = c.condition(document);
    let decimal = c.decimal(document);
    if !c.faults.is_empty() {
        return Err(Error::Invalid(c.faults));
    }
    let mode = match (document.mode, &key) {
        (Some(mode), _) => mode,
        (None, Key::None) => ImportMode::Create,
        (None, _) => ImportMode::Upsert,
    };
    Ok(Plan {
        entity: def.id,
        revision: cx.app.revision,
        columns: header.to_vec(),
        key: if mode == ImportMode::Create { Key::None } else { key },
        mode,
        clear: document.empty == Some(EmptyCell::Clear),
        accepts_duplicates: document.duplicates == Some(ImportDuplicates::Accept),
        habits: Habits { decimal, zone: cx.zone, shift },
        condition,
        record: def.empty(),
        app: c.app,
        steps: c.steps,
        finds: c.finds,
    })
}

impl<'a> Compiling<'a> {
    fn fault(&mut self, at: String, message: Message) {
        self.faults.push(Violation::at(at, Code::BadFormat, message));
    }

    /// The field that a header names: by name or by label in any language, with the field of a reference's target behind a dot.
    fn by_header(&mut self, index: usize, header: &str) {
        const OF_REPORTS: [&str; 4] = ["_row", "_reason", "title", "titles"];
        if header.is_empty() || (OF_REPORTS.contains(&header) && self.def.find(header).is_none()) {
            return;
        }
        if header == "id" {
            self.id = Some(index);
            return;
        }
        let field = self.field_called(header);
        let (field, by) = match (field, header.split_once('.')) {
            (Some(field), _) => (field, None),
            (None, Some((name, by))) => {
                match self.field_called(name).filter(|field| matches!(field.role, Role::Reference(_) | Role::References(_))) {
                    Some(field) => (field, Some(by.to_owned())),
                    None => return self.unknown(header),
                }
            }
            (None, None) => return self.unknown(header),
        };
        // An export holds what nobody writes: such columns are passed over.
        let writable_system = matches!(field.name.as_str(), "owner" | "department" | "position");
        if field.computed() || (field.system && !writable_system) {
            return;
        }
        let target = Target::of(self.def, self.cx.app.plan(self.def.id), field);
        let mut step = Step { target, recipe: Recipe::column(index), find: None, ids_pass: true, add: false };
        if let (Role::Reference(_) | Role::References(_), Some(far)) = (&field.role, field.targets.first()) {
            let by = by.or_else(|| naming(self.cx, self.cx.app.schema.entity(*far)));
            if let Some(by) = by {
                step.find = self.find(*far, &by, None, &format!("/{header}"));
            }
        }
        self.steps.push(step);
    }

    fn field_called(&self, name: &str) -> Option<&'a FieldDef> {
        if let Some(field) = self.cx.grants.field(self.def, name) {
            return Some(field);
        }
        let folded = fold(name);
        let mut fits = self.def.fields.iter().filter(|field| {
            let labelled = match &field.doc.common.label {
                Some(model::Label::Plain(text)) => fold(text) == folded,
                Some(model::Label::Localised(texts)) => texts.values().any(|text| fold(text) == folded),
                None => false,
            };
            (labelled || fold(field.name.as_str()) == folded) && self.cx.grants.field(self.def, field.name.as_str()).is_some()
        });
        let first = fits.next();
        if fits.next().is_some() { None } else { first }
    }

    fn unknown(&mut self, name: &str) {
        self.faults.push(crate::records::accept::unknown_field(self.cx, self.def, name));
    }

    fn by_document(&mut self, name: &str, spec: &ValueSpec) {
        let at = format!("/values/{}", model::fault::escape_pointer(name));
        let made = recipe::compile(self.cx, &self.app, self.def.id, &self.columns, spec);
        let recipe = match made {
            Ok(recipe) => recipe,
            Err(detail) => return self.fault(at, Message::new("import_bad_value").with("name", name).with("detail", detail)),
        };
        if name == "id" {
            if let ValueSpec::Rule(rule) = spec
                && let Some(from) = &rule.from
            {
                self.id = self.columns.find(from).ok();
            }
            return;
        }
        let Some(field) = self.cx.grants.field(self.def, name) else { return self.unknown(name) };
        let target = Target::of(self.def, self.cx.app.plan(self.def.id), field);
        let mut step = Step { target, recipe, find: None, ids_pass: false, add: false };
        if let ValueSpec::Rule(rule) = spec {
            step.add = rule.add && step.target.is_many();
            if let Some(FindBy { entity, by }) = &rule.find {
                match entity_of(self.cx, Some(&self.app), entity) {
                    Ok(far) => step.find = self.find(far.id, by, rule.if_missing, &format!("{at}/find")),
                    Err(_) => self.fault(format!("{at}/find/entity"), Message::new("unknown_entity").with("name", entity)),
                }
            } else if step.target.is_reference() {
                // Without `find` a reference takes ids, and names where there is a field that names.
                step.ids_pass = true;
                if let Some((far, by)) = field.targets.first().and_then(|far| Some((*far, naming(self.cx, self.cx.app.schema.entity(*far))?))) {
                    step.find = self.find(far, &by, rule.if_missing, &at);
                }
            }
        }
        self.steps.push(step);
    }

    fn find(&mut self, far: EntityId, by: &str, missing: Option<IfMissing>, at: &str) -> Option<usize> {
        let def = self.cx.app.schema.entity(far);
        let grant = self.cx.grants.entity(far);
        let field = self.cx.grants.field(def, by).filter(|field| grant.comparable(field.id));
        let Some((field, slot)) = field.and_then(|field| Some((field, key_slot(def, field)?))) else {
            self.faults.push(Violation { pointer: at.to_owned(), ..crate::records::accept::unknown_field(self.cx, def, by) });
            return None;
        };
        let by = Target::of(def, self.cx.app.plan(far), field);
        self.finds.push(Find { entity: far, field: field.id, slot, by, missing: missing.unwrap_or_default(), waits: self.written.contains(&far) });
        Some(self.finds.len() - 1)
    }

    fn key(&mut self, document: &Import) -> Key {
        match (document.key.as_slice(), self.id) {
            ([], Some(id)) => return Key::Id(id),
            ([], None) => {
                if document.mode == Some(ImportMode::Update) {
                    self.fault("/key".to_owned(), Message::new("import_key_needed"));
                }
                return Key::None;
            }
            ([name], Some(id)) if name.as_str() == "id" => return Key::Id(id),
            _ => {}
        }
        let mut fields = Vec::new();
        for (index, name) in document.key.iter().enumerate() {
            let step = self.steps.iter().position(|step| step.target.name == name.as_str());
            let slot = self.def.find(name.as_str()).and_then(|field| Some((field.id, key_slot(self.def, field)?)));
            match step.zip(slot) {
                Some((step, (field, slot))) => fields.push(KeyField { step, field, slot }),
                None => self.fault(format!("/key/{index}"), Message::new("import_no_key").with("name", name)),
            }
        }
        Key::Fields(fields)
    }

    fn condition(&mut self, document: &Import) -> Option<Expression> {
        match recipe::expression(self.cx, &self.app, self.def.id, document.condition.as_deref()?, Use::Condition) {
            Ok(expression) => Some(expression),
            Err(detail) => {
                self.fault("/if".to_owned(), Message::new("import_bad_value").with("name", "if").with("detail", detail));
                None
            }
        }
    }

    fn decimal(&mut self, document: &Import) -> DecimalSign {
        match document.decimal.as_deref() {
            None | Some("." | "point") => DecimalSign::Point,
            Some("," | "comma") => DecimalSign::Comma,
            Some(other) => {
                self.fault("/decimal".to_owned(), Message::new("import_bad_setting").with("name", "decimal").with("value", other));
                DecimalSign::Point
            }
        }
    }
}

/// The slot that a look-up compares: the folded text, else the value.
pub(crate) fn key_slot(def: &EntityDef, field: &FieldDef) -> Option<Slot> {
    let folded = field.slots.clone().find(|slot| def.columns.get(*slot).is_some_and(|column| column.purpose == ColumnUse::Fold));
    folded.or(field.slot())
}

/// The field by which people name records of an entity.
fn naming(cx: &Ctx, def: &EntityDef) -> Option<String> {
    let seen = |name: &str| cx.grants.field(def, name).filter(|field| field.typed.is_some()).map(|field| field.name.to_string());
    seen("name").or_else(|| seen("title")).or_else(|| {
        let own = def.fields.iter().filter(|field| !field.system && field.doc.common.unique);
        own.map(|field| field.name.as_str()).find_map(seen)
    })
}

/// A key as text; equal keys have equal texts.
pub(crate) fn key_text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        other => text_of(other, chrono_tz::UTC),
    }
}

impl Find {
    /// The key that a file's value leads to; none where it can lead nowhere.
    pub(crate) fn sought(&self, cx: &Ctx, value: &Value, habits: Habits) -> Option<Sought> {
        let shown = text_of(value, habits.zone).trim().to_owned();
        let def = cx.app.schema.entity(self.entity);
        let key = cell_of(cx, def, self.field, self.slot, &self.by.fit(value, habits))?;
        Some(Sought { key: key_text(&key), value: key, shown })
    }

    /// What is sent to make a record with just this value.
    pub(crate) fn value_name(&self) -> &str {
        &self.by.name
    }
}

/// The cell that a field makes of an input, in the slot that is compared; none where the field refuses it.
pub(crate) fn cell_of(cx: &Ctx, def: &EntityDef, field: FieldId, slot: Slot, input: &Input) -> Option<Value> {
    let field = def.field(field);
    if field.name.as_str() == "id" {
        return input.as_text().and_then(|text| Uuid::try_parse(text).ok()).map(Value::Uuid);
    }
    let typed = field.typed.as_ref()?;
    let accepted = typed.accept(input, &model::field::AcceptContext { now: cx.now, sibling: &|_| None }).ok()?;
    let value = accepted.into_iter().next()?;
    match (&value, def.columns.get(slot).map(|column| column.purpose)) {
        (Value::Null, _) => None,
        (Value::Text(text), Some(ColumnUse::Fold)) => Some(Value::text(&fold(text))),
        _ => Some(value),
    }
}

impl Plan {
    /// Makes a row's values. `cx` must be of the plan's own revision.
    pub(crate) fn map(&self, cx: &Ctx, row: Row, ordinal: u64) -> Mapped {
        let mut mapped = Mapped { row, ordinal, revision: self.revision, made: Vec::new(), id: None, early: None };
        if let Some(fault) = &mapped.row.fault {
            mapped.early = Some(Early::Failed(fault.text(&cx.locale)));
            return mapped;
        }
        let view = RowView {
            cx,
            app: &self.app,
            entity: self.entity,
            habits: self.habits,
            columns: &self.columns,
            cells: &mapped.row.cells,
            record: &self.record,
            values: OnceCell::new(),
            json: OnceCell::new(),
        };
        let made = self.made(&view);
        if let Key::Id(column) = self.key {
            mapped.id = mapped.row.cells.get(column).map(|cell| text_of(cell, self.habits.zone)).filter(|text| !text.is_empty());
        }
        match made {
            Ok(made) => mapped.made = made,
            Err(early) => mapped.early = Some(early),
        }
        mapped
    }

    fn made(&self, view: &RowView<'_>) -> Result<Vec<Made>, Early> {
        if let Some(condition) = &self.condition {
            match view.evaluate(condition).map_err(Early::Failed)? {
                Value::Bool(true) => {}
                _ => return Err(Early::Skipped),
            }
        }
        let (mut made, mut faults) = (Vec::with_capacity(self.steps.len()), Vec::new());
        for step in &self.steps {
            match step.recipe.make(view) {
                Ok(value) => made.push(self.value(step, &value, view)),
                Err(detail) => faults.push(format!("{}: {detail}", self.label(view.cx, step))),
            }
        }
        if faults.is_empty() { Ok(made) } else { Err(Early::Failed(faults.join("; "))) }
    }

    fn value(&self, step: &Step, value: &Value, view: &RowView<'_>) -> Made {
        let is_empty = value.is_null() || value.as_text().is_some_and(|text| text.trim().is_empty());
        if is_empty {
            return if self.clear { Made::Input(Input::Null) } else { Made::Keep };
        }
        let Some(find) = step.find.and_then(|find| self.finds.get(find)) else { return Made::Input(step.target.fit(value, self.habits)) };
        let items: Vec<Value> = match value {
            Value::List(items) => items.to_vec(),
            // Names may hold commas, so only `split` splits what is looked up by name.
            other => vec![other.clone()],
        };
        let is_id = |item: &Value| item.as_text().is_some_and(|text| Uuid::try_parse(text.trim()).is_ok());
        if step.ids_pass && items.iter().all(is_id) {
            return Made::Input(step.target.fit(value, self.habits));
        }
        let sought = items.iter().map(|item| {
            let shown = || text_of(item, self.habits.zone);
            find.sought(view.cx, item, self.habits).unwrap_or_else(|| Sought { key: String::new(), value: Value::Null, shown: shown() })
        });
        Made::Find(sought.collect())
    }

    /// What people call the field of a step.
    pub(crate) fn label<'c>(&self, cx: &'c Ctx, step: &'c Step) -> &'c str {
        let field = cx.app.schema.entity(self.entity).field(step.target.field);
        field.doc.label(field.name.as_str(), &cx.locale)
    }
}
