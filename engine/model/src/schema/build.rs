//! In charge of compiling documents into a `Schema`.
//! Invariant: either a whole schema or every fault found; pointers are into the workspace, `/{app}/entities/…`.
//! Invariant: the same documents and layout give the same tables, columns and slots.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::doc::{App, Approval, ChoiceOption, Entity, Field};
use crate::fault::Diagnostic;
use crate::field::sealed::{self, Seal};
use crate::field::{self, CompileContext, Compiled, Role, RollupFn, Shape, TypedField};
use crate::name::{EntityName, Name};
use crate::schema::draft::{EntityDraft, FieldDraft, clock_field, copied_field, flow_field, system_field};
use crate::schema::layout::{Layout, physical};
use crate::schema::system;
use crate::schema::{ClockDef, ClockPart, ColumnDef, EntityDef, EntityId, FieldDef, FieldId, InverseDef, LineOf, Referrer, Schema, Via};

/// Whether an expression is computed on read (it depends on the clock in the plain way that SQL can follow).
pub type IsOnRead<'a> = &'a dyn Fn(&str) -> bool;

/// Compiles the apps of a workspace, `core` first.
///
/// # Errors
/// Every fault found.
pub fn build(apps: &IndexMap<Name, Arc<App>>, layout: &Layout, is_on_read: IsOnRead<'_>, key: &Arc<dyn Seal>) -> Result<Schema, Vec<Diagnostic>> {
    let currencies = apps.iter().map(|(name, app)| (name.to_string(), currency_of(app))).collect();
    let mut building = Building { layout, is_on_read, key, currencies, drafts: Vec::new(), by_name: HashMap::new(), faults: Vec::new() };
    building.collect(apps);
    building.extend(apps);
    building.mark_lines();
    building.compile_fields(apps);
    building.resolve_targets();
    building.resolve_shapes();
    if building.faults.is_empty() {
        let schema = building.finish(apps);
        if building.faults.is_empty() {
            return Ok(schema);
        }
    }
    Err(building.faults)
}

struct Building<'a> {
    layout: &'a Layout,
    is_on_read: IsOnRead<'a>,
    key: &'a Arc<dyn Seal>,
    currencies: HashMap<String, String>,
    drafts: Vec<EntityDraft>,
    by_name: HashMap<Box<str>, usize>,
    faults: Vec<Diagnostic>,
}

fn pointer(app: &str, entity: &str, field: &str) -> String {
    format!("/{app}/entities/{entity}/fields/{field}")
}

