//! In charge of names in requests and documents: paths over references, resolved against a caller's view.
//! Invariant: a hidden name and a name that is not there give the same answer, and hints name only what is visible.

use std::sync::Arc;

use model::fault::Wording;
use model::field::Role;
use model::filter::MAX_HOPS;
use model::schema::InverseDef;
use model::{Code, EntityDef, EntityId, FieldDef, FieldId, Message, Schema, Violation};

use crate::query::Predicate;

/// What a caller may see; the one way in which names become fields.
pub trait View {
    /// The field of `entity` called `name`, or none where it is hidden or not there.
    fn field<'s>(&self, entity: &'s EntityDef, name: &str) -> Option<&'s FieldDef>;

    /// Whether the field may be compared, sorted, grouped and searched by: one that is masked may not.
    fn comparable(&self, entity: &EntityDef, field: &FieldDef) -> bool {
        self.field(entity, field.name.as_str()).is_some()
    }

    /// Whether the entity exists for the caller.
    fn entity(&self, entity: &EntityDef) -> bool;

    /// Which of its records are in sight; every hop and relation carries it.
    fn rows(&self, entity: EntityId) -> Arc<Predicate>;
}

/// The engine's own view: everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemView;

impl View for SystemView {
    fn field<'s>(&self, entity: &'s EntityDef, name: &str) -> Option<&'s FieldDef> {
        entity.find(name).filter(|field| !field.inner())
    }

    fn entity(&self, _: &EntityDef) -> bool {
        true
    }

    fn rows(&self, _: EntityId) -> Arc<Predicate> {
        Arc::new(Predicate::True)
    }
}

/// One reference walked.
#[derive(Clone, Debug, PartialEq)]
pub struct Hop {
    /// Where the reference is.
    pub from: EntityId,
    /// The reference.
    pub field: FieldId,
    /// Where it leads.
    pub to: EntityId,
    /// Which targets are in sight; one out of sight counts as empty.
    pub rows: Arc<Predicate>,
}

/// A field, perhaps of a record some references away.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// The references walked, in order.
    pub hops: Vec<Hop>,
    /// The entity of the field.
    pub entity: EntityId,
    /// The field.
    pub field: FieldId,
}

impl Path {
    /// A path to a field of the record itself.
    #[must_use]
    pub fn own(entity: EntityId, field: FieldId) -> Self {
        Self { hops: Vec::new(), entity, field }
    }

    /// The field at the end.
    #[must_use]
    pub fn target<'s>(&self, schema: &'s Schema) -> &'s FieldDef {
        schema.entity(self.entity).field(self.field)
    }
}

/// A relation to many at the end of a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// The references walked first.
    pub hops: Vec<Hop>,
    /// The entity that has the relation.
    pub entity: EntityId,
    /// The relation.
    pub to: RelationTo,
}

/// What a relation is; closed.
#[derive(Clone, Debug, PartialEq)]
pub enum RelationTo {
    /// An inverse or lines.
    Inverse(InverseDef),
    /// A field that holds several references.
    References(FieldId, EntityId),
}

fn unknown(at: &str, name: &str, hint: Option<String>) -> Violation {
    let message = match hint {
        Some(hint) => Message::new("unknown_field_hint").with("name", name).with("hint", hint),
        None => Message::new("unknown_field").with("name", name),
    };
    Violation { pointer: at.to_owned(), field: Some(name.to_owned()), code: Code::UnknownField, wording: Wording::Message(message) }
}

fn visible_names<'s>(entity: &'s EntityDef, view: &'s dyn View) -> impl Iterator<Item = &'s str> {
    entity.fields.iter().map(|field| field.name.as_str()).filter(move |name| view.field(entity, name).is_some())
}

