//! In charge of conditions: a filter or a one-line expression, looked at on one record.
//! Invariant: compiled once; a rule forgives what it compares and finds empty, whichever way it is written.

use model::doc::Condition;
use model::{EntityId, Filter, Op};

use crate::eval::{self, HostFault};
use crate::expr::{EvalFault, Expression, Place, Use};
use crate::query::{Path, SystemView, TypedFilter};
use crate::scope::Scope;

/// A fault of a condition: what is wrong, and what was likely meant.
pub type ConditionFault = (String, Option<String>);

/// A condition, compiled.
#[derive(Clone, Debug)]
pub enum CompiledCondition {
    /// A filter; the paths that a rule forgives being empty.
    Filter(TypedFilter, Vec<TypedFilter>),
    /// An expression.
    Expression(Expression),
}

impl CompiledCondition {
    /// Compiles `condition` as it stands at `place`.
    ///
    /// # Errors
    /// Every fault found.
    pub fn compile(place: Place<'_>, condition: &Condition) -> Result<Self, Vec<ConditionFault>> {
        match condition {
            Condition::Expression(text) => {
                Expression::compile_at(Place { usage: Use::Condition, ..place }, text).map(Self::Expression).map_err(|faults| {
                    faults
                        .into_iter()
                        .map(|fault| (format!("{} (line {}, column {})", fault.message, fault.line, fault.column), fault.hint))
                        .collect()
                })
            }
            Condition::Filter(filter) => {
                let compile = |filter: &Filter| TypedFilter::compile(place.schema, place.entity, filter, &SystemView, "");
                let told = |faults: Vec<model::Violation>| faults.into_iter().map(|fault| (fault.wording.text("en"), None)).collect::<Vec<_>>();
                let typed = compile(filter).map_err(told)?;
                let mut forgiven = Vec::new();
                collect_forgiven(filter, &mut forgiven);
                let forgiven = forgiven.iter().filter_map(|filter| compile(filter).ok()).collect();
                Ok(Self::Filter(typed, forgiven))
            }
        }
    }

    /// Whether it holds on a record.
    ///
    /// # Errors
    /// Where an expression refuses or a record cannot be read.
    pub fn holds(&self, scope: &Scope<'_>) -> Result<bool, EvalFault> {
        match self {
            Self::Expression(expression) => expression.holds(scope),
            Self::Filter(filter, _) => on(filter, scope, scope.entity).map_err(EvalFault::Host),
        }
    }

    /// Whether a rule that requires it passes: it holds, or something that it compares is empty.
    ///
    /// # Errors
    /// As [`Self::holds`].
    pub fn passes(&self, scope: &Scope<'_>) -> Result<bool, EvalFault> {
        match self {
            Self::Expression(expression) => expression.passes(scope),
            Self::Filter(filter, forgiven) => {
                if on(filter, scope, scope.entity)? {
                    return Ok(true);
                }
                for empty in forgiven {
                    if on(empty, scope, scope.entity)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// The fields of the record, and over its references, that it reads.
    #[must_use]
    pub fn reads(&self) -> &[Path] {
        match self {
            Self::Expression(expression) => expression.reads(),
            Self::Filter(filter, _) => filter.reads(),
        }
    }
}

fn on(filter: &TypedFilter, scope: &Scope<'_>, entity: EntityId) -> Result<bool, HostFault> {
    eval::matches(&filter.bind(scope.schema, &scope.placeholders()), scope.schema, entity, scope.record, scope.lookup)
}

/// A test for being empty of each field that a filter compares and nowhere tests for being empty.
fn collect_forgiven(filter: &Filter, found: &mut Vec<Filter>) {
    let (mut compared, mut tested) = (Vec::new(), Vec::new());
    walk(filter, &mut compared, &mut tested);
    for field in compared {
        if !tested.contains(&field) {
            found.push(Filter::Leaf { field, op: Op::IsEmpty, value: None });
        }
    }
}

fn walk(filter: &Filter, compared: &mut Vec<String>, tested: &mut Vec<String>) {
    match filter {
        Filter::All { all } => all.iter().for_each(|inner| walk(inner, compared, tested)),
        Filter::Any { any } => any.iter().for_each(|inner| walk(inner, compared, tested)),
        Filter::Not { not } => walk(not, compared, tested),
        Filter::Some { .. } | Filter::None { .. } | Filter::Every { .. } => {}
        Filter::Leaf { field, op, value } => {
            if matches!(op, Op::IsEmpty | Op::IsSet) {
                tested.push(field.clone());
            } else {
                compared.push(field.clone());
                compared.extend(value.as_ref().and_then(|value| value.get("field")).and_then(serde_json::Value::as_str).map(str::to_owned));
            }
        }
    }
}
