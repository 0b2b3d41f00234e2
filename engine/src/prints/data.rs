//! In charge of what a template reads: records, their fields and relations, as the reader sees them and in their language.
//! Invariant: a field is asked for on the record that it stands on; hidden is empty, masked is shown masked and counts as nothing.
//! Invariant: bounded: so many records, so many bytes of pictures.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::doc::FieldAccess;
use model::field::{Numbers, Role, TextContext};
use model::{Cells, Code, EntityDef, EntityId, FieldDef, Input, Message, Value};
use render::paper::{PICTURE, Plain, Shown, Text, Wanted};
use render::words;
use rules::expr::{Expression, Place, Use};
use rules::policy::Access;
use rules::query::{Column, RelatedVia, RelationTo, SystemView, View, column_of, resolve_relation};
use serde_json::Value as Json;
use store::Lock;
use store::system::Cond;
use store::system::file::FILE;
use uuid::Uuid;

use crate::error::Error;
use crate::files::FileRow;
use crate::records::lookup::is_live;
use crate::records::shape::mask;
use crate::records::slice::Writer;
use crate::titles::input_text;

/// Records of a paper.
const MOST_RECORDS: usize = 5_000;
/// Bytes of its pictures.
const MOST_PICTURES: usize = 4 << 20;

/// Reads for one paper, with the facts of whoever looks at it.
pub(super) struct Data<'w, 'a> {
    pub(super) w: &'w Writer<'a>,
    records: Cell<usize>,
    pictures: Cell<usize>,
}

/// How the reader sees a field of a record; closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Not,
    Masked,
    Plainly,
}

impl<'w, 'a> Data<'w, 'a> {
    pub(super) fn new(w: &'w Writer<'a>) -> Self {
        Self { w, records: Cell::new(0), pictures: Cell::new(0) }
    }

    /// What is wanted of a record that is in sight.
    pub(super) fn record(&self, entity: EntityId, cells: &Arc<Cells>, wanted: &Wanted) -> Result<Shown, Error> {
        self.records.set(self.records.get() + 1);
        if self.records.get() > MOST_RECORDS {
            return Err(Error::of(Code::Limit, Message::new("paper_too_long").with("max", MOST_RECORDS)));
        }
        let def = self.w.def(entity);
        let title = self.title(def, cells)?;
        let mut parts = BTreeMap::new();
        for (name, below) in &wanted.0 {
            let part = if name == "title" && def.find(name).is_none() { Shown::text(title.clone()) } else { self.part(def, cells, name, below)? };
            parts.insert(name.clone(), part);
        }
        Ok(Shown::Thing(title, parts))
    }

    fn part(&self, def: &EntityDef, cells: &Arc<Cells>, name: &str, below: &Wanted) -> Result<Shown, Error> {
        let schema = &self.w.app.schema;
        // Whatever the reader sees, it is what the template took it for.
        if resolve_relation(schema, def.id, name, &SystemView, "").is_ok() {
            return self.relation(def, cells, name, below);
        }
        let Some(field) = SystemView.field(def, name) else { return self.clock(def, cells, name, below) };
        match (&field.role, field.targets.as_slice()) {
            (Role::Reference(_), [target]) => self.reference(def, field, cells, *target, below),
            _ => self.field(def, field, cells, below),
        }
    }

    /// The parts of a clock, which stand below its name.
    fn clock(&self, def: &EntityDef, cells: &Arc<Cells>, clock: &str, below: &Wanted) -> Result<Shown, Error> {
        let mut parts = BTreeMap::new();
        for (part, wanted) in &below.0 {
            if let Some(field) = SystemView.field(def, &format!("{clock}.{part}")) {
                parts.insert(part.clone(), self.field(def, field, cells, wanted)?);
            }
        }
        Ok(Shown::Thing(String::new(), parts))
    }

    fn reference(&self, def: &EntityDef, field: &FieldDef, cells: &Arc<Cells>, target: EntityId, below: &Wanted) -> Result<Shown, Error> {
        let id = field.cells(cells).first().and_then(Value::as_uuid);
        let Some(id) = id.filter(|_| self.w.cx.grants.sees(target)) else { return Ok(Shown::Empty) };
        if self.seen(def, field, cells)? != Seen::Plainly {
            return Ok(Shown::Empty);
        }
        self.of(target, id, below)
    }

    /// A record somewhere else; empty where it is out of sight.
    fn of(&self, entity: EntityId, id: Uuid, wanted: &Wanted) -> Result<Shown, Error> {
        if !self.w.reader.in_sight(self.w.cx, entity, id)? {
            return Ok(Shown::Empty);
        }
        match self.w.reader.read(entity, id)? {
            Some(cells) => self.record(entity, &cells, wanted),
            None => Ok(Shown::Empty),
        }
    }

