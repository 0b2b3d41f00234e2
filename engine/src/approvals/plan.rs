//! In charge of a flow compiled against the schema: its conditions, expressions, fields and texts.
//! Invariant: a running instance keeps the document that it began with; it is compiled against the schema that is current.

use std::collections::HashMap;
use std::sync::Arc;

use flow::approval::Flow;
use model::doc::approval::{self, Approval, Approver, ApproverBy, CopyDoc, DecisionDoc};
use model::doc::{App, Condition};
use model::{Cells, Diagnostic, EntityId, FieldId, Name, Schema};
use rules::condition::CompiledCondition;
use rules::expr::{Expression, Place, Use};
use rules::query::{Path, SystemView, resolve_path};
use rules::text::{Escape, TextTemplate};
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};
use store::system::run;

use crate::approvals::rows;
use crate::automations::plan::{AutomationPlan, Definition};
use crate::published::Published;

/// A flow, compiled.
#[derive(Debug)]
pub struct FlowPlan {
    /// Its qualified name.
    pub name: String,
    /// The app that it is of.
    pub app: String,
    /// The entity.
    pub entity: EntityId,
    /// The machine's part.
    pub flow: Flow,
    /// The document.
    pub doc: Arc<Approval>,
    /// The document's hash: what instances are pinned to.
    pub hash: String,
    pub(crate) conditions: HashMap<String, CompiledCondition>,
    pub(crate) expressions: HashMap<String, Expression>,
    pub(crate) untils: HashMap<String, Path>,
    pub(crate) watched: Vec<FieldId>,
    pub(crate) lock: LockPlan,
    pub(crate) title: Option<TitlePlan>,
    /// The steps that the system takes, by where they stand: `steps/{node}`, `on_approved`, ….
    pub(crate) runs: HashMap<String, Arc<AutomationPlan>>,
}

/// What a running instance closes.
#[derive(Debug, Default)]
pub(crate) struct LockPlan {
    /// The fields that stay open.
    pub(crate) editable: Vec<FieldId>,
    /// The only fields that are closed; all where empty.
    pub(crate) only: Vec<FieldId>,
}

/// What names an instance.
#[derive(Debug)]
pub(crate) struct TitlePlan {
    template: TextTemplate,
    inputs: Vec<(Vec<String>, Path)>,
}

impl TitlePlan {
    fn compile(schema: &Schema, entity: EntityId, text: &str) -> Result<Self, String> {
        let template = TextTemplate::compile(text, Escape::None)?;
        let mut inputs = Vec::new();
        for name in template.names() {
            let own: Vec<String> = name.iter().skip_while(|part| *part == "record").cloned().collect();
            let path = resolve_path(schema, entity, &own.join("."), &SystemView, "").map_err(|fault| fault.wording.text("en"))?;
            inputs.push((name, path));
        }
        Ok(Self { template, inputs })
    }

    /// The title with what `text` gives of each path.
    pub(crate) fn render(&self, text: impl Fn(&Path) -> String) -> String {
        let values: Vec<(Vec<String>, String)> = self.inputs.iter().map(|(name, path)| (name.clone(), text(path))).collect();
        self.template.render_texts(&values).unwrap_or_default().trim().to_owned()
    }
}