impl Building<'_> {
    fn collect(&mut self, apps: &IndexMap<Name, Arc<App>>) {
        for (app_name, app) in apps {
            for (key, entity) in app.entities.iter().filter(|(_, entity)| entity.extends.is_none()) {
                let Some(name) = Name::parse(key) else {
                    self.faults.push(Diagnostic::error(format!("/{app_name}/entities/{key}"), format!("`{key}` is not a name")));
                    continue;
                };
                let name = EntityName::new(app_name, &name);
                self.by_name.insert(name.as_str().into(), self.drafts.len());
                self.drafts.push(EntityDraft { name, doc: entity.clone(), added_by: HashMap::new(), fields: Vec::new(), is_line: false });
            }
        }
    }

    fn extend(&mut self, apps: &IndexMap<Name, Arc<App>>) {
        for (app_name, app) in apps {
            for (key, extension) in &app.entities {
                let Some(target) = &extension.extends else { continue };
                let at = format!("/{app_name}/entities/{key}");
                let Some(draft) = self.by_name.get(target.as_str()).and_then(|index| self.drafts.get_mut(*index)) else {
                    self.faults.push(Diagnostic::error(format!("{at}/extends"), format!("there is no entity `{target}` to extend")));
                    continue;
                };
                for (name, field) in &extension.fields {
                    if draft.doc.fields.contains_key(name) {
                        self.faults.push(Diagnostic::error(format!("{at}/fields/{name}"), format!("`{target}` already has a field `{name}`")));
                        continue;
                    }
                    draft.doc.fields.insert(name.clone(), field.clone());
                    if let Some(order) = &mut draft.doc.order {
                        order.push(name.clone());
                    }
                    draft.added_by.insert(name.clone(), app_name.clone());
                }
                draft.doc.rules.extend(extension.rules.clone());
                draft.doc.unique.extend(extension.unique.clone());
                draft.doc.clocks.extend(extension.clocks.iter().map(|(name, clock)| (name.clone(), clock.qualified(app_name.as_str()))));
                draft.doc.duplicates.extend(extension.duplicates.clone());
                draft.doc.indexes.extend(extension.indexes.clone());
            }
        }
    }

    /// Marks the entities that are lines of another, since that gives them a position.
    fn mark_lines(&mut self) {
        let lines: Vec<usize> = self
            .drafts
            .iter()
            .flat_map(|draft| {
                let app = draft.name.app().to_owned();
                draft.doc.fields.values().filter(|field| field.kind == "lines").filter_map(move |field| {
                    let of = field.settings.get("of")?.as_str()?;
                    Some(qualify(&app, of))
                })
            })
            .filter_map(|name| self.by_name.get(name.as_str()).copied())
            .collect();
        for index in lines {
            if let Some(draft) = self.drafts.get_mut(index) {
                draft.is_line = true;
            }
        }
    }

    fn compile_fields(&mut self, apps: &IndexMap<Name, Arc<App>>) {
        let flows: Vec<(&Name, &Name, &Approval, String)> = apps
            .iter()
            .flat_map(|(app_name, app)| {
                app.approvals.iter().map(move |(name, flow)| (app_name, name, flow, qualify(app_name.as_str(), &flow.entity)))
            })
            .collect();
        for draft in &mut self.drafts {
            let Some(own_app) = Name::parse(draft.name.app()) else { continue };
            let mut own: Vec<_> = flows.iter().filter(|(.., entity)| entity == draft.name.as_str()).collect();
            own.sort_by_key(|(app, ..)| **app != own_app);
            let has_flow = !own.is_empty();
            for (name, holds) in system::fields_of(&draft.doc, draft.is_line, has_flow) {
                let Some(name) = Name::parse(name) else { continue };
                match system_field(name, holds, &own_app) {
                    Ok(field) => draft.fields.push(field),
                    Err(faults) => self.faults.extend(faults),
                }
            }
            for (index, (app, name, flow, _)) in own.iter().enumerate() {
                let is_taken = own.iter().take(index).any(|(_, before, ..)| before == name);
                let called = if is_taken { format!("{app}.{name}") } else { name.to_string() };
                match flow_field(&called, (*app, *name), flow, &own_app) {
                    Ok(field) => draft.fields.extend(field),
                    Err(faults) => self.faults.extend(faults),
                }
            }
            for (name, clock) in &draft.doc.clocks {
                for part in ClockPart::ALL {
                    match clock_field(name, clock, part, &own_app) {
                        Ok(field) => draft.fields.push(field),
                        Err(faults) => self.faults.extend(faults),
                    }
                }
            }
            for name in ordered(&draft.doc) {
                let Some(doc) = draft.doc.fields.get(&name) else { continue };
                let app_name = draft.added_by.get(&name).unwrap_or(&own_app).clone();
                let Some(app) = apps.get(&app_name) else { continue };
                let at = pointer(app_name.as_str(), draft.name.bare(), name.as_str());
                match compile_field(doc, app_name.as_str(), app, apps) {
                    Ok(Compiled { role, shape }) => {
                        if doc.common.fill.as_ref().is_some_and(crate::doc::Fill::keeps_edits) {
                            draft.fields.push(copied_field(&name, &app_name));
                        }
                        draft.fields.push(FieldDraft {
                            name,
                            app: app_name,
                            doc: doc.clone(),
                            role,
                            shape,
                            typed: None,
                            system: false,
                            clock: None,
                            flow: None,
                            copied: None,
                            targets: Vec::new(),
                            pointer: at,
                        });
                    }
                    Err(faults) => {
                        self.faults.extend(faults.into_iter().map(|mut fault| {
                            fault.pointer = format!("{at}{}", fault.pointer);
                            fault
                        }));
                    }
                }
            }
        }
    }

    fn resolve_targets(&mut self) {
        for index in 0..self.drafts.len() {
            for field in 0..self.drafts[index].fields.len() {
                let draft = &self.drafts[index].fields[field];
                let names: Vec<String> = match &draft.role {
                    Role::Reference(spec) | Role::References(spec) => vec![spec.to.clone()],
                    Role::AnyReference { to, .. } => to.clone(),
                    Role::Lines { of, .. } => vec![of.clone()],
                    Role::Plain
                    | Role::Money { .. }
                    | Role::Choice { .. }
                    | Role::Stage { .. }
                    | Role::Files { .. }
                    | Role::Autonumber { .. }
                    | Role::Formula { .. }
                    | Role::Lookup { .. }
                    | Role::Rollup(_)
                    | Role::Secret => Vec::new(),
                };
                let app = draft.app.clone();
                let (system, at) = (draft.system, draft.pointer.clone());
                let mut targets = Vec::new();
                for name in names {
                    match self.by_name.get(qualify(app.as_str(), &name).as_str()) {
                        Some(target) => targets.push(*target),
                        // Without the core app (a test of one app alone) owners are plain ids.
                        None if system => {}
                        None => self.faults.push(Diagnostic::error(&at, format!("there is no entity `{name}`"))),
                    }
                }
                self.drafts[index].fields[field].targets = targets;
            }
        }
    }

    fn resolve_shapes(&mut self) {
        for entity in 0..self.drafts.len() {
            for field in 0..self.drafts[entity].fields.len() {
                let mut walked = Vec::new();
                if let Err(fault) = self.shape_of(entity, field, &mut walked) {
                    let at = self.drafts[entity].fields[field].pointer.clone();
                    self.faults.push(Diagnostic::error(at, fault));
                }
            }
        }
    }

    /// The type of a field's values, following lookups and roll-ups to their source.
    fn shape_of(&mut self, entity: usize, field: usize, walked: &mut Vec<(usize, usize)>) -> Result<Option<Arc<dyn TypedField>>, String> {
        let draft = &self.drafts[entity].fields[field];
        if let Some(typed) = &draft.typed {
            return Ok(Some(Arc::clone(typed)));
        }
        if walked.contains(&(entity, field)) {
            return Err("looks itself up in a ring".to_owned());
        }
        walked.push((entity, field));
        let app = draft.app.clone();
        let (shape, role) = (draft.shape.clone(), draft.role.clone());
        let typed = match shape {
            Shape::Nothing => None,
            Shape::Own(typed) => {
                let draft = &self.drafts[entity].fields[field];
                let place = format!("{}.{}", self.drafts[entity].name, draft.name);
                Some(sealed::or_clear(typed, &draft.doc, &role, &place, self.key)?)
            }
            Shape::Like(doc) => Some(self.typed_like(&doc, app.as_str())?),
            Shape::Path(path) => {
                let (far, last) = self.walk(entity, &path)?;
                self.shape_of(far, last, walked)?
            }
            Shape::Rollup => Some(self.rollup_shape(entity, &role, app.as_str(), walked)?),
        };
        self.drafts[entity].fields[field].typed.clone_from(&typed);
        Ok(typed)
    }

    fn typed_like(&self, doc: &Field, app: &str) -> Result<Arc<dyn TypedField>, String> {
        let kind = field::kind(&doc.kind).ok_or_else(|| format!("there is no kind `{}`", doc.kind))?;
        let cx =
            CompileContext { currency: self.currencies.get(app).map_or(DEFAULT_CURRENCY, String::as_str), options: &|_| None, stages: &|_| None };
        match kind.compile(doc, &cx) {
            Ok(Compiled { shape: Shape::Own(typed), .. }) => Ok(typed),
            Ok(_) => Err(format!("`{}` cannot be a result", doc.kind)),
            Err(faults) => Err(faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>().join("; ")),
        }
    }

    fn rollup_shape(&mut self, entity: usize, role: &Role, app: &str, walked: &mut Vec<(usize, usize)>) -> Result<Arc<dyn TypedField>, String> {
        let Role::Rollup(spec) = role else { return Err("is no roll-up".to_owned()) };
        let (source, _) = self.to_many(entity, spec.of.as_str()).ok_or_else(|| format!("there is no relation `{}` here", spec.of))?;
        if matches!(spec.function, RollupFn::Count | RollupFn::Distinct) {
            return self.typed_like(&Field::of_kind("integer"), app);
        }
        let name = spec.field.as_ref().ok_or("needs the `field` that is rolled up")?;
        let field = self.field_index(source, name.as_str()).ok_or_else(|| format!("`{}` has no field `{name}`", self.drafts[source].name))?;
        let typed = self.shape_of(source, field, walked)?.ok_or_else(|| format!("`{name}` has no values"))?;
        if typed.sealed_for().is_some() && !matches!(spec.function, RollupFn::First | RollupFn::Last) {
            return Err(format!("`{name}` rests encrypted: only its first or last value can be rolled up"));
        }
        if spec.function == RollupFn::Average
            && let Some(scale) = spec.scale
        {
            let mut doc = Field::of_kind("decimal");
            doc.settings.insert("scale".to_owned(), scale.into());
            return self.typed_like(&doc, app);
        }
        Ok(typed)
    }

    /// The field at the end of a path, walking references.
    fn walk(&self, entity: usize, path: &str) -> Result<(usize, usize), String> {
        let mut here = entity;
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            let field = self.field_index(here, name).ok_or_else(|| format!("`{}` has no field `{name}`", self.drafts[here].name))?;
            if names.peek().is_none() {
                return Ok((here, field));
            }
            let draft = &self.drafts[here].fields[field];
            here = match (&draft.role, draft.targets.as_slice()) {
                (Role::Reference(_), [target]) => *target,
                _ => return Err(format!("`{name}` is not a reference to one record")),
            };
        }
        Err("an empty path".to_owned())
    }

    fn field_index(&self, entity: usize, name: &str) -> Option<usize> {
        self.drafts[entity].fields.iter().position(|field| field.name == *name)
    }

    /// The entity and field behind a relation to many called `name`.
    fn to_many(&self, entity: usize, name: &str) -> Option<(usize, usize)> {
        if let Some(index) = self.field_index(entity, name)
            && let Role::Lines { by, .. } = &self.drafts[entity].fields[index].role
        {
            let line = *self.drafts[entity].fields[index].targets.first()?;
            return Some((line, self.field_index(line, by.as_str())?));
        }
        self.drafts.iter().enumerate().find_map(|(other, draft)| {
            draft
                .fields
                .iter()
                .position(|field| inverse_name(&field.role).is_some_and(|inverse| *inverse == *name) && points_at(field, entity))
                .map(|field| (other, field))
        })
    }

    fn finish(&mut self, apps: &IndexMap<Name, Arc<App>>) -> Schema {
        let mut schema = Schema { apps: apps.clone(), ..Schema::default() };
        let mut bare: HashMap<Box<str>, Option<EntityId>> = HashMap::new();
        for (index, draft) in self.drafts.iter().enumerate() {
            let id = entity_id(index);
            schema.by_name.insert(draft.name.as_str().into(), id);
            bare.entry(draft.name.bare().into()).and_modify(|seen| *seen = None).or_insert(Some(id));
            schema.entities.push(self.entity_def(id, draft));
        }
        schema.by_bare_name = bare.into_iter().filter_map(|(name, id)| id.map(|id| (name, id))).collect();
        self.relate(&mut schema);
        schema
    }

    fn entity_def(&self, id: EntityId, draft: &EntityDraft) -> EntityDef {
        let mut columns: Vec<ColumnDef> = Vec::new();
        let mut fields = Vec::new();
        let table = physical(&draft.name.as_str().replace('.', "__"));
        for (index, field) in draft.fields.iter().enumerate() {
            let field_id = field_id(index);
            let on_read = matches!(&field.role, Role::Formula { expression, .. } if (self.is_on_read)(expression));
            let start = columns.len();
            let generation = self.layout.generation(draft.name.as_str(), field.name.as_str());
            let specs = if on_read { Vec::new() } else { field.typed.as_ref().map(|typed| typed.columns()).unwrap_or_default() };
            for spec in specs {
                let mut name = field.name.as_str().replace('.', "__");
                if generation > 1 {
                    name = format!("{name}__{generation}");
                }
                if !spec.suffix.is_empty() {
                    name = format!("{name}__{}", spec.suffix);
                }
                columns.push(ColumnDef { name: physical(&name), storage: spec.storage, field: field_id, purpose: spec.purpose });
            }
            let many = field.typed.as_ref().is_some_and(|typed| typed.comparable() == field::Comparable::List);
            fields.push(FieldDef {
                id: field_id,
                name: field.name.clone(),
                app: field.app.clone(),
                doc: field.doc.clone(),
                role: field.role.clone(),
                typed: field.typed.clone(),
                slots: start..columns.len(),
                system: field.system,
                clock: field.clock.clone(),
                flow: field.flow.clone(),
                copied: field.copied.clone(),
                targets: field.targets.iter().map(|target| entity_id(*target)).collect(),
                on_read,
                link_table: (many && !on_read).then(|| {
                    let suffix = if generation > 1 { format!("__{generation}") } else { String::new() };
                    physical(&format!("{table}__{}{suffix}__link", field.name))
                }),
            });
        }
        let clocks = draft.doc.clocks.keys().filter_map(|name| ClockDef::of(name, &fields)).collect();
        let field_by_name = fields.iter().map(|field| (field.name.as_str().into(), field.id)).collect();
        let tree = fields.iter().find(|field| matches!(&field.role, Role::Reference(spec) if spec.tree)).map(|field| field.id);
        let stages = fields.iter().filter(|field| matches!(field.role, Role::Stage { .. })).map(|field| field.id).collect();
        EntityDef {
            id,
            name: draft.name.clone(),
            table,
            doc: Arc::new(draft.doc.clone()),
            fields,
            field_by_name,
            columns,
            inverses: IndexMap::new(),
            referrers: Vec::new(),
            tree,
            stages,
            owner: draft.doc.owner,
            department: draft.doc.department,
            members: draft.doc.members.clone(),
            line_of: None,
            clocks,
        }
    }

    /// Fills inverses, referrers and lines.
    fn relate(&mut self, schema: &mut Schema) {
        let count = schema.entities.len();
        for entity in 0..count {
            for field in 0..schema.entities[entity].fields.len() {
                let (name, role, targets) = {
                    let def = &schema.entities[entity].fields[field];
                    (def.name.clone(), def.role.clone(), def.targets.clone())
                };
                let (from, by) = (entity_id(entity), field_id(field));
                match &role {
                    Role::Lines { by: reference, .. } => {
                        let Some(line) = targets.first().copied() else { continue };
                        let at = &self.drafts[entity].fields[field].pointer;
                        let Some(by) = schema.entity(line).find(reference.as_str()).map(|field| field.id) else {
                            self.faults.push(Diagnostic::error(format!("{at}/by"), format!("the line entity has no field `{reference}`")));
                            continue;
                        };
                        if let Some(def) = schema.entities.get_mut(line.0 as usize) {
                            def.line_of = Some(LineOf { parent: from, lines: FieldId(by_index(field)), by });
                        }
                        self.add_inverse(
                            schema,
                            entity,
                            name,
                            InverseDef { name: self.drafts[entity].fields[field].name.clone(), entity: line, by, via: Via::Column },
                        );
                    }
                    Role::Reference(spec) | Role::References(spec) => {
                        let via = if matches!(role, Role::Reference(_)) { Via::Column } else { Via::Link };
                        let Some(target) = targets.first().copied() else { continue };
                        if let Some(def) = schema.entities.get_mut(target.0 as usize) {
                            def.referrers.push(Referrer { entity: from, field: by, via, on_delete: spec.on_delete });
                        }
                        if let Some(inverse) = &spec.inverse {
                            self.add_inverse(schema, target.0 as usize, inverse.clone(), InverseDef { name: inverse.clone(), entity: from, by, via });
                        }
                    }
                    Role::AnyReference { on_delete, inverse, .. } => {
                        let targets = if targets.is_empty() { (0..count).map(entity_id).collect() } else { targets };
                        for target in targets {
                            if let Some(def) = schema.entities.get_mut(target.0 as usize) {
                                def.referrers.push(Referrer { entity: from, field: by, via: Via::AnyColumn, on_delete: *on_delete });
                            }
                            if let Some(inverse) = inverse {
                                let def = InverseDef { name: inverse.clone(), entity: from, by, via: Via::AnyColumn };
                                self.add_inverse(schema, target.0 as usize, inverse.clone(), def);
                            }
                        }
                    }
                    Role::Plain
                    | Role::Money { .. }
                    | Role::Choice { .. }
                    | Role::Stage { .. }
                    | Role::Files { .. }
                    | Role::Autonumber { .. }
                    | Role::Formula { .. }
                    | Role::Lookup { .. }
                    | Role::Rollup(_)
                    | Role::Secret => {}
                }
            }
        }
    }

    fn add_inverse(&mut self, schema: &mut Schema, entity: usize, name: Name, inverse: InverseDef) {
        let Some(def) = schema.entities.get_mut(entity) else { return };
        // Relations of an any-reference reach every entity; an entity's own relation of that name wins there.
        if let Some(there) = def.inverses.get(&name)
            && (inverse.via == Via::AnyColumn || there.via == Via::AnyColumn)
        {
            if there.via == Via::AnyColumn {
                def.inverses.insert(name, inverse);
            }
            return;
        }
        // So does a field: a record type may have `notes` or `files` of its own.
        if inverse.via == Via::AnyColumn && def.find(name.as_str()).is_some() {
            return;
        }
        let is_lines = def.find(name.as_str()).is_some_and(|field| matches!(field.role, Role::Lines { .. }));
        if def.inverses.contains_key(&name) || (def.find(name.as_str()).is_some() && !is_lines) {
            let at = format!("/{}/entities/{}", def.name.app(), def.name.bare());
            self.faults.push(Diagnostic::error(at, format!("two things are called `{name}` here: give the inverse another name")));
            return;
        }
        def.inverses.insert(name, inverse);
    }
}

