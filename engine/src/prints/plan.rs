//! In charge of papers as documents compiled: the template's names looked up, its language and file name typed.
//! Invariant: every fault is found at once, with its place; a template's fault names its file and line.

use std::collections::HashMap;
use std::sync::Arc;

use model::doc::{Paper as Sheet, Print};
use model::{Diagnostic, EntityId, Label, Name, Schema};
use render::paper::sheet::{ORIENTATIONS, SIZES, is_margin, is_size};
use render::paper::{Paper, PaperPlace};
use rules::condition::CompiledCondition;
use rules::expr::{Place, Use};
use rules::query::likely;
use rules::value::CompiledValue;

/// A fault, and what was likely meant.
type Told = (String, Option<String>);

/// All papers of a workspace.
#[derive(Debug, Default)]
pub(crate) struct Prints(HashMap<EntityId, Vec<Arc<PrintPlan>>>);

/// One paper, compiled.
#[derive(Debug)]
pub(crate) struct PrintPlan {
    /// Its qualified name.
    pub(crate) name: String,
    /// Its app.
    pub(crate) app: String,
    pub(crate) label: Option<Label>,
    /// What it is of.
    pub(crate) entity: EntityId,
    pub(crate) paper: Paper,
    pub(crate) sheet: Option<Sheet>,
    pub(crate) locale: Option<CompiledValue>,
    pub(crate) file_name: Option<CompiledValue>,
    pub(crate) condition: Option<CompiledCondition>,
}

impl PrintPlan {
    /// Its name within its app.
    pub(crate) fn bare(&self) -> &str {
        self.name.split_once('.').map_or(self.name.as_str(), |(_, bare)| bare)
    }
}

impl Prints {
    /// Compiles those of all apps; pointers of faults are into the workspace.
    pub(crate) fn compile(schema: &Schema, faults: &mut Vec<Diagnostic>) -> Self {
        let mut found: HashMap<EntityId, Vec<Arc<PrintPlan>>> = HashMap::new();
        for (app, doc) in &schema.apps {
            let settings: Vec<&str> = doc.app.settings.keys().map(Name::as_str).collect();
            for (name, print) in &doc.prints {
                let mut c = Compiling { schema, app: app.as_str(), settings: &settings, at: format!("/{app}/prints/{name}"), faults };
                if let Some(plan) = c.print(name, print) {
                    found.entry(plan.entity).or_default().push(Arc::new(plan));
                }
            }
        }
        Self(found)
    }

    /// Those of an entity's records.
    pub(crate) fn of(&self, entity: EntityId) -> &[Arc<PrintPlan>] {
        self.0.get(&entity).map_or(&[], Vec::as_slice)
    }

    /// The one of an entity's records with this name, bare or qualified.
    pub(crate) fn named(&self, entity: EntityId, name: &str) -> Option<&Arc<PrintPlan>> {
        self.of(entity).iter().find(|plan| plan.name == name || plan.bare() == name)
    }
}

struct Compiling<'a> {
    schema: &'a Schema,
    app: &'a str,
    settings: &'a [&'a str],
    at: String,
    faults: &'a mut Vec<Diagnostic>,
}

impl Compiling<'_> {
    fn print(&mut self, name: &Name, print: &Print) -> Option<PrintPlan> {
        // Where the entity is not there, the check has told it.
        let entity = self.schema.find_from(self.app, &print.entity)?.id;
        let place = PaperPlace { schema: self.schema, entity, person: self.schema.find("core.user").map(|def| def.id), settings: self.settings };
        let paper = match Paper::compile(place, &print.body) {
            Ok(paper) => Some(paper),
            Err(found) => {
                for fault in found {
                    let message = format!("{} (line {})", fault.message, fault.line);
                    let mut told = Diagnostic::error(format!("{}/template", self.at), message).with_hint(fault.hint);
                    told.file = Some(format!("prints/{}", print.template));
                    self.faults.push(told);
                }
                None
            }
        };
        if let Some(sheet) = &print.page {
            self.sheet(sheet);
        }
        let rules = Place { app: self.app, ..Place::of(self.schema, entity, Use::Value) };
        let locale = self.tried("locale", print.locale.as_ref().map(|spec| CompiledValue::compile(rules, spec)));
        let file_name = self.tried("file_name", print.file_name.as_ref().map(|spec| CompiledValue::compile(rules, spec)));
        let condition = Place { usage: Use::Condition, ..rules };
        let condition = self.tried("if", print.condition.as_ref().map(|condition_doc| CompiledCondition::compile(condition, condition_doc)));
        Some(PrintPlan {
            name: format!("{}.{name}", self.app),
            app: self.app.to_owned(),
            label: print.label.clone(),
            entity,
            paper: paper?,
            sheet: print.page.clone(),
            locale,
            file_name,
            condition,
        })
    }

    fn tried<T>(&mut self, key: &str, compiled: Option<Result<T, Vec<Told>>>) -> Option<T> {
        match compiled? {
            Ok(compiled) => Some(compiled),
            Err(found) => {
                let at = format!("{}/{key}", self.at);
                self.faults.extend(found.into_iter().map(|(message, hint)| Diagnostic::error(at.clone(), message).with_hint(hint)));
                None
            }
        }
    }

    fn sheet(&mut self, sheet: &Sheet) {
        let mut wrong = |key: &str, message: String, hint: Option<String>| {
            self.faults.push(Diagnostic::error(format!("{}/page/{key}", self.at), message).with_hint(hint));
        };
        if let Some(size) = sheet.size.as_deref().filter(|size| !is_size(size)) {
            wrong("size", format!("`{size}` is no size of paper, such as A4 or `241mm 140mm`"), likely(size, SIZES));
        }
        if let Some(margin) = sheet.margin.as_deref().filter(|margin| !is_margin(margin)) {
            wrong("margin", format!("`{margin}` is no margin, such as 15mm or `20mm 15mm`"), None);
        }
        if let Some(word) = sheet.orientation.as_deref().filter(|word| !ORIENTATIONS.contains(word)) {
            wrong("orientation", format!("`{word}` is neither portrait nor landscape"), likely(word, ORIENTATIONS));
        }
    }
}