/// A hash of a document that is the same for the same meaning.
pub(crate) fn hash_of(doc: &Approval) -> String {
    let text = serde_json::to_vec(doc).unwrap_or_default();
    Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl FlowPlan {
    /// Compiles a flow of `app`; pointers are into the document.
    ///
    /// # Errors
    /// Every fault found.
    pub fn compile(schema: &Schema, app: &str, name: &Name, doc: &Approval) -> Result<Self, Vec<Diagnostic>> {
        let (plan, faults) = Self::read(schema, app, name, doc)?;
        if faults.iter().any(|fault| fault.severity == model::Severity::Error) { Err(faults) } else { Ok(plan) }
    }

    /// Compiles what can be compiled, and tells the rest: what a running flow lost stands still when it is come to.
    fn read(schema: &Schema, app: &str, name: &Name, doc: &Approval) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let flow = Flow::compile(name, doc)?;
        let entity =
            schema.find_from(app, &doc.entity).ok_or_else(|| vec![Diagnostic::error("/entity", format!("there is no entity `{}`", doc.entity))])?;
        let mut compiling = Compiling { schema, app, entity: entity.id, faults: Vec::new(), conditions: HashMap::new(), expressions: HashMap::new() };
        compiling.condition("start/when", flow.start.when.as_ref());
        compiling.condition("settings/revoke_if", flow.settings.revoke_if.as_ref());
        compiling.people("settings/managers", &flow.settings.managers);
        let mut untils = HashMap::new();
        for (step, written) in &doc.steps {
            compiling.step(step, &written.settings, &mut untils);
            if let Some(decision) = flow.node(step.as_str()).and_then(flow::approval::Node::decision) {
                compiling.decision(step, decision);
            }
            if let ("cc", Ok(copy)) = (written.kind.as_str(), approval::read::<CopyDoc>(&written.settings)) {
                compiling.people(&format!("steps/{step}/to"), &copy.to);
            }
        }
        let fields = |names: &[String]| names.iter().filter_map(|name| entity.find(name)).map(|field| field.id).collect::<Vec<_>>();
        let settings = &flow.settings;
        let lock = LockPlan { editable: fields(&settings.lock.editable), only: fields(&settings.lock.fields) };
        let watched = fields(&settings.watched);
        let title = settings.title.as_deref().and_then(|text| match TitlePlan::compile(schema, entity.id, text) {
            Ok(title) => Some(title),
            Err(message) => {
                compiling.faults.push(Diagnostic::error("/settings/title", message));
                None
            }
        });
        let runs = runs(schema, app, name, doc, &mut compiling.faults);
        let plan = Self {
            name: format!("{app}.{name}"),
            app: app.to_owned(),
            entity: entity.id,
            hash: hash_of(doc),
            doc: Arc::new(doc.clone()),
            conditions: compiling.conditions,
            expressions: compiling.expressions,
            untils,
            watched,
            lock,
            title,
            runs,
            flow,
        };
        Ok((plan, compiling.faults))
    }

    /// A flow in whose steps nothing can be read any more: it closes its record, and whoever manages it can end it.
    fn without_steps(schema: &Schema, app: &str, name: &Name, doc: &Approval) -> Option<Self> {
        let bare = Approval { steps: indexmap::IndexMap::new(), root: Vec::new(), settings: Map::new(), ..doc.clone() };
        Self::read(schema, app, name, &bare).ok().map(|(plan, _)| plan)
    }
}

/// The lists of steps of a flow, each compiled like an automation that its decision sets off.
fn runs(schema: &Schema, app: &str, name: &Name, doc: &Approval, faults: &mut Vec<Diagnostic>) -> HashMap<String, Arc<AutomationPlan>> {
    let actions = doc.steps.iter().filter(|(_, step)| step.kind == "action").map(|(step, written)| (format!("steps/{step}"), &written.settings));
    let results = flow::approval::RESULTS.into_iter().filter_map(|word| Some((word.to_owned(), doc.settings.get(word)?.as_object()?)));
    let mut found = HashMap::new();
    for (at, list) in actions.chain(results) {
        let on = serde_json::json!({"approval": "decided", "entity": doc.entity, "flow": name});
        let written = serde_json::json!({"on": on, "steps": list.get("steps"), "root": list.get("root")});
        let automation = match serde_json::from_value(written) {
            Ok(automation) => automation,
            Err(error) => {
                faults.push(Diagnostic::error(format!("/{at}"), error.to_string()));
                continue;
            }
        };
        let Some(owner) = schema.apps.get(app) else { continue };
        let definition = Definition::of(owner, name, &automation);
        found.insert(at.clone(), Arc::new(AutomationPlan::compile(schema, &definition, &format!("/{at}"), faults)));
    }
    found
}

struct Compiling<'a> {
    schema: &'a Schema,
    app: &'a str,
    entity: EntityId,
    faults: Vec<Diagnostic>,
    conditions: HashMap<String, CompiledCondition>,
    expressions: HashMap<String, Expression>,
}

