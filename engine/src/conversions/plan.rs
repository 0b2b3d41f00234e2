//! In charge of conversions as documents compiled: names resolved, values typed, lines related.
//! Invariant: every fault is found at once, with its place; what compiles can act.

use std::collections::HashMap;
use std::sync::Arc;

use model::doc::{Condition, Conversion, ConversionTarget, IfMissing, Repeat, ValueRule, ValueSpec};
use model::field::Role;
use model::{Diagnostic, EntityDef, EntityId, FieldDef, FieldId, Label, Name, Schema};
use rules::condition::CompiledCondition;
use rules::expr::{Given, Place, Use};
use rules::query::{Relation, RelationTo, SystemView, TypedFilter, resolve_path, resolve_relation};
use rules::value::CompiledValue;

use crate::published::field_reads_rollup;

/// The name under which values of lines see what a line is made from.
pub(super) const LINE: &str = "line";

/// All conversions of a workspace.
#[derive(Debug, Default)]
pub(crate) struct Conversions(HashMap<EntityId, Vec<Arc<ConversionPlan>>>);

/// One conversion, compiled.
#[derive(Debug)]
pub(crate) struct ConversionPlan {
    /// Its qualified name.
    pub(crate) name: String,
    /// Its app.
    pub(crate) app: String,
    /// What people call it.
    pub(crate) label: Option<Label>,
    /// What is converted.
    pub(crate) entity: EntityId,
    pub(crate) condition: Option<CompiledCondition>,
    pub(crate) ask: bool,
    pub(crate) repeat: Repeat,
    /// What is made, in order.
    pub(crate) targets: Vec<TargetPlan>,
    /// The inverses whose records go along.
    pub(crate) carry: Vec<String>,
    /// The stage that the source moves to.
    pub(crate) moves: Option<Name>,
}

/// One target.
#[derive(Debug)]
pub(crate) struct TargetPlan {
    pub(crate) name: Name,
    pub(crate) entity: EntityId,
    pub(crate) optional: bool,
    pub(crate) matches: Vec<Vec<FieldId>>,
    pub(crate) values: Vec<MadeValue>,
    pub(crate) lines: Vec<LinesPlan>,
}

/// Lines of a target.
#[derive(Debug)]
pub(crate) struct LinesPlan {
    /// The lines field of the target.
    pub(crate) field: FieldId,
    pub(crate) name: Name,
    /// The entity of its lines, and their reference to the target.
    pub(crate) entity: EntityId,
    pub(crate) by: Name,
    /// What they are made from.
    pub(crate) from: Relation,
    pub(crate) source: EntityId,
    pub(crate) values: Vec<MadeValue>,
    pub(crate) skip_if: Option<CompiledCondition>,
}

/// A value of a field.
#[derive(Debug)]
pub(crate) struct MadeValue {
    pub(crate) field: FieldId,
    pub(crate) how: How,
    /// Whether a number that it makes is what is left of a line: it reads what was taken of it, which a roll-up keeps.
    pub(crate) is_remainder: bool,
}

/// How a value is made; closed.
#[derive(Debug)]
pub(crate) enum How {
    /// As documents say; perhaps by looking a record up by a field.
    Value(Box<CompiledValue>, Option<(EntityId, FieldId)>),
    /// The record that another target became.
    Target(usize),
    /// What the line has in its field of the same name.
    Copy(FieldId),
}

impl ConversionPlan {
    /// What people call it.
    pub(crate) fn label(&self, locale: &str) -> String {
        self.label.as_ref().map_or_else(|| self.bare().to_owned(), |label| label.get(locale).to_owned())
    }

    /// Its name within its app.
    pub(crate) fn bare(&self) -> &str {
        self.name.split_once('.').map_or(self.name.as_str(), |(_, bare)| bare)
    }
}

impl Conversions {
    /// Compiles those of all apps; pointers of faults are into the workspace.
    pub(crate) fn compile(schema: &Schema, faults: &mut Vec<Diagnostic>) -> Self {
        let mut found: HashMap<EntityId, Vec<Arc<ConversionPlan>>> = HashMap::new();
        for (app, doc) in &schema.apps {
            for (name, conversion) in &doc.conversions {
                let at = format!("/{app}/conversions/{name}");
                let mut c = Compiling { schema, app: app.as_str(), entity: EntityId(0), given: Vec::new(), faults };
                if let Some(plan) = c.conversion(name, conversion, &at) {
                    found.entry(plan.entity).or_default().push(Arc::new(plan));
                }
            }
        }
        Self(found)
    }

