//! In charge of a published workspace: all documents compiled, ready to be interpreted.
//! Reading order: `Published`, `EntityPlan`, `FieldPlan`; `compile` makes them from documents.
//! Invariant: immutable; a request holds one snapshot to its end, and what did not compile is never in one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use indexmap::IndexMap;
use model::doc::{App, Condition, Fill, Package, Pipeline, Transition};
use model::field::Role;
use model::field::sealed::Seal;
use model::schema::Layout;
use model::{Diagnostic, EntityDef, EntityId, FieldDef, FieldId, Filter, Label, Name, Schema};
use rules::compute::Graph;
use rules::condition::CompiledCondition;
use rules::expr::{Place, Use};
use rules::policy::Grants;
use rules::query::{Path, SystemView, TypedFilter, resolve_path};
use rules::value::CompiledValue;
use serde_json::{Map, Value as Json};

use crate::publish::Apps;
use crate::records::duplicates::DuplicatePlan;
use crate::titles::Title;

mod stored;

/// A workspace's documents, compiled at one revision.
#[derive(Debug)]
pub struct Published {
    /// The revision's number.
    pub revision: i64,
    /// The structure.
    pub schema: Arc<Schema>,
    /// Which generation of columns each field lives in.
    pub layout: Layout,
    /// The apps as they were installed and changed, with their files.
    pub packages: IndexMap<Name, Arc<Package>>,
    /// The apps as they were shipped; one that the workspace made itself is not among them.
    pub shipped: IndexMap<Name, Arc<Package>>,
    /// What is compiled for each entity; an `EntityId` is an index.
    pub plans: Vec<EntityPlan>,
    /// What is computed from what.
    pub graph: Graph,
    /// The values of settings, by app: what an admin set, else the default.
    pub settings: HashMap<String, Map<String, Json>>,
    /// The time zone whose days count in scopes, roll-ups and numbers.
    pub zone: chrono_tz::Tz,
    /// All rights.
    pub all_grants: Arc<Grants>,
    pub(crate) rights: crate::people::Compiled,
    /// What runs when something happens.
    pub(crate) automations: crate::automations::Automations,
    /// How records become others.
    pub(crate) conversions: crate::conversions::Conversions,
    /// Working time, by qualified name.
    pub(crate) calendars: HashMap<String, Arc<crate::times::calendar::WorkingTime>>,
    /// Public pools.
    pub pools: crate::pools::Pools,
    /// The approval flows.
    pub flows: crate::approvals::plan::Flows,
    /// The public forms.
    pub(crate) web_forms: crate::web_forms::WebForms,
    /// The papers.
    pub(crate) prints: crate::prints::Prints,
}

/// What is compiled for one entity.
#[derive(Debug)]
pub struct EntityPlan {
    /// What names a record.
    pub title: Title,
    /// The fields that search looks at.
    pub search: Vec<FieldId>,
    /// By field; a `FieldId` is an index.
    pub fields: Vec<FieldPlan>,
    /// What every record must satisfy.
    pub rules: Vec<RulePlan>,
    /// Uniqueness over fields, single ones too.
    pub unique: Vec<UniquePlan>,
    /// How duplicates are found.
    pub(crate) duplicates: Vec<DuplicatePlan>,
    /// When a record is locked.
    pub locked_if: Option<CompiledCondition>,
    /// The fields that stay open when it is.
    pub locked_except: BTreeSet<FieldId>,
    /// The pipelines of each stage field.
    pub stages: Vec<StagePlan>,
}

/// What is compiled for one field.
#[derive(Debug, Default)]
pub struct FieldPlan {
    /// When it is there.
    pub show_if: Option<CompiledCondition>,
    /// When it must be filled.
    pub required_if: Option<CompiledCondition>,
    /// When it may not be changed.
    pub read_only_if: Option<CompiledCondition>,
    /// When an autonumber is given.
    pub given_if: Option<CompiledCondition>,
    /// When a formula stays as it is.
    pub frozen_if: Option<CompiledCondition>,
    /// The value of a new record.
    pub default: Option<CompiledValue>,
    /// What copies a value from elsewhere.
    pub fill: Option<FillPlan>,
    /// What may be chosen, on the target.
    pub choices: Option<ChoicePlan>,
}

