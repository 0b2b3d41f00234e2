//! In charge of what an answer shows of a record: fields, far fields, titles, and their JSON.
//! Reading order: `Shape` (what was asked), `Plan` (the same for one caller and entity), `Plan::write` (a row's bytes).
//! Invariant: a plan holds nothing that the caller may not read; a field under a condition is looked at row by row.

use model::field::{Numbers, Role, TextContext};
use model::schema::Slot;
use model::{Cells, EntityDef, EntityId, FieldDef, FieldId, Value, Violation};
use rules::expr::{Expression, Place, Use};
use rules::policy::Access;
use rules::query::{Hop, Path, View, resolve_path};
use store::Row;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::lookup::Reader;
use crate::titles::{TitleInput, input_text};

/// What an answer shows.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// Fields and paths; all of the record's own fields where absent.
    pub fields: Option<Vec<String>>,
    /// Whether the titles of references stand beside their ids.
    pub titles: bool,
    /// References and relations whose records are given whole.
    pub expand: Vec<String>,
    /// How numbers leave.
    pub numbers: Numbers,
}

/// What an answer shows of one entity's records to one caller.
pub(crate) struct Plan<'a> {
    cx: &'a Ctx,
    pub(crate) def: &'a EntityDef,
    numbers: Numbers,
    outs: Vec<Out>,
    titles: Vec<(Vec<u8>, TitlePlan)>,
    own_title: Option<TitlePlan>,
    /// The slots that rows must hold.
    pub(crate) slots: Vec<Slot>,
    /// The far fields that rows must hold.
    pub(crate) paths: Vec<Path>,
}

/// A title and where the rows hold what it shows.
struct TitlePlan {
    entity: EntityId,
    /// For each input: a far path of the plan, or a field of the record itself.
    inputs: Vec<(TitleInput, Source)>,
}

#[derive(Clone, Copy)]
enum Source {
    Own(FieldId),
    Far(usize),
}

struct Out {
    /// `"name":`
    key: Vec<u8>,
    what: What,
    access: Access,
}

enum What {
    /// A field of the record.
    Own(FieldId),
    /// A reference whose target may be out of sight: the id as the path gives it.
    InSight(usize),
    /// A list of references; ids out of sight are left out.
    ManyInSight(FieldId, EntityId),
    /// An any-reference; null where its target is out of sight.
    AnyInSight(FieldId),
    /// A formula that is computed on read.
    Computed(Expression),
    /// A far field.
    Far(usize, EntityId, FieldId),
}

impl<'a> Plan<'a> {
    /// What `shape` shows of records of `def` to the caller.
    pub(crate) fn new(cx: &'a Ctx, def: &'a EntityDef, shape: &Shape) -> Result<Self, Error> {
        let mut plan =
            Plan { cx, def, numbers: shape.numbers, outs: Vec::new(), titles: Vec::new(), own_title: None, slots: Vec::new(), paths: Vec::new() };
        let mut faults: Vec<Violation> = Vec::new();
        plan.always();
        match &shape.fields {
            None => {
                for field in &def.fields {
                    plan.own(field);
                }
            }
            Some(names) => {
                for name in names {
                    if let Err(fault) = plan.named(name) {
                        faults.push(fault);
                    }
                }
            }
        }
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        if def.find("title").is_none() {
            plan.own_title = Some(plan.title_of(def.id, None));
        }
        if shape.titles {
            plan.add_titles();
        }
        plan.slots.sort_unstable();
        plan.slots.dedup();
        Ok(plan)
    }

    /// What every row needs: its id, its version.
    fn always(&mut self) {
        for name in ["id", "version"] {
            self.slots.extend(self.def.slot(name));
        }
    }

    fn shown(&self, field: &FieldDef) -> bool {
        self.outs.iter().any(|out| matches!(&out.what, What::Own(id) | What::ManyInSight(id, _) | What::AnyInSight(id) if *id == field.id))
    }

    fn need(&mut self, field: &FieldDef) {
        self.slots.extend(field.slots.clone());
    }

    fn far(&mut self, path: Path) -> usize {
        if let Some(index) = self.paths.iter().position(|there| *there == path) {
            return index;
        }
        self.paths.push(path);
        self.paths.len() - 1
    }