    /// The records of a relation in sight, lines in their order.
    fn relation(&self, def: &EntityDef, cells: &Arc<Cells>, name: &str, below: &Wanted) -> Result<Shown, Error> {
        let (w, schema) = (self.w, &self.w.app.schema);
        let Ok(relation) = resolve_relation(schema, def.id, name, &*w.cx.grants, "") else { return Ok(Shown::List(Vec::new())) };
        let Some(own) = def.slot("id").and_then(|slot| cells.get(slot)).and_then(Value::as_uuid) else { return Ok(Shown::List(Vec::new())) };
        let (far, ids) = match relation.to {
            RelationTo::Inverse(inverse) => {
                if let Some(field) = def.find(name)
                    && self.seen(def, field, cells)? != Seen::Plainly
                {
                    return Ok(Shown::List(Vec::new()));
                }
                (inverse.entity, crate::records::in_order(w, &inverse, own)?)
            }
            RelationTo::References(field, target) => {
                let field = def.field(field);
                if self.seen(def, field, cells)? != Seen::Plainly {
                    return Ok(Shown::List(Vec::new()));
                }
                let found = w.tx.related(schema, &RelatedVia::References(field.id, target), &[own])?;
                let slot = w.def(target).slot("id");
                let mut ids: Vec<Uuid> = found.iter().filter_map(|(_, cells)| cells.get(slot?)?.as_uuid()).collect();
                ids.sort_unstable();
                (target, ids)
            }
        };
        let most = MOST_RECORDS.saturating_sub(self.records.get());
        if ids.len() > most {
            return Err(Error::of(Code::Limit, Message::new("paper_too_long").with("max", MOST_RECORDS)));
        }
        w.reader.preload(far, &ids, Lock::None)?;
        let mut items = Vec::new();
        for id in ids {
            match self.of(far, id, below)? {
                Shown::Empty => {}
                shown => items.push(shown),
            }
        }
        Ok(Shown::List(items))
    }

    fn seen(&self, def: &EntityDef, field: &FieldDef, cells: &Cells) -> Result<Seen, Error> {
        let of = |access: FieldAccess| match access {
            FieldAccess::None => Seen::Not,
            FieldAccess::Masked => Seen::Masked,
            FieldAccess::Read | FieldAccess::Write => Seen::Plainly,
        };
        Ok(match self.w.cx.grants.entity(def.id).access(field.id) {
            Access::Hidden => Seen::Not,
            Access::Masked => Seen::Masked,
            Access::Read | Access::Write => Seen::Plainly,
            Access::Scoped { read, otherwise, .. } => {
                if rules::eval::matches(&read, &self.w.app.schema, def.id, cells, &self.w.reader)? {
                    Seen::Plainly
                } else {
                    of(otherwise)
                }
            }
        })
    }

    fn field(&self, def: &EntityDef, field: &FieldDef, cells: &Arc<Cells>, below: &Wanted) -> Result<Shown, Error> {
        let seen = self.seen(def, field, cells)?;
        if seen == Seen::Not || matches!(field.role, Role::Secret) {
            return Ok(Shown::Empty);
        }
        if let Role::AnyReference { .. } = field.role {
            return if seen == Seen::Plainly { self.any(field, cells) } else { Ok(Shown::Empty) };
        }
        let own = self.cells(def, field, cells);
        if own.iter().all(Value::is_null) {
            return Ok(Shown::Empty);
        }
        let cx = self.w.cx;
        if seen == Seen::Masked {
            let text = field.typed.as_ref().map(|typed| typed.text(&own, TextContext { locale: &cx.locale, zone: cx.zone })).unwrap_or_default();
            return Ok(Shown::Value(Text { text: mask(&text), ..Text::default() }));
        }
        let picture = match &field.role {
            Role::Files { .. } if below.of(PICTURE).is_some() => self.picture(field, &own)?,
            _ => None,
        };
        Ok(Shown::Value(Text { text: words::text(field, &own, &cx.locale, cx.zone), plain: plain(field, &own), picture }))
    }

    /// The cells of a field; what is computed on read is computed now.
    fn cells(&self, def: &EntityDef, field: &FieldDef, cells: &Arc<Cells>) -> Vec<Value> {
        let w = self.w;
        if !field.on_read {
            return field.cells(cells).to_vec();
        }
        if let Role::Formula { expression, .. } = &field.role {
            let place = Place { app: field.app.as_str(), ..Place::of(&w.app.schema, def.id, Use::Formula) };
            let Ok(compiled) = Expression::compile_at(place, expression) else { return Vec::new() };
            return w.reader.evaluate(w.cx, def.id, cells, &compiled).into_iter().collect();
        }
        match column_of(&w.app.schema, def, field, w.cx.moment()) {
            Some(Column::Clock(clock, moment)) => vec![clock.value(cells, moment)],
            Some(Column::Slot(_)) | None => Vec::new(),
        }
    }