/// A reference's filter.
#[derive(Debug)]
pub struct ChoicePlan {
    /// The filter over the target.
    pub filter: TypedFilter,
    /// The fields of this record that it looks at.
    pub record_fields: BTreeSet<FieldId>,
    /// Whether it binds every channel.
    pub strict: bool,
}

/// What copies a value when something else is set.
#[derive(Debug)]
pub struct FillPlan {
    /// Where from.
    pub source: FillSource,
    /// The fields whose change fills again.
    pub when: BTreeSet<FieldId>,
    /// Whether a value that a person changed stays.
    pub keep_edits: bool,
}

/// Where a filled value comes from; closed.
#[derive(Debug)]
pub enum FillSource {
    /// A path over references.
    Path(Path),
    /// The first record that a query finds.
    Find {
        /// Its entity.
        entity: EntityId,
        /// Which records.
        filter: TypedFilter,
        /// Which comes first, as written.
        sort: Option<String>,
        /// The field that is taken.
        take: FieldId,
    },
}

/// What every record must satisfy.
#[derive(Debug)]
pub struct RulePlan {
    /// The rule's name.
    pub name: Name,
    /// When it is looked at.
    pub condition: Option<CompiledCondition>,
    /// What must hold.
    pub require: CompiledCondition,
    /// The field whose input shows the message.
    pub field: Option<FieldId>,
    /// What a person reads.
    pub message: Option<Label>,
    /// Whether it reads a roll-up, so that a child's change may break it.
    pub reads_rollup: bool,
}

/// A uniqueness.
#[derive(Debug)]
pub struct UniquePlan {
    /// Its name, where it is one of the entity's keys.
    pub name: Option<Name>,
    /// The fields that together are unique.
    pub fields: Vec<FieldId>,
    /// Periods that may not overlap: from and until.
    pub period: Option<(FieldId, FieldId)>,
    /// The records that count.
    pub filter: Option<TypedFilter>,
    /// What a person reads.
    pub message: Option<Label>,
}

/// The pipelines of a stage field.
#[derive(Debug)]
pub struct StagePlan {
    /// The stage field.
    pub field: FieldId,
    /// The choice field that says which pipeline a record is in.
    pub by: Option<FieldId>,
    /// The pipelines, by name.
    pub pipelines: IndexMap<Name, PipelinePlan>,
}

/// A pipeline, compiled.
#[derive(Debug)]
pub struct PipelinePlan {
    /// The document.
    pub doc: Arc<Pipeline>,
    /// The conditions of its stages' requirements: stage, field, condition.
    pub requires: HashMap<Name, Vec<(FieldId, Option<CompiledCondition>)>>,
    /// The conditions of moves, by from and to.
    pub moves: HashMap<(Name, Name), CompiledCondition>,
    /// The conditions of checklist steps, by stage and step.
    pub done: HashMap<(Name, Name), CompiledCondition>,
}

impl PipelinePlan {
    /// The move from `from` to `to`, where there is such a way.
    #[must_use]
    pub fn transition(&self, from: &str, to: &str) -> Option<Transition> {
        self.doc.transition(from, to)
    }
}

impl StagePlan {
    /// The pipeline that a record with these cells is in.
    #[must_use]
    pub fn pipeline(&self, def: &EntityDef, cells: &[model::Value]) -> Option<(&Name, &PipelinePlan)> {
        let named = self.by.and_then(|by| def.field(by).cells(cells).first().and_then(model::Value::as_text));
        named.and_then(|name| self.pipelines.get_key_value(name)).or_else(|| self.pipelines.first())
    }
}

