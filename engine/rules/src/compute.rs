//! In charge of what is computed from what: the graph of formulas, lookups and roll-ups of a schema.
//! Reading order: `Graph` (order and consequences), `Sources` (what a derived field is made from).
//! Invariant: acyclic; a ring is a fault that names it, and roll-ups stand on roll-ups 8 deep at most.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::field::{Role, RollupFn};
use model::{Diagnostic, EntityDef, EntityId, FieldDef, FieldId, Schema};

use crate::clock::{self, ClockPlan, Restart};
use crate::expr::{Expression, Place, Use};
use crate::query::{Hop, Path, RelatedVia, SystemView, TypedFilter, resolve_path};

/// The longest chain of roll-ups over roll-ups.
pub const MAX_CHAIN: usize = 8;

/// A formula or lookup of the record itself.
#[derive(Clone, Debug)]
pub struct Computed {
    /// The field.
    pub field: FieldId,
    /// How it is computed.
    pub source: Source,
}

/// How a field is computed; closed.
#[derive(Clone, Debug)]
pub enum Source {
    /// By an expression.
    Expression(Expression),
    /// As the field at the end of a path.
    Path(Path),
}

/// A roll-up.
#[derive(Clone, Debug)]
pub struct Rollup {
    /// The entity that has it.
    pub parent: EntityId,
    /// The field.
    pub field: FieldId,
    /// The entity whose records are rolled up.
    pub source: EntityId,
    /// How they are found.
    pub via: RelatedVia,
    /// What is computed.
    pub function: RollupFn,
    /// Over which of their fields.
    pub value: Option<FieldId>,
    /// Which of them count.
    pub filter: Option<TypedFilter>,
    /// Whether those of records below in the tree count too.
    pub below: bool,
}

/// That something of `entity` is computed from a field some references away.
#[derive(Clone, Debug)]
pub struct FromAfar {
    /// The entity of the records that follow.
    pub entity: EntityId,
    /// The references from them to the record whose field is read.
    pub hops: Vec<Hop>,
    /// The field that is read.
    pub field: FieldId,
    /// The roll-up whose filter reads it; none where it is a formula of the record.
    pub rollup: Option<usize>,
}

/// The graph of a schema.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    formulas: Vec<Vec<Computed>>,
    rollups: Vec<Rollup>,
    by_source: HashMap<EntityId, Vec<usize>>,
    by_parent: HashMap<EntityId, Vec<usize>>,
    from_afar: HashMap<EntityId, Vec<FromAfar>>,
    sources: Sources,
    clocks: Vec<Vec<ClockPlan>>,
    restarts: HashMap<EntityId, Vec<Restart>>,
}

type Node = (EntityId, FieldId);

/// What each derived field is made from, over references and roll-ups too.
#[derive(Clone, Debug, Default)]
pub struct Sources(BTreeMap<Node, BTreeSet<Node>>);

impl Sources {
    /// The fields that `field` is made from.
    #[must_use]
    pub fn of(&self, entity: EntityId, field: FieldId) -> &BTreeSet<(EntityId, FieldId)> {
        static NONE: BTreeSet<Node> = BTreeSet::new();
        self.0.get(&(entity, field)).unwrap_or(&NONE)
    }

    /// The fields that `field` is made from, and all that those are made from in turn.
    #[must_use]
    pub fn all_of(&self, entity: EntityId, field: FieldId) -> BTreeSet<(EntityId, FieldId)> {
        let mut found = BTreeSet::new();
        let mut waiting = vec![(entity, field)];
        while let Some((entity, field)) = waiting.pop() {
            waiting.extend(self.of(entity, field).iter().filter(|source| found.insert(**source)));
        }
        found
    }

    fn add(&mut self, derived: Node, source: Node) {
        self.0.entry(derived).or_default().insert(source);
    }

    fn add_path(&mut self, derived: Node, path: &Path) {
        for hop in &path.hops {
            self.add(derived, (hop.from, hop.field));
        }
        self.add(derived, (path.entity, path.field));
    }
}

impl Graph {
    /// The graph of `schema`.
    ///
    /// # Errors
    /// Every formula, lookup and roll-up with a fault, and every ring.
    pub fn build(schema: &Schema) -> Result<Self, Vec<Diagnostic>> {
        let mut building = Building { schema, graph: Self::default(), faults: Vec::new() };
        for def in &schema.entities {
            let computed = building.entity(def);
            building.graph.formulas.push(computed);
            let clocks = building.clocks(def);
            building.graph.clocks.push(clocks);
        }
        building.order();
        if building.faults.is_empty() { Ok(building.graph) } else { Err(building.faults) }
    }