/// Resolves `text` from `entity` on.
///
/// # Errors
/// `unknown_field` at `at` where any part is hidden, not there, or no reference.
pub fn resolve_path(schema: &Schema, entity: EntityId, text: &str, view: &dyn View, at: &str) -> Result<Path, Violation> {
    let mut hops = Vec::new();
    let mut here = schema.entity(entity);
    let mut rest = text;
    loop {
        // The whole rest first: what a clock tells has a dot in its name.
        if let Some(field) = view.field(here, rest) {
            return Ok(Path { hops, entity: here.id, field: field.id });
        }
        let (part, more) = rest.split_once('.').unwrap_or((rest, ""));
        let Some(field) = view.field(here, part).filter(|_| !more.is_empty()) else {
            return Err(unknown(at, text, likely(if more.is_empty() { rest } else { part }, visible_names(here, view))));
        };
        here = step(schema, here, field, view, &mut hops).map_err(|reason| match reason {
            Some(message) => Violation::at(at, Code::Malformed, message),
            None => unknown(at, text, None),
        })?;
        rest = more;
    }
}

/// Where a path ends in a reference whose targets are not all in sight: the way to the target's own id, which is empty where
/// the target is out of sight.
#[must_use]
pub fn to_target_in_sight(schema: &Schema, path: &Path, view: &dyn View) -> Option<Path> {
    let field = path.target(schema);
    let (Role::Reference(_), [target]) = (&field.role, field.targets.as_slice()) else { return None };
    let rows = view.rows(*target);
    if *rows == Predicate::True {
        return None;
    }
    let id = schema.entity(*target).find("id")?.id;
    let mut hops = path.hops.clone();
    hops.push(Hop { from: path.entity, field: path.field, to: *target, rows });
    Some(Path { hops, entity: *target, field: id })
}

fn step<'s>(schema: &'s Schema, here: &EntityDef, field: &FieldDef, view: &dyn View, hops: &mut Vec<Hop>) -> Result<&'s EntityDef, Option<Message>> {
    let (Role::Reference(_), [target]) = (&field.role, field.targets.as_slice()) else {
        return Err(None);
    };
    // Walking a masked reference would tell what it points at.
    if !view.comparable(here, field) {
        return Err(None);
    }
    if hops.len() == MAX_HOPS {
        return Err(Some(Message::new("path_too_long")));
    }
    let next = schema.entity(*target);
    if !view.entity(next) {
        return Err(None);
    }
    hops.push(Hop { from: here.id, field: field.id, to: *target, rows: view.rows(*target) });
    Ok(next)
}

/// Resolves a path whose end is a relation to many.
///
/// # Errors
/// `unknown_field` at `at` where any part is hidden, not there, or no relation.
pub fn resolve_relation(schema: &Schema, entity: EntityId, text: &str, view: &dyn View, at: &str) -> Result<Relation, Violation> {
    let mut hops = Vec::new();
    let mut here = schema.entity(entity);
    let mut parts = text.split('.').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_some() {
            let field = view.field(here, part).ok_or_else(|| unknown(at, text, None))?;
            here = step(schema, here, field, view, &mut hops).map_err(|_| unknown(at, text, None))?;
            continue;
        }
        if let Some(inverse) = here.inverses.get(part) {
            let many = schema.entity(inverse.entity);
            let by = many.field(inverse.by);
            // The relation exists for whoever may see the far entity and the reference that makes it.
            let lines_hidden = here.find(part).is_some() && view.field(here, part).is_none();
            if view.entity(many) && view.field(many, by.name.as_str()).is_some() && view.comparable(many, by) && !lines_hidden {
                return Ok(Relation { hops, entity: here.id, to: RelationTo::Inverse(inverse.clone()) });
            }
        }
        if let Some(field) = view.field(here, part)
            && let (Role::References(_), [target]) = (&field.role, field.targets.as_slice())
            && view.entity(schema.entity(*target))
            && view.comparable(here, field)
        {
            return Ok(Relation { hops, entity: here.id, to: RelationTo::References(field.id, *target) });
        }
        return Err(unknown(at, text, likely(part, here.inverses.keys().map(model::Name::as_str))));
    }
    Err(unknown(at, text, None))
}

/// The candidate that `name` was likely meant to be: few letters differ.
pub fn likely<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let most = (name.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(far, _)| *far <= most)
        .min()
        .map(|(_, name)| name.to_owned())
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (j, y) in b.iter().enumerate() {
            let Some(above) = row.get_mut(j + 1) else { break };
            let here = (diagonal + usize::from(x != *y)).min(left + 1).min(*above + 1);
            diagonal = *above;
            *above = here;
            left = here;
        }
    }
    row.last().copied().unwrap_or_default()
}
