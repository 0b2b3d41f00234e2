//! In charge of trying the languages in documents that nothing compiles at publish: filters, conditions and texts of
//! views, forms, roles, dashboards, flows and messages.
//! Invariant: what passes here compiles when it is used; nothing half-valid is published.

use model::doc::{App, Condition, EntityRights, FieldRule, Form, Import, Scope, Step, ValueSpec, View, Widget};
use model::fault::escape_pointer;
use model::schema::Schema;
use model::{Diagnostic, EntityDef, Filter, Label, Name};
use rules::condition::CompiledCondition;
use rules::expr::{Expression, Given, Kind, Place, Use};
use rules::query::{SystemView, TypedFilter};
use rules::text::{Escape, TextTemplate};
use serde_json::{Map, Value as Json};

/// What does not compile in the documents of the app called `name`; pointers are into the app.
pub(crate) fn faults(schema: &Schema, name: &Name) -> Vec<Diagnostic> {
    let Some(app) = schema.apps.get(name).cloned() else { return Vec::new() };
    let mut trying = Trying { schema, app: name.as_str(), faults: Vec::new() };
    trying.shown(&app);
    trying.roles(&app);
    trying.running(&app);
    trying.around(&app);
    let mut faults = trying.faults;
    for fault in &mut faults {
        fault.file = model::package::file_of(&fault.pointer);
    }
    faults
}

/// What is given by name beside the record.
type Names = [(String, Given)];

struct Trying<'a> {
    schema: &'a Schema,
    app: &'a str,
    faults: Vec<Diagnostic>,
}