    /// Adds a field of the record itself.
    fn own(&mut self, field: &'a FieldDef) {
        if self.cx.grants.field(self.def, field.name.as_str()).is_none() || matches!(field.role, Role::Secret) || self.shown(field) {
            return;
        }
        let access = self.cx.grants.entity(self.def.id).access(field.id);
        if matches!(access, Access::Scoped { .. }) {
            self.slots.extend(0..self.def.columns.len());
        }
        let key = key_of(field.name.as_str());
        let what = match &field.role {
            Role::Lines { .. } => return,
            Role::Formula { expression, .. } if field.on_read => {
                let place = Place { app: field.app.as_str(), ..Place::of(&self.cx.app.schema, self.def.id, Use::Formula) };
                let Ok(compiled) = Expression::compile_at(place, expression) else { return };
                for path in compiled.reads().to_vec() {
                    if path.hops.is_empty() {
                        self.need(self.def.field(path.field));
                    }
                }
                What::Computed(compiled)
            }
            Role::Reference(_) => match field.targets.first() {
                Some(target) if !matches!(*self.cx.grants.entity(*target).read, rules::query::Predicate::True) => {
                    What::InSight(self.sight(field, *target))
                }
                _ => What::Own(field.id),
            },
            Role::References(_) => field.targets.first().map_or(What::Own(field.id), |target| What::ManyInSight(field.id, *target)),
            Role::AnyReference { .. } => What::AnyInSight(field.id),
            Role::Plain
            | Role::Money { .. }
            | Role::Choice { .. }
            | Role::Stage { .. }
            | Role::Files { .. }
            | Role::Autonumber { .. }
            | Role::Formula { .. }
            | Role::Lookup { .. }
            | Role::Rollup(_)
            | Role::Secret => What::Own(field.id),
        };
        self.need(field);
        self.outs.push(Out { key, what, access });
    }

    /// The path to a reference's target as far as the caller sees it.
    fn sight(&mut self, field: &FieldDef, target: EntityId) -> usize {
        let far = self.cx.app.schema.entity(target);
        let id = far.find("id").map_or(FieldId(0), |field| field.id);
        let rows = self.cx.grants.rows(target);
        self.far(Path { hops: vec![Hop { from: self.def.id, field: field.id, to: target, rows }], entity: target, field: id })
    }

    fn named(&mut self, name: &str) -> Result<(), Violation> {
        let schema = &self.cx.app.schema;
        if name == "title" && self.def.find("title").is_none() {
            return Ok(());
        }
        let path = resolve_path(schema, self.def.id, name, &*self.cx.grants, "/fields")?;
        if path.hops.is_empty() {
            self.own(self.def.field(path.field));
            return Ok(());
        }
        let (entity, field) = (path.entity, path.field);
        let access = self.cx.grants.entity(entity).access(field);
        // What depends on the far record is shown only where it is plain: the far record is not at hand.
        let access = if matches!(access, Access::Scoped { .. }) { Access::Masked } else { access };
        let index = self.far(path);
        self.outs.push(Out { key: key_of(name), what: What::Far(index, entity, field), access });
        Ok(())
    }

    /// The title of `entity`'s records: of this record, or of the one behind the reference `through`.
    fn title_of(&mut self, entity: EntityId, through: Option<&FieldDef>) -> TitlePlan {
        let inputs = self.cx.app.plan(entity).title.inputs().to_vec();
        let inputs = inputs
            .into_iter()
            .map(|input| {
                let mut hops: Vec<Hop> = through
                    .map(|field| Hop { from: self.def.id, field: field.id, to: entity, rows: self.cx.grants.rows(entity) })
                    .into_iter()
                    .collect();
                hops.extend(input.path.hops.iter().map(|hop| Hop { rows: self.cx.grants.rows(hop.to), ..hop.clone() }));
                let source = if hops.is_empty() {
                    let field = self.def.field(input.path.field);
                    self.slots.extend(field.slots.clone());
                    Source::Own(field.id)
                } else {
                    Source::Far(self.far(Path { hops, entity: input.path.entity, field: input.path.field }))
                };
                (input, source)
            })
            .collect();
        TitlePlan { entity, inputs }
    }

    /// Adds the titles of all references that are shown.
    fn add_titles(&mut self) {
        let shown: Vec<&'a FieldDef> = self
            .def
            .fields
            .iter()
            .filter(|field| matches!(field.role, Role::Reference(_)) && field.targets.len() == 1)
            .filter(|field| {
                let key = key_of(field.name.as_str());
                self.outs.iter().any(|out| out.key == key)
            })
            .collect();
        for field in shown {
            let Some(target) = field.targets.first() else { continue };
            let title = self.title_of(*target, Some(field));
            self.titles.push((key_of(field.name.as_str()), title));
        }
    }

    /// Writes a row as an object; `expanded` is written as its last member.
    pub(crate) fn write(&self, row: &Row, reader: &Reader<'_>, expanded: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        out.push(b'{');
        for item in &self.outs {
            begin(out, start);
            out.extend_from_slice(&item.key);
            self.value(item, row, reader, out)?;
        }
        if let Some(title) = &self.own_title {
            begin(out, start);
            out.extend_from_slice(b"\"title\":");
            model::json::write_text(&self.title(title, row), out);
        }
        if !self.titles.is_empty() {
            begin(out, start);
            out.extend_from_slice(b"\"titles\":{");
            let first = out.len();
            for (key, title) in &self.titles {
                let text = self.title(title, row);
                if text.is_empty() {
                    continue;
                }
                if out.len() > first {
                    out.push(b',');
                }
                out.extend_from_slice(key);
                model::json::write_text(&text, out);
            }
            out.push(b'}');
        }
        if let Some(expanded) = expanded {
            begin(out, start);
            out.extend_from_slice(b"\"expanded\":");
            out.extend_from_slice(expanded);
        }
        out.push(b'}');
        Ok(())
    }

    /// The title of the record of a row.
    pub(crate) fn own_title(&self, row: &Row) -> String {
        match (&self.own_title, self.def.find("title")) {
            (Some(title), _) => self.title(title, row),
            (None, Some(field)) => field.typed.as_ref().map(|typed| typed.text(field.cells(&row.cells), self.texts())).unwrap_or_default(),
            (None, None) => String::new(),
        }
    }

    fn texts(&self) -> TextContext<'_> {
        TextContext { locale: &self.cx.locale, zone: self.cx.zone }
    }

