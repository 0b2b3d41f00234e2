//! In charge of making grants from roles for one person.
//! Invariant: the same roles and person give the same grants; a ring of `through` grants nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use model::doc::{Allowed, EntityRights, FieldAccess, FieldRule, Needs, Role, Scope, ScopeWord};
use model::{EntityDef, EntityId, FieldDef, FieldId, Schema};

use super::scope::{self, Action};
use super::{Access, Create, FieldGrant, Grant, Grants};
use crate::compute::Sources;
use crate::query::{Params, Predicate};

impl Grants {
    /// The rights of a person with these roles (each with the app that it is of).
    #[must_use]
    pub fn compile(schema: &Schema, sources: &Sources, roles: &[(&str, &Role)], params: &Params<'_>) -> Self {
        let mut compiling = Compiling { schema, roles, params, known: HashMap::new(), under_way: HashSet::new(), uses_clock: false };
        let mut entities: Vec<Grant> = schema.entities.iter().map(|def| compiling.grant(def)).collect();
        hide_derived(schema, sources, &compiling, &mut entities);
        Self { entities, all: false, uses_clock: compiling.uses_clock }
    }

    /// No rights at all.
    #[must_use]
    pub fn none(schema: &Schema, sources: &Sources, params: &Params<'_>) -> Self {
        Self::compile(schema, sources, &[], params)
    }
}

struct Compiling<'a> {
    schema: &'a Schema,
    roles: &'a [(&'a str, &'a Role)],
    params: &'a Params<'a>,
    known: HashMap<(EntityId, Action), Arc<Predicate>>,
    under_way: HashSet<(EntityId, Action)>,
    uses_clock: bool,
}

impl<'a> Compiling<'a> {
    /// What each role says of an entity.
    fn rights(&self, def: &EntityDef) -> Vec<&'a EntityRights> {
        self.roles
            .iter()
            .filter_map(|(app, role)| {
                let own = (*app == def.name.app()).then(|| role.entities.get(def.name.bare())).flatten();
                own.or_else(|| role.entities.get(def.name.as_str()))
            })
            .collect()
    }

    fn rows(&mut self, def: &EntityDef, action: Action) -> Arc<Predicate> {
        let key = (def.id, action);
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(known);
        }
        if !self.under_way.insert(key) {
            return Arc::new(Predicate::False);
        }
        let rights = self.rights(def);
        let (schema, params, mut uses_clock) = (self.schema, self.params, false);
        let mut parts = Vec::new();
        for rights in &rights {
            let scope = match action {
                Action::Read => rights.read.as_ref(),
                Action::Update => rights.update.as_ref(),
                Action::Delete => rights.delete.as_ref(),
            };
            if let Some(scope) = scope {
                let on_target = &mut |target, action| self.rows(schema.entity(target), action);
                parts.push(scope::predicate(schema, def, scope, action, params, &mut uses_clock, on_target));
            }
        }
        // Lines share the access of their parent unless a role says otherwise.
        if rights.is_empty()
            && let Some(line) = def.line_of
        {
            let action = if action == Action::Read { Action::Read } else { Action::Update };
            parts.push(scope::through_field(schema, def, line.by, action, &mut |target, action| self.rows(schema.entity(target), action)));
        }
        self.uses_clock |= uses_clock;
        self.under_way.remove(&key);
        let rows = Arc::new(Predicate::any(parts));
        self.known.insert(key, Arc::clone(&rows));
        rows
    }

    fn grant(&mut self, def: &EntityDef) -> Grant {
        let read = self.rows(def, Action::Read);
        let update = self.rows(def, Action::Update);
        let delete = self.rows(def, Action::Delete);
        let rights = self.rights(def);
        let create = self.create(def, &rights);
        let visible = *read != Predicate::False || !matches!(create, Create::No);
        let fields = def.fields.iter().map(|field| FieldGrant { access: self.access(def, field, &rights, visible) }).collect();
        Grant { read, update, delete, create, export: rights.iter().any(|rights| rights.export), fields, visible }
    }

    fn create(&mut self, def: &EntityDef, rights: &[&EntityRights]) -> Create {
        if let (true, Some(line)) = (rights.is_empty(), def.line_of) {
            let parents = self.rows(self.schema.entity(line.parent), Action::Update);
            return if *parents == Predicate::False { Create::No } else { Create::Through { field: line.by, needs: Needs::Update } };
        }
        let mut through = Create::No;
        for rights in rights {
            match &rights.create {
                Some(Allowed::Word(true)) => return Create::Yes,
                Some(Allowed::Through(scope)) => {
                    if let Some(field) = def.find(scope.through.as_str()) {
                        through = Create::Through { field: field.id, needs: scope.needs.unwrap_or(Needs::Update) };
                    }
                }
                Some(Allowed::Word(false)) | None => {}
            }
        }
        through
    }

    fn access(&mut self, def: &EntityDef, field: &FieldDef, rights: &[&EntityRights], visible: bool) -> Access {
        if !visible || field.inner() {
            return Access::Hidden;
        }
        let default = if field.doc.common.sensitive { FieldAccess::Masked } else { FieldAccess::Write };
        if rights.is_empty() {
            return of_word(default);
        }
        let mut best = Access::Hidden;
        for rights in rights {
            let access = match rights.fields.get(field.granted_as()) {
                None => of_word(default),
                Some(FieldRule::Always(word)) => of_word(*word),
                Some(FieldRule::Scoped(scoped)) => {
                    let read = self.scope(def, scoped.read.as_ref(), Action::Read);
                    // Without a word of its own, it is written where it is read and the record may be written.
                    let write = self.scope(def, scoped.write.as_ref().or(scoped.read.as_ref()), Action::Update);
                    let read = Predicate::any(vec![read, write.clone()]);
                    Access::Scoped { read: Arc::new(read), write: Arc::new(write), otherwise: scoped.otherwise.unwrap_or(FieldAccess::None) }
                }
            };
            best = better(best, access);
        }
        best
    }

    fn scope(&mut self, def: &EntityDef, scope: Option<&Scope>, action: Action) -> Predicate {
        let (schema, params, mut uses_clock) = (self.schema, self.params, false);
        let scope = match scope {
            None => Predicate::False,
            Some(Scope::Word(ScopeWord::All)) => Predicate::True,
            Some(scope) => {
                let on_target = &mut |target, action| self.rows(schema.entity(target), action);
                scope::predicate(schema, def, scope, action, params, &mut uses_clock, on_target)
            }
        };
        self.uses_clock |= uses_clock;
        scope
    }

    /// Whether some role grants the field by its name.
    fn named(&self, def: &EntityDef, field: &FieldDef) -> bool {
        self.rights(def).iter().any(|rights| match rights.fields.get(field.granted_as()) {
            Some(FieldRule::Always(word)) => *word != FieldAccess::None,
            Some(FieldRule::Scoped(_)) => true,
            None => false,
        })
    }
}