impl<'a> Trying<'a> {
    /// The entity called `name` in this app; where it is not there, the check has told it.
    fn entity(&self, name: &str) -> Option<&'a EntityDef> {
        self.schema.find_from(self.app, name)
    }

    fn filter(&mut self, def: &EntityDef, filter: Option<&Filter>, at: &str) {
        let Some(filter) = filter else { return };
        if let Err(faults) = TypedFilter::compile(self.schema, def.id, filter, &SystemView, at) {
            self.faults.extend(faults.into_iter().map(|fault| Diagnostic::error(fault.pointer, fault.wording.text("en"))));
        }
    }

    fn condition(&mut self, def: &EntityDef, condition: Option<&Condition>, at: &str) {
        match condition {
            None => {}
            Some(Condition::Filter(filter)) => self.filter(def, Some(filter), at),
            Some(condition @ Condition::Expression(_)) => {
                let place = Place { app: self.app, ..Place::of(self.schema, def.id, Use::Condition) };
                if let Err(faults) = CompiledCondition::compile(place, condition) {
                    self.faults.extend(faults.into_iter().map(|(message, hint)| Diagnostic::error(at, message).with_hint(hint)));
                }
            }
        }
    }

    /// A condition that stands as plain JSON.
    fn json_condition(&mut self, def: &EntityDef, json: Option<&Json>, at: &str) {
        match json {
            None => {}
            Some(Json::String(text)) => self.condition(def, Some(&Condition::Expression(text.clone())), at),
            Some(json) => self.json_filter(def, Some(json), at),
        }
    }

    fn json_filter(&mut self, def: &EntityDef, json: Option<&Json>, at: &str) {
        match json.map(|json| Filter::parse(json, at)) {
            None => {}
            Some(Ok(filter)) => self.filter(def, Some(&filter), at),
            Some(Err(faults)) => self.faults.extend(faults.into_iter().map(|fault| Diagnostic::error(fault.pointer, fault.wording.text("en")))),
        }
    }

    /// A text template in every language.
    fn template(&mut self, label: &Label, at: &str) {
        let texts: Vec<(String, &str)> = match label {
            Label::Plain(text) => vec![(at.to_owned(), text)],
            Label::Localised(texts) => texts.iter().map(|(locale, text)| (format!("{at}/{}", escape_pointer(locale)), text.as_str())).collect(),
        };
        for (at, text) in texts {
            if let Err(message) = TextTemplate::compile(text, Escape::None) {
                self.faults.push(Diagnostic::error(at, message));
            }
        }
    }

    /// An expression on a record of `def`, with what is given by name beside it.
    fn expression(&mut self, def: &EntityDef, given: &Names, text: &str, usage: Use, at: &str) {
        let place = Place { app: self.app, given, ..Place::of(self.schema, def.id, usage) };
        if let Err(faults) = Expression::compile_at(place, text) {
            self.faults.extend(faults.into_iter().map(|fault| {
                let message = format!("{} (line {}, column {})", fault.message, fault.line, fault.column);
                Diagnostic::error(at, message).with_hint(fault.hint)
            }));
        }
    }

    /// How a value is made, on a record of `def`.
    fn made(&mut self, def: &EntityDef, given: &Names, spec: &ValueSpec, at: &str) {
        let ValueSpec::Rule(rule) = spec else { return };
        if let Some(text) = &rule.expr {
            self.expression(def, given, text, Use::Value, &format!("{at}/expr"));
        }
        if let Some(text) = &rule.text
            && let Err(message) = TextTemplate::compile(text, Escape::None)
        {
            self.faults.push(Diagnostic::error(format!("{at}/text"), message));
        }
        if let Some(other) = rule.otherwise.as_deref() {
            self.made(def, given, other, &format!("{at}/else"));
        }
    }

    /// What a file's rows become: `row` stands for the row.
    fn import(&mut self, import: &Import, at: &str) {
        if let Some(def) = self.entity(&import.entity) {
            let given = [("row".to_owned(), Given::Values)];
            if let Some(text) = &import.condition {
                self.expression(def, &given, text, Use::Condition, &format!("{at}/if"));
            }
            for (name, spec) in &import.values {
                self.made(def, &given, spec, &format!("{at}/values/{name}"));
            }
        }
        for (index, part) in import.parts.iter().enumerate() {
            self.import(part, &format!("{at}/parts/{index}"));
        }
    }

    fn shown(&mut self, app: &App) {
        for (name, view) in &app.views {
            if let Some(def) = self.entity(&view.entity) {
                self.view(def, view, &format!("/views/{name}"));
            }
        }
        for (name, form) in &app.forms {
            if let Some(def) = self.entity(&form.entity) {
                self.form(def, form, &format!("/forms/{name}"));
            }
        }
        for (name, dashboard) in &app.dashboards {
            for (widget_name, widget) in &dashboard.widgets {
                self.widget(widget, &format!("/dashboards/{name}/widgets/{widget_name}"));
            }
        }
    }

    fn view(&mut self, def: &EntityDef, view: &View, at: &str) {
        self.filter(def, view.filter.as_ref(), &format!("{at}/filter"));
        for (index, rule) in view.colours.iter().enumerate() {
            self.condition(def, Some(&rule.condition), &format!("{at}/colours/{index}/if"));
        }
    }

    fn form(&mut self, def: &'a EntityDef, form: &Form, at: &str) {
        self.condition(def, form.when.as_ref(), &format!("{at}/when"));
        for (name, item) in &form.items {
            let at = format!("{at}/items/{name}");
            self.condition(def, item.show_if.as_ref(), &format!("{at}/show_if"));
            self.condition(def, item.required_if.as_ref(), &format!("{at}/required_if"));
            self.condition(def, item.read_only_if.as_ref(), &format!("{at}/read_only_if"));
            let relation = item.inverse.as_ref().unwrap_or(name);
            if let Some(many) = def.inverses.get(relation).map(|inverse| self.schema.entity(inverse.entity)) {
                self.filter(many, item.filter.as_ref(), &format!("{at}/filter"));
            }
        }
    }

    fn widget(&mut self, widget: &Widget, at: &str) {
        if let Some(def) = widget.entity.as_ref().and_then(|entity| self.entity(entity)) {
            self.filter(def, widget.filter.as_ref(), &format!("{at}/filter"));
        }
        for (name, series) in &widget.series {
            if let Some(def) = series.get("entity").and_then(Json::as_str).and_then(|entity| self.entity(entity)) {
                self.json_filter(def, series.get("filter"), &format!("{at}/series/{name}/filter"));
            }
        }
        // What is calculated stands on the figures beside it, each by its name.
        let any = widget.series.values().find_map(|series| series.get("entity").and_then(Json::as_str).and_then(|entity| self.entity(entity)));
        if let Some(def) = any {
            let figures = widget.series.keys().chain(widget.calc.keys());
            let given: Vec<(String, Given)> = figures.map(|name| (name.to_string(), Given::Value(Kind::Number))).collect();
            for (name, text) in &widget.calc {
                self.expression(def, &given, text, Use::Value, &format!("{at}/calc/{name}"));
            }
        }
    }

    fn roles(&mut self, app: &App) {
        for (name, role) in &app.roles {
            for (entity, rights) in &role.entities {
                if let Some(def) = self.entity(entity) {
                    self.rights(def, rights, &format!("/roles/{name}/entities/{}", escape_pointer(entity)));
                }
            }
        }
    }

    fn rights(&mut self, def: &EntityDef, rights: &EntityRights, at: &str) {
        for (action, scope) in [("read", &rights.read), ("update", &rights.update), ("delete", &rights.delete)] {
            self.scope(def, scope.as_ref(), &format!("{at}/{action}"));
        }
        for (name, rule) in &rights.fields {
            if let FieldRule::Scoped(scoped) = rule {
                self.scope(def, scoped.read.as_ref(), &format!("{at}/fields/{name}/read"));
                self.scope(def, scoped.write.as_ref(), &format!("{at}/fields/{name}/write"));
            }
        }
    }

    fn scope(&mut self, def: &EntityDef, scope: Option<&Scope>, at: &str) {
        if let Some(Scope::Filter(scope)) = scope {
            self.filter(def, Some(&scope.filter), &format!("{at}/filter"));
        }
    }

    fn running(&mut self, app: &App) {
        for (name, approval) in &app.approvals {
            let at = format!("/approvals/{name}");
            let Some(def) = self.entity(&approval.entity) else { continue };
            let when = approval.settings.get("start").and_then(|start| start.get("when"));
            self.json_condition(def, when, &format!("{at}/start/when"));
            for (step, doc) in &approval.steps {
                let at = format!("{at}/steps/{step}");
                self.json_condition(def, doc.settings.get("when"), &format!("{at}/when"));
                for (branch, json) in doc.settings.get("branches").and_then(Json::as_object).into_iter().flatten() {
                    self.json_condition(def, json.get("when"), &format!("{at}/branches/{}/when", escape_pointer(branch)));
                }
                self.step(doc, &at);
            }
        }
    }

    /// What a step asks of records that it finds, and the texts that it sends; the rest is read when it runs.
    fn step(&mut self, step: &Step, at: &str) {
        let settings: &Map<String, Json> = &step.settings;
        if step.kind == "find"
            && let Some(def) = settings.get("entity").and_then(Json::as_str).and_then(|entity| self.entity(entity))
        {
            self.json_filter(def, settings.get("filter"), &format!("{at}/filter"));
        }
        if matches!(step.kind.as_str(), "mail" | "notify") {
            for key in ["subject", "body"] {
                if let Some(Ok(label)) = settings.get(key).map(|json| serde_json::from_value::<Label>(json.clone())) {
                    self.template(&label, &format!("{at}/{key}"));
                }
            }
        }
    }

    fn around(&mut self, app: &App) {
        for (name, import) in &app.imports {
            self.import(import, &format!("/imports/{name}"));
        }
        for (name, template) in &app.templates {
            self.template(&template.subject, &format!("/templates/{name}/subject"));
            self.template(&template.body, &format!("/templates/{name}/body"));
        }
    }
}