impl Published {
    /// Compiles all apps of a workspace, `core` first.
    ///
    /// # Errors
    /// Every fault found; pointers are into the workspace, `/{app}/…`.
    pub fn compile(
        revision: i64,
        apps: &IndexMap<Name, Arc<App>>,
        layout: Layout,
        set: &HashMap<String, Map<String, Json>>,
        key: &Arc<dyn Seal>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let schema = model::schema::build(apps, &layout, &rules::expr::is_on_read, key)?;
        let mut compiling = Compiling { schema: &schema, faults: Vec::new() };
        let plans: Vec<EntityPlan> = schema.entities.iter().map(|def| compiling.entity(def)).collect();
        let mut faults = compiling.faults;
        let automations = crate::automations::Automations::compile(&schema, &mut faults);
        let pools = crate::pools::Pools::compile(&schema, &mut faults);
        let conversions = crate::conversions::Conversions::compile(&schema, &mut faults);
        let flows = crate::approvals::plan::Flows::compile(&schema, apps, &mut faults);
        let web_forms = crate::web_forms::WebForms::compile(&schema, &mut faults);
        let prints = crate::prints::Prints::compile(&schema, &mut faults);
        let graph = match Graph::build(&schema) {
            Ok(graph) => Some(graph),
            Err(more) => {
                faults.extend(more);
                None
            }
        };
        let Some(graph) = graph.filter(|_| faults.iter().all(|fault| fault.severity != model::Severity::Error)) else { return Err(faults) };
        let settings = apps.iter().map(|(name, app)| (name.to_string(), crate::settings::values_of(app, set.get(name.as_str())))).collect();
        let settings: HashMap<String, Map<String, Json>> = settings;
        let zone = settings.get("core").and_then(|core| core.get("time_zone")).and_then(Json::as_str).and_then(|name| name.parse().ok());
        Ok(Self {
            revision,
            all_grants: Arc::new(Grants::all(&schema)),
            rights: crate::people::Compiled::default(),
            schema: Arc::new(schema),
            layout,
            packages: IndexMap::new(),
            shipped: IndexMap::new(),
            plans,
            graph,
            settings,
            zone: zone.unwrap_or(chrono_tz::UTC),
            automations,
            conversions,
            calendars: crate::times::calendar::WorkingTime::all(apps),
            pools,
            flows,
            web_forms,
            prints,
        })
    }

    /// The same with the packages that it was compiled from, and as they were shipped.
    #[must_use]
    pub(crate) fn with_apps(mut self, apps: Apps) -> Self {
        self.packages = apps.packages;
        self.shipped = apps.shipped;
        self
    }

    /// What is compiled for `entity`, which must be of this snapshot.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "an EntityId is only made by the schema that the plans are of")]
    pub fn plan(&self, entity: EntityId) -> &EntityPlan {
        &self.plans[entity.0 as usize]
    }

    /// The settings of `app`.
    #[must_use]
    pub fn settings_of(&self, app: &str) -> &Map<String, Json> {
        static NONE: std::sync::LazyLock<Map<String, Json>> = std::sync::LazyLock::new(Map::new);
        self.settings.get(app).unwrap_or(&NONE)
    }

    /// The calendar that a document of `app` names, bare or qualified.
    #[must_use]
    pub fn calendar(&self, app: &str, name: &str) -> Option<&Arc<crate::times::calendar::WorkingTime>> {
        if name.contains('.') { self.calendars.get(name) } else { self.calendars.get(&format!("{app}.{name}")) }
    }

    /// The documents of the app called `name`.
    #[must_use]
    pub fn app(&self, name: &str) -> Option<&Arc<App>> {
        self.schema.apps.get(name)
    }
}

impl rules::eval::Working for Published {
    fn works(&self, calendar: &str, day: chrono::NaiveDate) -> bool {
        self.calendars.get(calendar).is_some_and(|calendar| calendar.works(day))
    }

    fn between(&self, calendar: &str, from: chrono::DateTime<chrono::Utc>, until: chrono::DateTime<chrono::Utc>) -> Option<chrono::TimeDelta> {
        self.calendars.get(calendar).map(|calendar| calendar.between(from, until))
    }
}

impl EntityPlan {
    /// What is compiled for `field`, which must be of this entity.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "a FieldId is only made by the entity that the plan is of")]
    pub fn field(&self, field: FieldId) -> &FieldPlan {
        &self.fields[field.0 as usize]
    }
}

struct Compiling<'a> {
    schema: &'a Schema,
    faults: Vec<Diagnostic>,
}