    /// Those of an entity's records.
    pub(crate) fn of(&self, entity: EntityId) -> &[Arc<ConversionPlan>] {
        self.0.get(&entity).map_or(&[], Vec::as_slice)
    }

    /// The one of an entity's records with this name, bare or qualified.
    pub(crate) fn named(&self, entity: EntityId, name: &str) -> Option<&Arc<ConversionPlan>> {
        self.of(entity).iter().find(|plan| plan.name == name || plan.bare() == name)
    }

    /// The one with this qualified name.
    pub(crate) fn qualified(&self, name: &str) -> Option<&Arc<ConversionPlan>> {
        self.0.values().flatten().find(|plan| plan.name == name)
    }
}

struct Compiling<'a> {
    schema: &'a Schema,
    app: &'a str,
    /// The entity that is converted.
    entity: EntityId,
    given: Vec<(String, Given)>,
    faults: &'a mut Vec<Diagnostic>,
}

impl Compiling<'_> {
    fn fault(&mut self, at: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Diagnostic::error(at, message));
    }

    fn place(&self, usage: Use) -> Place<'_> {
        Place { schema: self.schema, entity: self.entity, app: self.app, usage, given: &self.given }
    }

    fn conversion(&mut self, name: &Name, doc: &Conversion, at: &str) -> Option<ConversionPlan> {
        // What is not there was told by the check.
        self.entity = self.schema.find_from(self.app, &doc.from)?.id;
        let condition = self.condition(doc.condition.as_ref(), &format!("{at}/if"));
        let order: Vec<&Name> = match &doc.order {
            Some(order) => order.iter().collect(),
            None => doc.targets.keys().collect(),
        };
        let mut targets = Vec::new();
        for name in &order {
            let Some(target) = doc.targets.get(name.as_str()) else { continue };
            targets.push(self.target(name, target, &order, &format!("{at}/targets/{name}"))?);
        }
        let source = self.schema.entity(self.entity);
        for (index, word) in doc.carry.iter().enumerate().filter(|(_, word)| !source.inverses.contains_key(word.as_str())) {
            let message = format!("nothing of `{}` is called `{word}`", source.name);
            self.faults.push(Diagnostic::error(format!("{at}/carry/{index}"), message));
        }
        if doc.after.is_some() && source.stages.is_empty() {
            let message = format!("`{}` has no stages", source.name);
            self.faults.push(Diagnostic::error(format!("{at}/after/move"), message));
        }
        Some(ConversionPlan {
            name: format!("{}.{name}", self.app),
            app: self.app.to_owned(),
            label: doc.label.clone(),
            entity: self.entity,
            condition,
            ask: doc.ask,
            repeat: doc.repeat.unwrap_or_default(),
            targets,
            carry: doc.carry.clone(),
            moves: doc.after.as_ref().map(|after| after.moves.clone()),
        })
    }

    fn target(&mut self, name: &Name, doc: &ConversionTarget, order: &[&Name], at: &str) -> Option<TargetPlan> {
        let def = self.schema.find_from(self.app, &doc.entity)?;
        let mut matches = Vec::new();
        for (row, names) in doc.matches.iter().enumerate() {
            let mut key = Vec::new();
            for (index, name) in names.iter().enumerate() {
                let Some(field) = def.find(name.as_str()) else { continue };
                if !doc.values.contains_key(name.as_str()) {
                    self.fault(format!("{at}/match/{row}/{index}"), format!("`{name}` has no value to match by: give it one in `values`"));
                }
                if !field.typed.as_ref().is_some_and(|typed| typed.operators().contains(&model::Op::Eq)) {
                    self.fault(format!("{at}/match/{row}/{index}"), format!("`{name}` cannot be compared"));
                }
                key.push(field.id);
            }
            if key.is_empty() {
                self.fault(format!("{at}/match/{row}"), "a key names at least one field");
            }
            matches.push(key);
        }
        let values = doc.values.iter().filter_map(|(field, spec)| self.made(def, field.as_str(), spec, order, &format!("{at}/values/{field}")));
        let values: Vec<MadeValue> = values.collect();
        let mut lines = Vec::new();
        for (field, spec) in &doc.lines {
            lines.extend(self.lines(def, field, spec, order, &format!("{at}/lines/{field}")));
        }
        Some(TargetPlan { name: name.clone(), entity: def.id, optional: doc.optional, matches, values, lines })
    }

    fn made(&mut self, def: &EntityDef, name: &str, spec: &ValueSpec, order: &[&Name], at: &str) -> Option<MadeValue> {
        let Some(field) = def.find(name) else {
            self.fault(at, format!("`{}` has no field `{name}`", def.name));
            return None;
        };
        let writable_system = matches!(name, "owner" | "department");
        if field.computed() || (field.system && !writable_system) || matches!(field.role, Role::Lines { .. } | Role::Autonumber { .. }) {
            self.fault(at, format!("`{name}` is the engine's own to set"));
            return None;
        }
        if let ValueSpec::Rule(rule) = spec
            && let Some(other) = &rule.target
        {
            let place = order.iter().position(|there| there.as_str() == other)?;
            return Some(MadeValue { field: field.id, how: How::Target(place), is_remainder: false });
        }
        let value = match CompiledValue::compile(self.place(Use::Value), spec) {
            Ok(value) => value,
            Err(faults) => {
                let keys = match spec {
                    ValueSpec::Rule(rule) => [("from", rule.from.is_some()), ("text", rule.text.is_some()), ("expr", rule.expr.is_some())],
                    ValueSpec::Plain(_) => [("", false); 3],
                };
                let at = keys.iter().find(|(_, is_there)| *is_there).map_or_else(|| at.to_owned(), |(key, _)| format!("{at}/{key}"));
                self.faults.extend(faults.into_iter().map(|(message, hint)| Diagnostic::error(&at, message).with_hint(hint)));
                return None;
            }
        };
        self.template(spec, &format!("{at}/text"));
        if matches!(value.rule().if_missing, Some(IfMissing::Create | IfMissing::Queue)) {
            self.fault(format!("{at}/if_missing"), "a conversion makes its targets alone: make this one of them, or let it be `error` or `empty`");
        }
        let find = match &value.rule().find {
            None => None,
            Some(by) => {
                let Some(target) = self.schema.find_from(self.app, &by.entity) else {
                    self.fault(format!("{at}/find/entity"), format!("there is no entity `{}`", by.entity));
                    return None;
                };
                let Some(by) = target.find(&by.by) else {
                    self.fault(format!("{at}/find/by"), format!("`{}` has no field `{}`", target.name, by.by));
                    return None;
                };
                Some((target.id, by.id))
            }
        };
        let is_remainder =
            value.reads_of(LINE).any(|path| path.hops.is_empty() && field_reads_rollup(self.schema, self.schema.entity(path.entity), path.field, 0));
        Some(MadeValue { field: field.id, how: How::Value(Box::new(value), find), is_remainder })
    }

    /// Every name that a text reads is there.
    fn template(&mut self, spec: &ValueSpec, at: &str) {
        let ValueSpec::Rule(rule) = spec else { return };
        let Some(Ok(template)) = rule.text.as_deref().map(|text| rules::text::TextTemplate::compile(text, rules::text::Escape::None)) else { return };
        for name in template.names() {
            let Some((first, rest)) = name.split_first() else { continue };
            let (entity, rest) = match self.given.iter().find(|(there, _)| there == first) {
                Some((_, Given::Record(entity))) => (*entity, rest),
                Some(_) => continue,
                None if first == "record" => (self.entity, rest),
                None => (self.entity, &name[..]),
            };
            if !rest.is_empty()
                && let Err(fault) = resolve_path(self.schema, entity, &rest.join("."), &SystemView, at)
            {
                self.fault(at, fault.wording.text("en"));
            }
        }
    }

    fn lines(&mut self, def: &EntityDef, name: &Name, spec: &ValueSpec, order: &[&Name], at: &str) -> Option<LinesPlan> {
        let field = def.find(name.as_str())?;
        let Role::Lines { by, .. } = &field.role else { return None };
        let far = def.inverses.get(name.as_str())?.entity;
        let rule = match spec {
            ValueSpec::Rule(rule) if rule.from.is_some() => rule,
            ValueSpec::Rule(_) | ValueSpec::Plain(_) => {
                self.fault(at, "lines are made `from` the lines of what is converted");
                return None;
            }
        };
        let relation = resolve_relation(self.schema, self.entity, rule.from.as_deref().unwrap_or_default(), &SystemView, &format!("{at}/from"));
        let from = match relation {
            Ok(relation) => relation,
            Err(fault) => {
                self.faults.push(Diagnostic::error(fault.pointer.clone(), fault.wording.text("en")));
                return None;
            }
        };
        let source = match &from.to {
            RelationTo::Inverse(inverse) => inverse.entity,
            RelationTo::References(_, entity) => *entity,
        };
        let line = self.schema.entity(far);
        self.given = vec![(LINE.to_owned(), Given::Record(source))];
        let mut values = Vec::new();
        for (field, spec) in rule.values.iter().flatten() {
            values.extend(self.made(line, field, &of_line(self.schema.entity(source), spec), order, &format!("{at}/values/{field}")));
        }
        let skip_if = self.line_condition(source, rule, at);
        self.given.clear();
        for there in &line.fields {
            let written = rule.values.as_ref().is_some_and(|values| values.contains_key(there.name.as_str()));
            if let Some(own) = self.schema.entity(source).find(there.name.as_str()).filter(|own| !written && is_copied(own, there, by)) {
                values.push(MadeValue { field: there.id, how: How::Copy(own.id), is_remainder: false });
            }
        }
        Some(LinesPlan { field: field.id, name: name.clone(), entity: far, by: by.clone(), from, source, values, skip_if })
    }

    /// Which lines are left out: an expression over `line`, or a filter over the line itself.
    fn line_condition(&mut self, source: EntityId, rule: &ValueRule, at: &str) -> Option<CompiledCondition> {
        let at = format!("{at}/skip_if");
        let condition = rule.skip_if.as_ref()?;
        if matches!(condition, Condition::Expression(_)) {
            return self.condition(Some(condition), &at);
        }
        let converted = std::mem::replace(&mut self.entity, source);
        let compiled = self.condition(Some(condition), &at);
        self.entity = converted;
        compiled
    }

    fn condition(&mut self, condition: Option<&Condition>, at: &str) -> Option<CompiledCondition> {
        // A filter's faults have places of their own within it.
        if let Some(Condition::Filter(filter)) = condition
            && let Err(faults) = TypedFilter::compile(self.schema, self.entity, filter, &SystemView, at)
        {
            self.faults.extend(faults.into_iter().map(|fault| Diagnostic::error(fault.pointer, fault.wording.text("en"))));
            return None;
        }
        match CompiledCondition::compile(self.place(Use::Condition), condition?) {
            Ok(compiled) => Some(compiled),
            Err(faults) => {
                self.faults.extend(faults.into_iter().map(|(message, hint)| Diagnostic::error(at, message).with_hint(hint)));
                None
            }
        }
    }
}

