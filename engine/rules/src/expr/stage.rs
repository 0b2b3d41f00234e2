//! In charge of what expressions may know of stages: the pipelines of a stage field, flattened.
//! Invariant: a stage that no pipeline has (any more) still has its name; the rest of it is empty.

use std::sync::Arc;

use indexmap::IndexMap;
use model::field::Role;
use model::{EntityDef, FieldDef, Schema};

use super::item::from_json;
use super::node::{StageFacts, Stages};

/// The stages of a stage field; none for any other.
pub(crate) fn stages_of(schema: &Schema, entity: &EntityDef, field: &FieldDef) -> Option<Arc<Stages>> {
    let Role::Stage { pipelines, by } = &field.role else { return None };
    let app = schema.apps.get(&field.app)?;
    let pipelines = pipelines
        .iter()
        .filter_map(|name| {
            let stages = app.pipelines.get(name)?.stages.iter().map(|(name, stage)| {
                let probability = stage.probability.as_ref().map(from_json).and_then(|value| match value {
                    model::Value::Text(digits) => super::item::decimal(&digits),
                    value => value.as_decimal(),
                });
                (name.to_string(), StageFacts { label: stage.label.clone(), kind: stage.kind.as_str(), probability })
            });
            Some((name.to_string(), stages.collect()))
        })
        .collect();
    Some(Arc::new(Stages { by: by.as_ref().and_then(|by| entity.slot(by.as_str())), pipelines }))
}

/// The names that a choice or stage field may hold; none for any other.
pub(crate) fn names_of(schema: &Schema, field: &FieldDef) -> Option<Vec<String>> {
    match &field.role {
        Role::Choice { options, .. } => Some(options.keys().map(ToString::to_string).collect()),
        Role::Stage { pipelines, .. } => {
            let app = schema.apps.get(&field.app)?;
            let mut names: IndexMap<String, ()> = IndexMap::new();
            for pipeline in pipelines.iter().filter_map(|name| app.pipelines.get(name)) {
                names.extend(pipeline.stage_names().into_iter().map(|name| (name.to_string(), ())));
            }
            Some(names.into_keys().collect())
        }
        Role::Plain
        | Role::Money { .. }
        | Role::Reference(_)
        | Role::References(_)
        | Role::AnyReference { .. }
        | Role::Lines { .. }
        | Role::Files { .. }
        | Role::Autonumber { .. }
        | Role::Formula { .. }
        | Role::Lookup { .. }
        | Role::Rollup(_)
        | Role::Secret => None,
    }
}