impl Compiling<'_> {
    fn entity(&mut self, def: &EntityDef) -> EntityPlan {
        let at = format!("/{}/entities/{}", def.name.app(), def.name.bare());
        let app = def.name.app();
        self.faults.extend(stored::faults(def, &at));
        let title = Title::compile(self.schema, def, &format!("{at}/title"), &mut self.faults);
        let fields = def.fields.iter().map(|field| self.field(def, field)).collect();
        let rules = def.doc.rules.iter().filter_map(|(name, rule)| self.rule(def, app, name, rule, &format!("{at}/rules/{name}"))).collect();
        let locked_if = self.condition(def, app, def.doc.locked_if.as_ref(), &format!("{at}/locked_if"));
        let locked_except = def.doc.locked_except.iter().filter_map(|name| def.find(name.as_str())).map(|field| field.id).collect();
        EntityPlan {
            title,
            search: def.fields.iter().filter(|field| field.doc.common.search && field.typed.is_some()).map(|field| field.id).collect(),
            fields,
            rules,
            unique: self.unique(def, &at),
            duplicates: DuplicatePlan::all(self.schema, def, &at, &mut self.faults),
            locked_if,
            locked_except,
            stages: def.stages.iter().filter_map(|field| self.stage(def, def.field(*field))).collect(),
        }
    }

    fn condition(&mut self, def: &EntityDef, app: &str, condition: Option<&Condition>, at: &str) -> Option<CompiledCondition> {
        let place = Place { app, ..Place::of(self.schema, def.id, Use::Condition) };
        match CompiledCondition::compile(place, condition?) {
            Ok(compiled) => Some(compiled),
            Err(faults) => {
                self.faults.extend(faults.into_iter().map(|(message, hint)| Diagnostic::error(at, message).with_hint(hint)));
                None
            }
        }
    }

    fn filter(&mut self, entity: EntityId, filter: &Filter, at: &str) -> Option<TypedFilter> {
        self.filter_with_record(entity, entity, filter, at)
    }

    fn field(&mut self, def: &EntityDef, field: &FieldDef) -> FieldPlan {
        let app = field.app.as_str();
        let at = format!("/{app}/entities/{}/fields/{}", def.name.bare(), field.name);
        let common = &field.doc.common;
        let mut plan = FieldPlan {
            show_if: self.condition(def, app, common.show_if.as_ref(), &format!("{at}/show_if")),
            required_if: self.condition(def, app, common.required_if.as_ref(), &format!("{at}/required_if")),
            read_only_if: self.condition(def, app, common.read_only_if.as_ref(), &format!("{at}/read_only_if")),
            ..FieldPlan::default()
        };
        match &field.role {
            Role::Autonumber { given_if, .. } => plan.given_if = self.condition(def, app, given_if.as_ref(), &format!("{at}/given_if")),
            Role::Formula { frozen_if, .. } => plan.frozen_if = self.condition(def, app, frozen_if.as_ref(), &format!("{at}/frozen_if")),
            Role::Reference(spec) | Role::References(spec) => {
                if let (Some(filter), Some(target)) = (&spec.filter, field.targets.first()) {
                    let record_fields = record_fields(def, filter);
                    plan.choices = self.filter_with_record(*target, def.id, filter, &format!("{at}/filter")).map(|filter| ChoicePlan {
                        filter,
                        record_fields,
                        strict: spec.strict,
                    });
                }
            }
            Role::Plain
            | Role::Money { .. }
            | Role::Choice { .. }
            | Role::Stage { .. }
            | Role::AnyReference { .. }
            | Role::Lines { .. }
            | Role::Files { .. }
            | Role::Lookup { .. }
            | Role::Rollup(_)
            | Role::Secret => {}
        }
        if let Some(spec) = &common.default {
            let place = Place { app, ..Place::of(self.schema, def.id, Use::Value) };
            match CompiledValue::compile(place, spec) {
                Ok(value) => plan.default = Some(value),
                Err(faults) => {
                    self.faults.extend(faults.into_iter().map(|(message, hint)| Diagnostic::error(format!("{at}/default"), message).with_hint(hint)));
                }
            }
        }
        if let Some(fill) = &common.fill {
            plan.fill = self.fill(def, fill, &format!("{at}/fill"));
        }
        plan
    }

    /// A filter over another entity in which `$record` stands for one of `record`.
    fn filter_with_record(&mut self, target: EntityId, record: EntityId, filter: &Filter, at: &str) -> Option<TypedFilter> {
        match TypedFilter::compile_with_record(self.schema, target, filter, &SystemView, at, Some(record)) {
            Ok(typed) => Some(typed),
            Err(faults) => {
                self.faults.extend(faults.into_iter().map(|fault| Diagnostic::error(fault.pointer.clone(), fault.wording.text("en"))));
                None
            }
        }
    }

    fn fill(&mut self, def: &EntityDef, fill: &Fill, at: &str) -> Option<FillPlan> {
        let names = |names: &[Name]| names.iter().filter_map(|name| def.find(name.as_str())).map(|field| field.id).collect::<BTreeSet<_>>();
        match fill {
            Fill::From(from) => {
                let path = match resolve_path(self.schema, def.id, &from.from, &SystemView, &format!("{at}/from")) {
                    Ok(path) => path,
                    Err(fault) => {
                        self.faults.push(Diagnostic::error(fault.pointer.clone(), fault.wording.text("en")));
                        return None;
                    }
                };
                let mut when = names(&from.when);
                if when.is_empty() {
                    when.extend(path.hops.first().map(|hop| hop.field));
                }
                Some(FillPlan { source: FillSource::Path(path), when, keep_edits: from.keep_edits })
            }
            Fill::Find(find) => {
                let Some(target) = self.schema.find_from(def.name.app(), &find.find.entity) else {
                    self.faults.push(Diagnostic::error(format!("{at}/find/entity"), format!("there is no entity `{}`", find.find.entity)));
                    return None;
                };
                let Some(take) = target.find(find.find.take.as_str()).map(|field| field.id) else {
                    self.faults.push(Diagnostic::error(format!("{at}/find/take"), format!("`{}` has no field `{}`", target.name, find.find.take)));
                    return None;
                };
                let everything = Filter::everything();
                let filter =
                    self.filter_with_record(target.id, def.id, find.find.filter.as_ref().unwrap_or(&everything), &format!("{at}/find/filter"))?;
                let source = FillSource::Find { entity: target.id, filter, sort: find.find.sort.clone(), take };
                Some(FillPlan { source, when: names(&find.when), keep_edits: find.keep_edits })
            }
        }
    }

    fn rule(&mut self, def: &EntityDef, app: &str, name: &Name, rule: &model::doc::Rule, at: &str) -> Option<RulePlan> {
        let condition = self.condition(def, app, rule.condition.as_ref(), &format!("{at}/if"));
        let require = self.condition(def, app, Some(&rule.require), &format!("{at}/require"))?;
        let reads_rollup = reads_rollup(self.schema, def, &require, 0);
        let field = rule.field.as_ref().and_then(|name| def.find(name.as_str())).map(|field| field.id);
        Some(RulePlan { name: name.clone(), condition, require, field, message: rule.message.clone(), reads_rollup })
    }

    fn unique(&mut self, def: &EntityDef, at: &str) -> Vec<UniquePlan> {
        let mut plans: Vec<UniquePlan> = def
            .fields
            .iter()
            .filter(|field| field.slot().is_some() && (field.doc.common.unique || matches!(field.role, Role::Autonumber { .. })))
            .map(|field| UniquePlan { name: None, fields: vec![field.id], period: None, filter: None, message: None })
            .collect();
        for (name, key) in &def.doc.unique {
            let fields: Vec<FieldId> = key.fields.iter().filter_map(|field| def.find(field.as_str())).map(|field| field.id).collect();
            let filter = key.filter.as_ref().map(|filter| self.filter(def.id, filter, &format!("{at}/unique/{name}/where")).ok_or(()));
            let Ok(filter) = filter.transpose() else { continue };
            let period = key.period.as_ref().and_then(|[from, until]| Some((def.find(from.as_str())?.id, def.find(until.as_str())?.id)));
            plans.push(UniquePlan { name: Some(name.clone()), fields, period, filter, message: key.message.clone() });
        }
        plans
    }

    fn stage(&mut self, def: &EntityDef, field: &FieldDef) -> Option<StagePlan> {
        let Role::Stage { pipelines, by } = &field.role else { return None };
        let app = self.schema.apps.get(field.app.as_str())?.clone();
        let by = by.as_ref().and_then(|name| def.find(name.as_str())).map(|field| field.id);
        let pipelines = pipelines.iter().filter_map(|name| Some((name.clone(), self.pipeline(def, &app, name)?))).collect();
        Some(StagePlan { field: field.id, by, pipelines })
    }

    fn pipeline(&mut self, def: &EntityDef, app: &App, name: &Name) -> Option<PipelinePlan> {
        let doc = Arc::new(app.pipelines.get(name)?.clone());
        let app_name = app.app.name.as_str();
        let mut plan = PipelinePlan { doc: Arc::clone(&doc), requires: HashMap::new(), moves: HashMap::new(), done: HashMap::new() };
        for (stage_name, stage) in &doc.stages {
            let at = format!("/{app_name}/pipelines/{name}/stages/{stage_name}");
            let mut requires = Vec::new();
            for (index, requirement) in stage.requires.iter().enumerate() {
                let Some(field) = def.find(requirement.field().as_str()) else { continue };
                let condition = match requirement {
                    model::doc::Requirement::Field(_) => None,
                    model::doc::Requirement::If(conditional) => {
                        self.condition(def, app_name, Some(&conditional.condition), &format!("{at}/requires/{index}/if"))
                    }
                };
                requires.push((field.id, condition));
            }
            plan.requires.insert(stage_name.clone(), requires);
            for (step, item) in &stage.checklist {
                if let Some(condition) = self.condition(def, app_name, item.done_if.as_ref(), &format!("{at}/checklist/{step}/done_if")) {
                    plan.done.insert((stage_name.clone(), step.clone()), condition);
                }
            }
            if let Some(model::doc::Next::Map(moves)) = &stage.next {
                for (to, transition) in moves {
                    if let Some(condition) = self.condition(def, app_name, transition.condition.as_ref(), &format!("{at}/next/{to}/if")) {
                        plan.moves.insert((stage_name.clone(), to.clone()), condition);
                    }
                }
            }
        }
        Some(plan)
    }
}