fn of_word(word: FieldAccess) -> Access {
    match word {
        FieldAccess::None => Access::Hidden,
        FieldAccess::Masked => Access::Masked,
        FieldAccess::Read => Access::Read,
        FieldAccess::Write => Access::Write,
    }
}

/// The wider of two rights; of one by records and a masked or hidden one, the one by records.
fn better(a: Access, b: Access) -> Access {
    let rank = |access: &Access| match access {
        Access::Hidden => 0,
        Access::Masked => 1,
        Access::Scoped { .. } => 2,
        Access::Read => 3,
        Access::Write => 4,
    };
    match (a, b) {
        (Access::Scoped { read, write, otherwise }, Access::Scoped { read: more, write: wider, otherwise: other }) => Access::Scoped {
            read: Arc::new(Predicate::any(vec![Predicate::clone(&read), Predicate::clone(&more)])),
            write: Arc::new(Predicate::any(vec![Predicate::clone(&write), Predicate::clone(&wider)])),
            otherwise: otherwise.max(other),
        },
        (Access::Scoped { read, write, otherwise }, Access::Masked) | (Access::Masked, Access::Scoped { read, write, otherwise }) => {
            Access::Scoped { read, write, otherwise: otherwise.max(FieldAccess::Masked) }
        }
        (Access::Scoped { write, .. }, Access::Read) | (Access::Read, Access::Scoped { write, .. }) if *write != Predicate::False => {
            Access::Scoped { read: Arc::new(Predicate::True), write, otherwise: FieldAccess::Read }
        }
        (a, b) => {
            if rank(&a) >= rank(&b) {
                a
            } else {
                b
            }
        }
    }
}

/// Hides what is made from something that is not plainly read, however many steps away: a derived field that is
/// granted by its name does not grant what is built on it.
fn hide_derived(schema: &Schema, sources: &Sources, compiling: &Compiling<'_>, grants: &mut [Grant]) {
    let is_plain =
        |(entity, field): &(EntityId, FieldId)| grants.get(entity.0 as usize).is_some_and(|grant| grant.visible && grant.access(*field).is_plain());
    let hidden: Vec<(EntityId, FieldId)> = schema
        .entities
        .iter()
        .flat_map(|def| {
            def.fields
                .iter()
                .filter(|field| (field.computed() || field.clock.is_some()) && !compiling.named(def, field))
                .map(|field| (def.id, field.id))
        })
        .filter(|(entity, field)| !sources.all_of(*entity, *field).iter().all(is_plain))
        .collect();
    for (entity, field) in hidden {
        if let Some(there) = grants.get_mut(entity.0 as usize).and_then(|grant| grant.fields.get_mut(field.0 as usize)) {
            there.access = Access::Hidden;
        }
    }
}