    /// The stored formulas and lookups of an entity, each after those that it reads.
    #[must_use]
    pub fn formulas(&self, entity: EntityId) -> &[Computed] {
        self.formulas.get(entity.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// The roll-ups that records of `source` count for.
    pub fn rollups_of(&self, source: EntityId) -> impl Iterator<Item = &Rollup> {
        self.by_source.get(&source).into_iter().flatten().filter_map(|index| self.rollups.get(*index))
    }

    /// The roll-ups that an entity has.
    pub fn rollups_on(&self, parent: EntityId) -> impl Iterator<Item = &Rollup> {
        self.by_parent.get(&parent).into_iter().flatten().filter_map(|index| self.rollups.get(*index))
    }

    /// The roll-up at `index`.
    #[must_use]
    pub fn rollup(&self, index: usize) -> Option<&Rollup> {
        self.rollups.get(index)
    }

    /// What elsewhere follows from fields of `entity` over references.
    #[must_use]
    pub fn read_from_afar(&self, entity: EntityId) -> &[FromAfar] {
        self.from_afar.get(&entity).map_or(&[], Vec::as_slice)
    }

    /// The clocks that run on records of an entity.
    #[must_use]
    pub fn clocks(&self, entity: EntityId) -> &[ClockPlan] {
        self.clocks.get(entity.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// The clocks elsewhere that records of an entity start anew.
    #[must_use]
    pub fn restarts(&self, source: EntityId) -> &[Restart] {
        self.restarts.get(&source).map_or(&[], Vec::as_slice)
    }

    /// What derived fields are made from.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }
}

struct Building<'a> {
    schema: &'a Schema,
    graph: Graph,
    faults: Vec<Diagnostic>,
}

fn pointer(def: &EntityDef, field: &FieldDef) -> String {
    format!("/{}/entities/{}/fields/{}", field.app, def.name.bare(), field.name)
}

impl Building<'_> {
    fn entity(&mut self, def: &EntityDef) -> Vec<Computed> {
        let mut computed = Vec::new();
        for field in &def.fields {
            match &field.role {
                Role::Formula { expression, .. } => self.formula(def, field, expression, &mut computed),
                Role::Lookup { path } => self.lookup(def, field, path, &mut computed),
                Role::Rollup(spec) => self.rollup(def, field, spec),
                Role::Plain
                | Role::Money { .. }
                | Role::Choice { .. }
                | Role::Stage { .. }
                | Role::Reference(_)
                | Role::References(_)
                | Role::AnyReference { .. }
                | Role::Lines { .. }
                | Role::Files { .. }
                | Role::Autonumber { .. }
                | Role::Secret => {}
            }
        }
        computed
    }

    /// Clocks follow from what they read, as formulas do.
    fn clocks(&mut self, def: &EntityDef) -> Vec<ClockPlan> {
        let plans = ClockPlan::all(self.schema, def, &mut self.faults);
        for plan in &plans {
            let parts: Vec<FieldId> =
                def.fields.iter().filter(|field| field.clock.as_ref().is_some_and(|(of, _)| *of == plan.name)).map(|field| field.id).collect();
            for path in plan.reads() {
                for part in &parts {
                    self.graph.sources.add_path((def.id, *part), path);
                }
                self.afar(def.id, path, None);
            }
        }
        for (source, restart) in clock::restarts(self.schema, def) {
            self.graph.restarts.entry(source).or_default().push(restart);
        }
        plans
    }

    fn fault(&mut self, at: impl Into<String>, message: impl Into<String>, hint: Option<String>) {
        self.faults.push(Diagnostic::error(at, message).with_hint(hint));
    }

    fn formula(&mut self, def: &EntityDef, field: &FieldDef, text: &str, computed: &mut Vec<Computed>) {
        let at = format!("{}/expr", pointer(def, field));
        let place = Place { app: field.app.as_str(), ..Place::of(self.schema, def.id, Use::Formula) };
        let expression = match Expression::compile_at(place, text) {
            Ok(expression) => expression,
            Err(faults) => {
                for fault in faults {
                    self.fault(&at, format!("{} (line {}, column {})", fault.message, fault.line, fault.column), fault.hint);
                }
                return;
            }
        };
        for path in expression.reads() {
            self.graph.sources.add_path((def.id, field.id), path);
        }
        if field.on_read {
            return;
        }
        if let Some(storage) = field.slot().and_then(|slot| def.columns.get(slot)).map(|column| column.storage)
            && !expression.fits(storage)
        {
            let kind = expression.kind().word(self.schema);
            self.fault(&at, format!("the formula gives {kind}, which does not fit its result"), None);
        }
        for path in expression.reads().to_vec() {
            self.afar(def.id, &path, None);
        }
        computed.push(Computed { field: field.id, source: Source::Expression(expression) });
    }

    fn lookup(&mut self, def: &EntityDef, field: &FieldDef, text: &str, computed: &mut Vec<Computed>) {
        match resolve_path(self.schema, def.id, text, &SystemView, "") {
            Ok(path) if path.target(self.schema).on_read => {
                self.fault(format!("{}/path", pointer(def, field)), "what changes with the clock cannot be looked up into a field", None);
            }
            Ok(path) => {
                self.graph.sources.add_path((def.id, field.id), &path);
                self.afar(def.id, &path, None);
                computed.push(Computed { field: field.id, source: Source::Path(path) });
            }
            Err(fault) => self.fault(format!("{}/path", pointer(def, field)), fault.wording.text("en"), None),
        }
    }

    /// Remembers that `entity` reads `path`: what changes along it has consequences.
    fn afar(&mut self, entity: EntityId, path: &Path, rollup: Option<usize>) {
        for (index, hop) in path.hops.iter().enumerate() {
            // A reference on the way, seen from the records behind the hops before it.
            if index > 0 {
                self.add_afar(hop.from, FromAfar { entity, hops: path.hops[..index].to_vec(), field: hop.field, rollup });
            }
        }
        if !path.hops.is_empty() {
            self.add_afar(path.entity, FromAfar { entity, hops: path.hops.clone(), field: path.field, rollup });
        }
    }

    fn add_afar(&mut self, of: EntityId, far: FromAfar) {
        let there = self.graph.from_afar.entry(of).or_default();
        let same = |other: &FromAfar| {
            other.entity == far.entity
                && other.field == far.field
                && other.rollup == far.rollup
                && other.hops.iter().map(|hop| (hop.from, hop.field)).eq(far.hops.iter().map(|hop| (hop.from, hop.field)))
        };
        if !there.iter().any(same) {
            there.push(far);
        }
    }

    fn rollup(&mut self, def: &EntityDef, field: &FieldDef, spec: &model::field::RollupSpec) {
        let at = pointer(def, field);
        let (via, source) = if let Some(inverse) = def.inverses.get(&spec.of) {
            (RelatedVia::Inverse(inverse.clone()), inverse.entity)
        } else if let Some((list, target)) = def
            .find(spec.of.as_str())
            .filter(|field| matches!(field.role, Role::References(_)))
            .and_then(|field| Some((field.id, *field.targets.first()?)))
        {
            (RelatedVia::References(list, target), target)
        } else {
            self.fault(format!("{at}/of"), format!("there is no relation `{}` here", spec.of), None);
            return;
        };
        let far = self.schema.entity(source);
        let value = match &spec.field {
            None => None,
            Some(name) => match far.find(name.as_str()) {
                Some(value) if value.slot().is_some() => Some(value.id),
                Some(_) | None => {
                    self.fault(format!("{at}/field"), format!("`{}` has no stored field `{name}`", far.name), None);
                    return;
                }
            },
        };
        if spec.below && def.tree.is_none() {
            self.fault(format!("{at}/below"), "there is no tree here: mark a reference to the entity itself with `tree`", None);
            return;
        }
        let filter = match spec
            .filter
            .as_ref()
            .map(|filter| TypedFilter::compile_with_record(self.schema, source, filter, &SystemView, &format!("{at}/filter"), None))
        {
            None => None,
            Some(Ok(filter)) if filter.uses_clock() || filter.uses_person() => {
                self.fault(format!("{at}/filter"), "the filter of a roll-up may not depend on the person or the time", None);
                return;
            }
            Some(Ok(filter)) if filter.uses_relations() => {
                // A change of the related records could not be followed, nor a hidden field in them be known.
                self.fault(format!("{at}/filter"), "the filter of a roll-up may not use some, none or every: roll those up in a field first", None);
                return;
            }
            Some(Ok(filter)) => Some(filter),
            Some(Err(faults)) => {
                for fault in faults {
                    self.fault(fault.pointer.clone(), fault.wording.text("en"), None);
                }
                return;
            }
        };
        let node = (def.id, field.id);
        if let RelatedVia::Inverse(inverse) = &via {
            self.graph.sources.add(node, (source, inverse.by));
        }
        if let Some(value) = value {
            self.graph.sources.add(node, (source, value));
        }
        let index = self.graph.rollups.len();
        for path in filter.iter().flat_map(|filter| filter.reads().to_vec()) {
            self.graph.sources.add_path(node, &path);
            self.afar(source, &path, Some(index));
        }
        self.graph.by_source.entry(source).or_default().push(index);
        self.graph.by_parent.entry(def.id).or_default().push(index);
        self.graph.rollups.push(Rollup { parent: def.id, field: field.id, source, via, function: spec.function, value, filter, below: spec.below });
    }

    /// Orders the formulas of each entity and looks for rings and long chains over all.
    fn order(&mut self) {
        let mut walking = Walking { sources: &self.graph.sources.0, schema: self.schema, done: HashMap::new(), path: Vec::new(), rings: Vec::new() };
        let nodes: Vec<Node> = self.graph.sources.0.keys().copied().collect();
        let mut too_long = Vec::new();
        for node in &nodes {
            if walking.depth(*node) > MAX_CHAIN {
                too_long.push(*node);
            }
        }
        let rings = walking.rings;
        for ring in rings {
            let names: Vec<String> = ring
                .iter()
                .map(|(entity, field)| format!("{}.{}", self.schema.entity(*entity).name, self.schema.entity(*entity).field(*field).name))
                .collect();
            let Some((entity, field)) = ring.first() else { continue };
            let def = self.schema.entity(*entity);
            let at = pointer(def, def.field(*field));
            self.fault(at, format!("computed in a ring: {}", names.join(" → ")), None);
        }
        for (entity, field) in too_long {
            let def = self.schema.entity(entity);
            self.fault(pointer(def, def.field(field)), format!("stands on more than {MAX_CHAIN} roll-ups"), None);
        }
        for (index, formulas) in self.graph.formulas.iter_mut().enumerate() {
            let entity = EntityId(u32::try_from(index).unwrap_or(u32::MAX));
            sort_formulas(entity, formulas, &self.graph.sources);
        }
    }
}

/// Puts each formula after those of the same record that it reads.
fn sort_formulas(entity: EntityId, formulas: &mut Vec<Computed>, sources: &Sources) {
    let mut sorted: Vec<Computed> = Vec::with_capacity(formulas.len());
    let mut waiting = std::mem::take(formulas);
    while !waiting.is_empty() {
        let names: BTreeSet<FieldId> = waiting.iter().map(|computed| computed.field).collect();
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|computed| {
            !sources.of(entity, computed.field).iter().any(|(of, field)| *of == entity && *field != computed.field && names.contains(field))
        });
        if ready.is_empty() {
            // A ring; it is told as a fault.
            sorted.extend(rest);
            break;
        }
        sorted.extend(ready);
        waiting = rest;
    }
    *formulas = sorted;
}

struct Walking<'a> {
    sources: &'a BTreeMap<Node, BTreeSet<Node>>,
    schema: &'a Schema,
    /// How many roll-ups stand below, once known.
    done: HashMap<Node, usize>,
    path: Vec<Node>,
    rings: Vec<Vec<Node>>,
}

impl Walking<'_> {
    fn depth(&mut self, node: Node) -> usize {
        if let Some(depth) = self.done.get(&node) {
            return *depth;
        }
        if let Some(start) = self.path.iter().position(|there| *there == node) {
            let mut ring = self.path[start..].to_vec();
            ring.push(node);
            if !self.rings.iter().any(|there| there.contains(&node)) {
                self.rings.push(ring);
            }
            return 0;
        }
        let Some(sources) = self.sources.get(&node) else { return 0 };
        self.path.push(node);
        let below = sources.iter().map(|source| self.depth(*source)).max().unwrap_or(0);
        self.path.pop();
        let is_rollup = matches!(self.schema.entity(node.0).field(node.1).role, Role::Rollup(_));
        let depth = below + usize::from(is_rollup);
        self.done.insert(node, depth);
        depth
    }
}