impl<'a> Compiling<'a> {
    fn place(&self, usage: Use) -> Place<'a> {
        Place { app: self.app, ..Place::of(self.schema, self.entity, usage) }
    }

    fn told(&mut self, at: &str, faults: Vec<(String, Option<String>)>) {
        self.faults.extend(faults.into_iter().map(|(message, hint)| Diagnostic::error(format!("/{at}"), message).with_hint(hint)));
    }

    fn condition(&mut self, at: &str, condition: Option<&Condition>) {
        let Some(condition) = condition else { return };
        match CompiledCondition::compile(self.place(Use::Condition), condition) {
            Ok(compiled) => drop(self.conditions.insert(at.to_owned(), compiled)),
            Err(faults) => self.told(at, faults),
        }
    }

    fn written(&mut self, at: &str, json: Option<&Json>) {
        let Some(json) = json else { return };
        match serde_json::from_value::<Condition>(json.clone()) {
            Ok(condition) => self.condition(at, Some(&condition)),
            Err(error) => self.faults.push(Diagnostic::error(format!("/{at}"), error.to_string())),
        }
    }

    fn step(&mut self, step: &Name, settings: &Map<String, Json>, untils: &mut HashMap<String, Path>) {
        let at = format!("steps/{step}");
        self.written(&format!("{at}/when"), settings.get("when"));
        for (branch, json) in settings.get("branches").and_then(Json::as_object).into_iter().flatten() {
            self.written(&format!("{at}/branches/{branch}/when"), json.get("when"));
        }
        if let Some(path) = settings.get("until").and_then(Json::as_str) {
            // A date as it is, or a path to one.
            if path.parse::<chrono::DateTime<chrono::Utc>>().is_err() && path.parse::<chrono::NaiveDate>().is_err() {
                match resolve_path(self.schema, self.entity, path, &SystemView, "") {
                    Ok(path) => drop(untils.insert(format!("{at}/until"), path)),
                    Err(fault) => self.faults.push(Diagnostic::error(format!("/{at}/until"), fault.wording.text("en"))),
                }
            }
        }
    }

    fn decision(&mut self, step: &Name, doc: &DecisionDoc) {
        self.people(&format!("steps/{step}/approvers"), &doc.approvers);
        self.people(&format!("steps/{step}/empty_users"), &doc.empty_users);
        for (index, timeout) in doc.timeouts.iter().enumerate() {
            self.people(&format!("steps/{step}/timeouts/{index}/to"), &timeout.to);
        }
    }

    /// The expressions among the sources at `at`, and among those whom one may choose there.
    fn people(&mut self, at: &str, sources: &[Approver]) {
        for (index, source) in sources.iter().enumerate() {
            self.people(&format!("{at}/{index}/among"), &source.among);
            if source.by != ApproverBy::Expr {
                continue;
            }
            let at = format!("{at}/{index}/expr");
            match Expression::compile_at(self.place(Use::Value), source.expr.as_deref().unwrap_or_default()) {
                Ok(expression) => drop(self.expressions.insert(at, expression)),
                Err(faults) => {
                    let faults = faults.into_iter().map(|fault| (fault.message, fault.hint)).collect();
                    self.told(&at, faults);
                }
            }
        }
    }
}

/// Every flow of a workspace.
#[derive(Debug, Default)]
pub struct Flows {
    by_name: HashMap<String, Arc<FlowPlan>>,
    by_entity: HashMap<EntityId, Vec<String>>,
    /// Documents that are not current any more and that instances still run on.
    pinned: parking_lot::Mutex<HashMap<String, Arc<FlowPlan>>>,
}

impl Flows {
    /// Compiles the flows of all apps; faults are told in the workspace's pointers.
    pub(crate) fn compile(schema: &Schema, apps: &indexmap::IndexMap<Name, Arc<App>>, faults: &mut Vec<Diagnostic>) -> Self {
        let mut flows = Self::default();
        for (app_name, app) in apps {
            for (name, doc) in &app.approvals {
                match FlowPlan::compile(schema, app_name.as_str(), name, doc) {
                    Ok(plan) => {
                        flows.by_entity.entry(plan.entity).or_default().push(plan.name.clone());
                        flows.by_name.insert(plan.name.clone(), Arc::new(plan));
                    }
                    Err(more) => faults.extend(more.into_iter().map(|mut fault| {
                        // What is wrong with a script that a step runs is told of the script.
                        if !fault.pointer.starts_with(&format!("/{app_name}/scripts/")) {
                            fault.pointer = format!("/{app_name}/approvals/{name}{}", fault.pointer);
                        }
                        fault
                    })),
                }
            }
        }
        flows
    }