    fn title(&self, plan: &TitlePlan, row: &Row) -> String {
        let schema = &self.cx.app.schema;
        self.cx.app.plan(plan.entity).title.render(|index| {
            let Some((input, source)) = plan.inputs.get(index) else { return String::new() };
            let cells = match source {
                Source::Own(field) => self.def.field(*field).cells(&row.cells),
                Source::Far(far) => row.far.get(*far).map_or(&[][..], Vec::as_slice),
            };
            input_text(schema, &*self.cx.grants, input, cells, self.texts())
        })
    }

    fn value(&self, item: &Out, row: &Row, reader: &Reader<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let masked = match &item.access {
            Access::Hidden => {
                out.extend_from_slice(b"null");
                return Ok(());
            }
            Access::Masked => true,
            Access::Read | Access::Write => false,
            Access::Scoped { read, otherwise, .. } => {
                let readable = rules::eval::matches(read, &self.cx.app.schema, self.def.id, &row.cells, reader)?;
                if !readable && *otherwise == model::doc::FieldAccess::None {
                    out.extend_from_slice(b"null");
                    return Ok(());
                }
                !readable && *otherwise == model::doc::FieldAccess::Masked
            }
        };
        match &item.what {
            What::Own(field) => self.field(self.def.field(*field), self.def.field(*field).cells(&row.cells), masked, out),
            What::Far(index, entity, field) => {
                let field = self.cx.app.schema.entity(*entity).field(*field);
                self.field(field, row.far.get(*index).map_or(&[][..], Vec::as_slice), masked, out);
            }
            What::InSight(index) => {
                model::json::write_value(row.far.get(*index).and_then(|cells| cells.first()).unwrap_or(&Value::Null), out);
            }
            What::ManyInSight(field, target) => self.many(*field, *target, &row.cells, reader, out)?,
            What::AnyInSight(field) => self.any(*field, &row.cells, reader, out)?,
            What::Computed(expression) => {
                let value = reader.evaluate(self.cx, self.def.id, &row.cells, expression).unwrap_or_default();
                match value {
                    Value::Decimal(number) if rust_decimal::Decimal::fract(&number).is_zero() => {
                        model::json::write_value(&Value::Decimal(number.normalize()), out)
                    }
                    value => model::json::write_value(&value, out),
                }
            }
        }
        Ok(())
    }

    fn field(&self, field: &FieldDef, cells: &[Value], masked: bool, out: &mut Vec<u8>) {
        let Some(typed) = &field.typed else {
            out.extend_from_slice(b"null");
            return;
        };
        if cells.iter().all(Value::is_null) {
            out.extend_from_slice(b"null");
        } else if masked {
            model::json::write_text(&mask(&typed.text(cells, self.texts())), out);
        } else {
            typed.write_json(cells, self.numbers, out);
        }
    }

    fn many(&self, field: FieldId, target: EntityId, cells: &Cells, reader: &Reader<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let ids: Vec<uuid::Uuid> =
            self.def.field(field).cells(cells).first().map_or(&[][..], Value::items).iter().filter_map(Value::as_uuid).collect();
        let mut seen = Vec::new();
        for id in ids {
            if reader.in_sight(self.cx, target, id)? {
                seen.push(Value::Uuid(id));
            }
        }
        model::json::write_value(&Value::list(seen), out);
        Ok(())
    }

    fn any(&self, field: FieldId, cells: &Cells, reader: &Reader<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let field = self.def.field(field);
        let cells = field.cells(cells);
        let in_sight = match cells {
            [Value::Uuid(id), Value::Text(entity), ..] => match self.cx.app.schema.find(entity) {
                Some(target) => reader.in_sight(self.cx, target.id, *id)?,
                None => false,
            },
            _ => false,
        };
        if in_sight {
            self.field(field, cells, false, out);
        } else {
            out.extend_from_slice(b"null");
        }
        Ok(())
    }
}

/// A comma where the object already has a member.
fn begin(out: &mut Vec<u8>, start: usize) {
    if out.len() > start + 1 {
        out.push(b',');
    }
}

fn key_of(name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 3);
    model::json::write_text(name, &mut key);
    key.push(b':');
    key
}

/// A text of which only presence and the ends are shown; of a short one nothing.
#[must_use]
pub fn mask(text: &str) -> String {
    const HEAD: usize = 3;
    const TAIL: usize = 2;
    const SHORTEST: usize = 8;
    let characters: Vec<char> = text.chars().collect();
    if characters.len() < SHORTEST {
        return "***".to_owned();
    }
    let head: String = characters.iter().take(HEAD).collect();
    let tail: String = characters.iter().skip(characters.len() - TAIL).collect();
    format!("{head}***{tail}")
}