/// A value of a line: what it is made `from` is a path of the line where the line has such a field, else of the record.
fn of_line(source: &EntityDef, spec: &ValueSpec) -> ValueSpec {
    let mut spec = spec.clone();
    if let ValueSpec::Rule(rule) = &mut spec
        && let Some(from) = &mut rule.from
        && from.split('.').next().is_some_and(|first| source.find(first).is_some())
    {
        *from = format!("{LINE}.{from}");
    }
    spec
}

/// Whether a line takes over what its source has under the same name.
fn is_copied(own: &FieldDef, there: &FieldDef, by: &Name) -> bool {
    let plain = |field: &FieldDef| {
        !field.system
            && !field.computed()
            && !field.doc.common.encrypted
            && !matches!(field.role, Role::Lines { .. } | Role::Files { .. } | Role::Autonumber { .. } | Role::Stage { .. } | Role::Secret)
    };
    if there.name == *by || own.doc.kind != there.doc.kind || !plain(own) || !plain(there) {
        return false;
    }
    match (&own.role, &there.role) {
        (Role::Choice { options: from, .. }, Role::Choice { options: to, .. }) => from.keys().all(|name| to.contains_key(name.as_str())),
        (Role::Reference(_) | Role::References(_) | Role::AnyReference { .. }, _) => own.targets == there.targets,
        _ => true,
    }
}