/// The fields of `def` that a filter names as `$record.<field>`.
fn record_fields(def: &EntityDef, filter: &Filter) -> BTreeSet<FieldId> {
    let mut found = BTreeSet::new();
    collect_record_fields(def, filter, &mut found);
    found
}

fn collect_record_fields(def: &EntityDef, filter: &Filter, found: &mut BTreeSet<FieldId>) {
    match filter {
        Filter::All { all } => all.iter().for_each(|inner| collect_record_fields(def, inner, found)),
        Filter::Any { any } => any.iter().for_each(|inner| collect_record_fields(def, inner, found)),
        Filter::Not { not } => collect_record_fields(def, not, found),
        Filter::Some { filter, .. } | Filter::None { filter, .. } | Filter::Every { filter, .. } => {
            filter.iter().for_each(|inner| collect_record_fields(def, inner, found));
        }
        Filter::Leaf { value, .. } => {
            let texts = value.iter().flat_map(|value| match value {
                Json::Array(items) => items.iter().collect::<Vec<_>>(),
                other => vec![other],
            });
            for name in texts.filter_map(Json::as_str).filter_map(|text| text.strip_prefix("$record.")) {
                found.extend(name.split('.').next().and_then(|name| def.find(name)).map(|field| field.id));
            }
        }
    }
}

/// Whether a condition reads a roll-up of its own record, also through its formulas.
fn reads_rollup(schema: &Schema, def: &EntityDef, condition: &CompiledCondition, depth: u8) -> bool {
    condition.reads().iter().any(|path| path.hops.is_empty() && field_reads_rollup(schema, def, path.field, depth))
}

/// Whether a field is a roll-up, or a formula of its own record that reads one.
pub(crate) fn field_reads_rollup(schema: &Schema, def: &EntityDef, field: FieldId, depth: u8) -> bool {
    const DEEPEST: u8 = 16;
    let field = def.field(field);
    match &field.role {
        Role::Rollup(_) => true,
        Role::Formula { expression, .. } if depth < DEEPEST => {
            let place = Place { app: field.app.as_str(), ..Place::of(schema, def.id, Use::Formula) };
            rules::expr::Expression::compile_at(place, expression).is_ok_and(|compiled| {
                compiled.reads().iter().any(|path| path.hops.is_empty() && field_reads_rollup(schema, def, path.field, depth + 1))
            })
        }
        _ => false,
    }
}
