//! In charge of automations as documents compiled: all of a workspace, by what sets them off.
//! Invariant: the hash of a definition names its automation, scripts and texts whole: a run that began with it can go on with it.

use std::collections::HashMap;
use std::sync::Arc;

use model::doc::{App, Automation, MessageTemplate, RunAs, RunWhen};
use model::{Diagnostic, EntityId, Label, Name, Schema};
use parking_lot::Mutex;
use rules::condition::CompiledCondition;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::compile::{self, Target};
use super::spent::Spent;
use super::steps::Action;
use super::trigger::Trigger;

/// What a run needs of its documents, kept as long as runs follow it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Definition {
    pub(crate) app: String,
    pub(crate) name: Name,
    pub(crate) automation: Automation,
    #[serde(default)]
    pub(crate) scripts: std::collections::BTreeMap<Name, String>,
    #[serde(default)]
    pub(crate) templates: std::collections::BTreeMap<Name, MessageTemplate>,
}

impl Definition {
    /// That of an automation of an app.
    pub(crate) fn of(app: &App, name: &Name, automation: &Automation) -> Self {
        let named = |key: &str| -> Vec<&str> { automation.steps.values().filter_map(|step| step.settings.get(key)?.as_str()).collect() };
        let (scripts, templates) = (named("script"), named("template"));
        Self {
            app: app.app.name.clone(),
            name: name.clone(),
            automation: automation.clone(),
            scripts: app
                .scripts
                .iter()
                .filter(|(name, _)| scripts.contains(&name.as_str()))
                .map(|(name, text)| (name.clone(), text.clone()))
                .collect(),
            templates: app
                .templates
                .iter()
                .filter(|(name, _)| templates.contains(&name.as_str()))
                .map(|(name, text)| (name.clone(), text.clone()))
                .collect(),
        }
    }
}

/// One step, compiled.
#[derive(Debug)]
pub(crate) struct StepPlan {
    /// The record that it is about, where that is not the trigger's.
    pub(crate) target: Option<Target>,
    /// When it acts.
    pub(crate) condition: Option<CompiledCondition>,
    /// The name under which later steps see its result.
    pub(crate) save: Option<String>,
    /// With whose rights, where the step says.
    pub(crate) run_as: Option<RunAs>,
    /// With whose rights where neither the step nor the automation says.
    pub(crate) usual: RunAs,
    /// What it does.
    pub(crate) action: Box<dyn Action>,
}

/// One automation, compiled.
#[derive(Debug)]
pub(crate) struct AutomationPlan {
    /// Its qualified name.
    pub(crate) name: String,
    /// Its app.
    pub(crate) app: String,
    /// What people call it.
    pub(crate) label: Option<Label>,
    /// The entity of the record that sets it off.
    pub(crate) entity: Option<EntityId>,
    pub(crate) trigger: Trigger,
    pub(crate) when: RunWhen,
    pub(crate) run_as: Option<RunAs>,
    pub(crate) off: bool,
    pub(crate) condition: Option<CompiledCondition>,
    pub(crate) steps: HashMap<String, StepPlan>,
    pub(crate) root: Vec<String>,
    /// The names under which results of steps are seen, and what each is.
    pub(crate) given: Vec<(String, rules::expr::Given)>,
    /// The hash of its definition.
    pub(crate) hash: String,
    /// The definition as it is kept.
    pub(crate) body: Json,
    /// What its scripts cost that ran inside a save.
    pub(crate) spent: Spent,
}

