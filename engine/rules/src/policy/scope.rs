//! In charge of scopes: which records a word, a filter or a reference of a role stands for.
//! Invariant: an empty placeholder matches no record, it never widens.

use std::sync::Arc;

use model::doc::{FilterScope, MemberRight, Needs, Scope, ScopeWord, ThroughScope};
use model::field::Role as FieldRole;
use model::{EntityDef, EntityId, FieldId, Schema, Value};
use uuid::Uuid;

use crate::query::{Column, Leaf, Params, Path, Predicate, SystemView, Test, Through, ThroughAny, TypedFilter};

/// What is done to records; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Read,
    Update,
    Delete,
}

impl Action {
    pub(super) fn of(needs: Needs) -> Self {
        match needs {
            Needs::Read => Self::Read,
            Needs::Update => Self::Update,
            Needs::Delete => Self::Delete,
        }
    }
}

/// What the compiling of scopes asks: the records of another entity that one may do something to.
pub(super) type OnTarget<'a> = &'a mut dyn FnMut(EntityId, Action) -> Arc<Predicate>;

/// The records of `def` that a scope stands for; `uses_clock` becomes true where they are others at another moment.
pub(super) fn predicate(
    schema: &Schema,
    def: &EntityDef,
    scope: &Scope,
    action: Action,
    params: &Params<'_>,
    uses_clock: &mut bool,
    on_target: OnTarget<'_>,
) -> Predicate {
    match scope {
        Scope::Word(word) => word_predicate(schema, def, *word, action, params),
        Scope::Filter(FilterScope { filter }) => match TypedFilter::compile(schema, def.id, filter, &SystemView, "") {
            Ok(typed) => {
                *uses_clock |= typed.uses_clock();
                typed.bind(schema, params)
            }
            // A scope that does not compile grants nothing; publishing refuses it before.
            Err(_) => Predicate::False,
        },
        Scope::Through(ThroughScope { through, needs }) => {
            let Some(field) = def.find(through.as_str()) else { return Predicate::False };
            let action = needs.map_or(action, Action::of);
            through_field(schema, def, field.id, action, on_target)
        }
    }
}

/// Those whose reference `field` points at a record that one may do `action` to.
pub(super) fn through_field(schema: &Schema, def: &EntityDef, field: FieldId, action: Action, on_target: OnTarget<'_>) -> Predicate {
    let field = def.field(field);
    match &field.role {
        FieldRole::Reference(_) => match field.targets.first() {
            Some(target) => match on_target(*target, action) {
                // Who may do it to none of them does not learn that there are any.
                filter if *filter == Predicate::False => Predicate::False,
                filter => Predicate::Through(Through { field: field.id, to: *target, filter }),
            },
            None => Predicate::False,
        },
        FieldRole::AnyReference { .. } => {
            let all: Vec<EntityId> = schema.entities.iter().map(|entity| entity.id).filter(|id| *id != def.id).collect();
            let targets = if field.targets.is_empty() { all } else { field.targets.clone() };
            let targets = targets
                .into_iter()
                .map(|target| (target, on_target(target, action)))
                .filter(|(_, filter)| **filter != Predicate::False)
                .collect::<Vec<_>>();
            if targets.is_empty() { Predicate::False } else { Predicate::ThroughAny(ThroughAny { field: field.id, targets }) }
        }
        _ => Predicate::False,
    }
}

fn own_leaf(def: &EntityDef, name: &str, test: Test) -> Predicate {
    match def.find(name).and_then(|field| field.slot().map(|slot| (field.id, slot))) {
        Some((field, slot)) => Predicate::Leaf(Leaf { path: Path::own(def.id, field), column: Column::Slot(slot), test, negated: false }),
        None => Predicate::False,
    }
}

fn ids(ids: impl IntoIterator<Item = Uuid>) -> Test {
    Test::In(ids.into_iter().map(Value::Uuid).collect())
}

fn word_predicate(schema: &Schema, def: &EntityDef, word: ScopeWord, action: Action, params: &Params<'_>) -> Predicate {
    let Some(me) = params.me else { return if word == ScopeWord::All { Predicate::True } else { Predicate::False } };
    match word {
        ScopeWord::None => Predicate::False,
        ScopeWord::All => Predicate::True,
        ScopeWord::Own => own(def, me, action),
        ScopeWord::Reports => owned_by(def, ids(std::iter::once(me).chain(params.reports.iter().copied()))),
        ScopeWord::Department => in_department(def, department_of(schema, params)),
        ScopeWord::DepartmentAndBelow if params.departments_below.is_empty() => Predicate::False,
        ScopeWord::DepartmentAndBelow => departments(def, ids(params.departments_below.iter().copied())),
    }
}

/// What a person owns: of the users, the person's own record.
fn owned_by(def: &EntityDef, test: Test) -> Predicate {
    if def.name.as_str() == "core.user" { own_leaf(def, "id", test) } else { own_leaf(def, "owner", test) }
}

fn own(def: &EntityDef, me: Uuid, action: Action) -> Predicate {
    let mut parts = vec![owned_by(def, Test::Equal(Value::Uuid(me)))];
    let write = action != Action::Read;
    let right = if write { MemberRight::Write } else { MemberRight::Read };
    if action != Action::Delete && (def.members.contains(&right) || (!write && def.members.contains(&MemberRight::Write))) {
        parts.push(Predicate::Member { user: me, write });
    }
    Predicate::any(parts)
}

fn departments(def: &EntityDef, test: Test) -> Predicate {
    if def.name.as_str() == "core.department" { own_leaf(def, "id", test) } else { own_leaf(def, "department", test) }
}

/// The department that the person's own record names.
fn department_of(schema: &Schema, params: &Params<'_>) -> Option<Uuid> {
    let slot = schema.find("core.user").and_then(|user| user.slot("department"))?;
    params.me_cells?.get(slot)?.as_uuid()
}

fn in_department(def: &EntityDef, department: Option<Uuid>) -> Predicate {
    department.map_or(Predicate::False, |department| departments(def, Test::Equal(Value::Uuid(department))))
}