/// The currency of an app that names none.
pub(super) const DEFAULT_CURRENCY: &str = "USD";

fn currency_of(app: &App) -> String {
    app.app.currency.clone().unwrap_or_else(|| DEFAULT_CURRENCY.to_owned())
}

/// The options of the list `name` of `app`, in order, with what other apps add to it.
pub(crate) fn option_list(apps: &IndexMap<Name, Arc<App>>, app: &str, name: &str) -> Option<IndexMap<Name, ChoiceOption>> {
    let list = apps.get(app)?.options.get(name).filter(|list| list.extends.is_none())?;
    let mut options = list.in_order();
    let qualified = format!("{app}.{name}");
    let extensions = apps.values().flat_map(|app| app.options.values()).filter(|list| list.extends.as_deref() == Some(qualified.as_str()));
    for (name, option) in extensions.flat_map(crate::doc::OptionList::in_order) {
        options.entry(name).or_insert(option);
    }
    Some(options)
}

fn compile_field(doc: &Field, app_name: &str, app: &App, apps: &IndexMap<Name, Arc<App>>) -> Result<Compiled, Vec<Diagnostic>> {
    let Some(kind) = field::kind(&doc.kind) else {
        return Err(vec![Diagnostic::error("/kind", format!("there is no kind `{}`", doc.kind))]);
    };
    let options = |name: &str| option_list(apps, app_name, name);
    let stages = |name: &str| app.pipelines.get(name).map(|pipeline| pipeline.stage_options());
    kind.compile(doc, &CompileContext { currency: &currency_of(app), options: &options, stages: &stages })
}