    /// The flow called `name`: qualified, or bare while one app has it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<FlowPlan>> {
        if let Some(plan) = self.by_name.get(name) {
            return Some(plan);
        }
        let mut found = self.by_name.values().filter(|plan| plan.flow.name == *name);
        found.next().filter(|_| found.next().is_none())
    }

    /// Every flow, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<FlowPlan>> {
        self.by_name.values()
    }

    /// The flows of an entity.
    pub(crate) fn of(&self, entity: EntityId) -> impl Iterator<Item = &Arc<FlowPlan>> {
        self.by_entity.get(&entity).into_iter().flatten().filter_map(|name| self.by_name.get(name))
    }

    /// Whether records of an entity may come under approval.
    pub(crate) fn has(&self, entity: EntityId) -> bool {
        self.by_entity.contains_key(&entity)
    }

    /// The flow that an instance began with.
    pub(crate) fn pinned(
        &self,
        app: &Published,
        name: &str,
        hash: &str,
        body: impl FnOnce() -> Result<Option<Json>, store::Fault>,
    ) -> Result<Option<Arc<FlowPlan>>, store::Fault> {
        if let Some(plan) = self.by_name.get(name).filter(|plan| plan.hash == hash) {
            return Ok(Some(Arc::clone(plan)));
        }
        if let Some(plan) = self.pinned.lock().get(hash) {
            return Ok(Some(Arc::clone(plan)));
        }
        let Some(doc) = body()?.and_then(|json| serde_json::from_value::<Approval>(json).ok()) else { return Ok(None) };
        let Some((app_name, bare)) = name.split_once('.').and_then(|(app, bare)| Some((app, Name::parse(bare)?))) else { return Ok(None) };
        // A publish refuses to take away what a running instance needs; what is lost all the same is missed step by step.
        let found = FlowPlan::read(&app.schema, app_name, &bare, &doc).ok().map(|(plan, _)| plan);
        let Some(mut plan) = found.or_else(|| FlowPlan::without_steps(&app.schema, app_name, &bare, &doc)) else { return Ok(None) };
        hash.clone_into(&mut plan.hash);
        let plan = Arc::new(plan);
        self.pinned.lock().insert(hash.to_owned(), Arc::clone(&plan));
        Ok(Some(plan))
    }
}

/// What a new revision takes away from instances that run.
pub(crate) fn taken_away(tx: &store::Tx, old: &Published, new: &Published) -> Result<Vec<Diagnostic>, crate::error::Error> {
    let mut faults = Vec::new();
    for (name, definition, count) in rows::running(tx)? {
        let (Some((app, bare)), Some(entity)) = (name.split_once('.'), old.flows.find(&name).map(|plan| plan.entity)) else { continue };
        let Some(bare) = Name::parse(bare) else { continue };
        let at = format!("/{app}/approvals/{bare}");
        let Some(now) = new.flows.by_name.get(&name) else {
            let message = format!("{count} of this flow are under way: it can go when they have ended");
            faults.push(Diagnostic::error(at, message));
            continue;
        };
        if new.schema.entity(now.entity).name != old.schema.entity(entity).name {
            faults.push(Diagnostic::error(
                format!("{at}/entity"),
                format!("{count} of this flow are under way for {}", old.schema.entity(entity).name),
            ));
            continue;
        }
        if now.hash == definition {
            continue;
        }
        let Some(doc) = run::definition(tx, &definition)?.and_then(|json| serde_json::from_value::<Approval>(json).ok()) else { continue };
        if FlowPlan::compile(&old.schema, app, &bare, &doc).is_ok()
            && let Err(more) = FlowPlan::compile(&new.schema, app, &bare, &doc)
        {
            faults.extend(more.into_iter().map(|fault| {
                let message = format!("{count} of this flow that are under way need what goes ({}): {}", fault.pointer, fault.message);
                Diagnostic::error(at.clone(), message)
            }));
        }
    }
    Ok(faults)
}

/// The watched fields of a record, by name.
pub(crate) fn watched(plan: &FlowPlan, def: &model::EntityDef, cells: &Cells) -> Json {
    let values = plan.watched.iter().map(|field| {
        let field = def.field(*field);
        // What is sealed never leaves the record, not into events either.
        if crate::records::sealed(field) {
            return (field.name.to_string(), Json::Null);
        }
        (field.name.to_string(), crate::records::json_of(field, cells))
    });
    Json::Object(values.collect())
}