    /// The title of the record that an any-reference points at.
    fn any(&self, field: &FieldDef, cells: &Arc<Cells>) -> Result<Shown, Error> {
        let [Value::Uuid(id), Value::Text(entity), ..] = field.cells(cells) else { return Ok(Shown::Empty) };
        match self.w.app.schema.find(entity).filter(|def| self.w.cx.grants.sees(def.id)) {
            Some(target) => Ok(match self.of(target.id, *id, &Wanted::default())? {
                Shown::Thing(title, _) => Shown::text(title),
                _ => Shown::Empty,
            }),
            None => Ok(Shown::Empty),
        }
    }

    fn title(&self, def: &EntityDef, cells: &Arc<Cells>) -> Result<String, Error> {
        let (w, cx) = (self.w, self.w.cx);
        let title = &w.plan(def.id).title;
        let mut texts = Vec::new();
        for input in title.inputs() {
            let values = w.reader.seen_along(cx, &input.path, cells)?;
            texts.push(input_text(&w.app.schema, &*cx.grants, input, &values, TextContext { locale: &cx.locale, zone: cx.zone }));
        }
        Ok(title.render(|index| texts.get(index).cloned().unwrap_or_default()))
    }

    /// The first picture of a field of files, with its bytes in it.
    fn picture(&self, field: &FieldDef, cells: &[Value]) -> Result<Option<String>, Error> {
        debug_assert!(matches!(field.role, Role::Files { .. }), "only files hold pictures");
        let Some(Value::Json(json)) = cells.first() else { return Ok(None) };
        let first = json.as_array().and_then(|files| files.first()).unwrap_or(json);
        match first.get("id").and_then(Json::as_str).and_then(|id| Uuid::try_parse(id).ok()) {
            Some(id) => self.picture_of(id),
            None => Ok(None),
        }
    }

    /// A stored picture as an address with its bytes in it; none where it is no picture, is gone, or would be too much.
    pub(super) fn picture_of(&self, id: Uuid) -> Result<Option<String>, Error> {
        let rows = self.w.tx.find(&FILE, &[Cond::Eq("id", Value::Uuid(id))], &[], 1)?;
        let Some(row) = rows.first().and_then(|row| FileRow::read(row)) else { return Ok(None) };
        let is_picture = row.info.kind.starts_with("image/") && row.info.kind != "image/svg+xml";
        let size = usize::try_from(row.info.size).unwrap_or(usize::MAX);
        if !is_picture || self.pictures.get().saturating_add(size) > MOST_PICTURES {
            return Ok(None);
        }
        let Some(content) = self.w.cx.files.content(&row.hash) else { return Ok(None) };
        let mut bytes = Vec::with_capacity(size);
        let read = content.open().and_then(|file| file.take(MOST_PICTURES as u64).read_to_end(&mut bytes));
        if let Err(error) = read {
            return Err(Error::Internal(format!("a file that is kept cannot be read: {error}")));
        }
        self.pictures.set(self.pictures.get() + bytes.len());
        Ok(Some(format!("data:{};base64,{}", row.info.kind, STANDARD.encode(bytes))))
    }

    /// Whoever looks at the paper.
    pub(super) fn me(&self, wanted: &Wanted) -> Result<Shown, Error> {
        let (Some(me), Some(def)) = (self.w.cx.caller.user(), self.w.app.schema.find("core.user")) else { return Ok(Shown::Empty) };
        match self.w.reader.read(def.id, me)?.filter(|cells| is_live(def, cells)) {
            Some(cells) => self.record(def.id, &cells, wanted),
            None => Ok(Shown::Empty),
        }
    }
}

/// What a field's value counts as.
fn plain(field: &FieldDef, cells: &[Value]) -> Plain {
    let Some(typed) = &field.typed else { return Plain::Nothing };
    let mut bytes = Vec::new();
    typed.write_json(cells, Numbers::Numbers, &mut bytes);
    let of = |input: &Input| match input {
        Input::Bool(truth) => Plain::Truth(*truth),
        Input::Number(digits) => model::field::number::exact(digits).map_or(Plain::Nothing, Plain::Number),
        Input::Text(text) => Plain::Text(text.clone()),
        Input::List(items) => Plain::Names(items.iter().filter_map(Input::as_text).map(str::to_owned).collect()),
        Input::Null | Input::Map(_) => Plain::Nothing,
    };
    match Input::parse(&bytes) {
        // Money with a currency of its own counts by its amount.
        Ok(input) => of(input.get("amount").unwrap_or(&input)),
        Err(_) => Plain::Nothing,
    }
}