/// The names of an entity's fields in their order; fields that the order misses come last.
fn ordered(entity: &Entity) -> Vec<Name> {
    let mut names: Vec<Name> = entity.order.iter().flatten().filter(|name| entity.fields.contains_key(*name)).cloned().collect();
    names.extend(entity.fields.keys().filter(|name| !entity.order.iter().flatten().any(|there| there == *name)).cloned());
    names
}

fn inverse_name(role: &Role) -> Option<&Name> {
    match role {
        Role::Reference(spec) | Role::References(spec) => spec.inverse.as_ref(),
        Role::AnyReference { inverse, .. } => inverse.as_ref(),
        Role::Plain
        | Role::Money { .. }
        | Role::Choice { .. }
        | Role::Stage { .. }
        | Role::Lines { .. }
        | Role::Files { .. }
        | Role::Autonumber { .. }
        | Role::Formula { .. }
        | Role::Lookup { .. }
        | Role::Rollup(_)
        | Role::Secret => None,
    }
}

fn points_at(field: &FieldDraft, entity: usize) -> bool {
    field.targets.contains(&entity) || (field.targets.is_empty() && matches!(field.role, Role::AnyReference { .. }))
}

fn qualify(app: &str, name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("{app}.{name}") }
}

fn by_index(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn entity_id(index: usize) -> EntityId {
    EntityId(by_index(index))
}

fn field_id(index: usize) -> FieldId {
    FieldId(by_index(index))
}

/// The storage of a field that stands on its own.
pub(super) fn storage_of(doc: &Field) -> Option<crate::value::Storage> {
    let kind = field::kind(&doc.kind)?;
    let compiled = kind.compile(doc, &CompileContext { currency: DEFAULT_CURRENCY, options: &|_| None, stages: &|_| None }).ok()?;
    match compiled.shape {
        Shape::Own(typed) => typed.columns().first().map(|column| column.storage),
        Shape::Like(_) | Shape::Path(_) | Shape::Rollup | Shape::Nothing => None,
    }
}