impl AutomationPlan {
    /// Compiles a definition; faults are told below `at`.
    pub(crate) fn compile(schema: &Schema, definition: &Definition, at: &str, faults: &mut Vec<Diagnostic>) -> Self {
        let body = serde_json::to_value(definition).unwrap_or_default();
        let hash = Sha256::digest(body.to_string().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        compile::automation(schema, definition, at, faults, hash, body)
    }
}

/// Checks the scripts that no step of an app runs, as far as they can be without knowing their record.
fn spare_scripts(schema: &Schema, app: &App, faults: &mut Vec<Diagnostic>) {
    let automations = app.automations.values().flat_map(|automation| automation.steps.values());
    let written = serde_json::to_value(&app.approvals).unwrap_or_default();
    for (name, text) in &app.scripts {
        let runs = |step: &model::doc::Step| step.settings.get("script").and_then(Json::as_str) == Some(name.as_str());
        if automations.clone().any(runs) || mentions(&written, name.as_str()) {
            continue;
        }
        let place = rules::script::ScriptPlace { schema, app: &app.app.name, entity: None, given: None, before: false, hidden: &|_, _| false };
        if let Err(found) = rules::script::Script::compile(place, text) {
            super::steps::script::tell(faults, &app.app.name, name.as_str(), found);
        }
    }
}

/// Whether a step anywhere within runs the script.
fn mentions(json: &Json, script: &str) -> bool {
    match json {
        Json::Object(map) => map.get("script").and_then(Json::as_str) == Some(script) || map.values().any(|inner| mentions(inner, script)),
        Json::Array(items) => items.iter().any(|inner| mentions(inner, script)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

/// All automations of a workspace.
#[derive(Debug, Default)]
pub(crate) struct Automations {
    all: Vec<Arc<AutomationPlan>>,
    of_entity: HashMap<EntityId, Vec<Arc<AutomationPlan>>>,
    /// Definitions that runs of earlier revisions follow, compiled when they are asked for.
    earlier: Mutex<HashMap<String, Arc<AutomationPlan>>>,
}

impl Automations {
    /// Compiles those of all apps; pointers of faults are into the workspace.
    pub(crate) fn compile(schema: &Schema, faults: &mut Vec<Diagnostic>) -> Self {
        let mut found = Self::default();
        for (app_name, app) in &schema.apps {
            for (name, automation) in &app.automations {
                let definition = Definition::of(app, name, automation);
                let plan = Arc::new(AutomationPlan::compile(schema, &definition, &format!("/{app_name}/automations/{name}"), faults));
                if let Some(entity) = plan.entity.filter(|_| !plan.off) {
                    found.of_entity.entry(entity).or_default().push(Arc::clone(&plan));
                }
                found.all.push(plan);
            }
            spare_scripts(schema, app, faults);
        }
        found
    }

    /// All, in the order of apps and documents.
    pub(crate) fn all(&self) -> &[Arc<AutomationPlan>] {
        &self.all
    }

    /// All that are switched on.
    pub(crate) fn on(&self) -> impl Iterator<Item = &Arc<AutomationPlan>> {
        self.all.iter().filter(|plan| !plan.off)
    }

    /// Those of an entity's records that are switched on.
    pub(crate) fn of(&self, entity: EntityId) -> &[Arc<AutomationPlan>] {
        self.of_entity.get(&entity).map_or(&[], Vec::as_slice)
    }

    /// Whether changes of an entity's records set anything off.
    pub(crate) fn concern(&self, entity: EntityId) -> bool {
        self.of(entity).iter().any(|plan| plan.trigger.is_of_changes())
    }

    /// The one of a qualified name.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<AutomationPlan>> {
        self.all.iter().find(|plan| plan.name == name)
    }

    /// The one whose definition has this hash, where it is current or was compiled before.
    pub(crate) fn following(&self, hash: &str) -> Option<Arc<AutomationPlan>> {
        self.all.iter().find(|plan| plan.hash == hash).cloned().or_else(|| self.earlier.lock().get(hash).cloned())
    }

    /// Compiles the definition that a run of an earlier revision follows.
    ///
    /// # Errors
    /// What of it no longer fits the apps as they are now.
    pub(crate) fn earlier(&self, schema: &Schema, body: &Json) -> Result<Arc<AutomationPlan>, String> {
        let definition: Definition = serde_json::from_value(body.clone()).map_err(|error| error.to_string())?;
        let mut faults = Vec::new();
        let plan = Arc::new(AutomationPlan::compile(schema, &definition, "", &mut faults));
        if let Some(fault) = faults.iter().find(|fault| fault.severity == model::Severity::Error) {
            return Err(format!("{}: {}", fault.pointer, fault.message));
        }
        self.earlier.lock().insert(plan.hash.clone(), Arc::clone(&plan));
        Ok(plan)
    }
}
