//! In charge of where each field's columns are: which generation of them is live.
//! Invariant: a generation never changes what its columns hold, and is never used again once another was live.
//! Invariant: a field that is retired keeps its place, so that bringing it back brings its values back.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::build::{IsOnRead, build};
use crate::doc::App;
use crate::fault::Diagnostic;
use crate::name::Name;
use crate::value::Storage;

/// Which generation of columns each field lives in; 1 where not named. A field that changes the type
/// of its columns goes to the next generation, and the former columns are retired.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Layout {
    /// By `app.entity`, by field.
    pub generations: BTreeMap<String, BTreeMap<String, u16>>,
    /// What the columns of the live generation hold, of every field that ever was, by `app.entity`, by field.
    pub columns: BTreeMap<String, BTreeMap<String, Vec<ColumnNote>>>,
}

/// What one column of a field holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnNote {
    /// What stands behind the field's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub suffix: String,
    /// What it holds.
    pub storage: Storage,
}

impl Layout {
    /// The generation of a field's columns.
    #[must_use]
    pub fn generation(&self, entity: &str, field: &str) -> u16 {
        self.generations.get(entity).and_then(|fields| fields.get(field)).copied().unwrap_or(1)
    }

    /// Notes what a field's columns hold now; where that differs from before, its next generation begins.
    fn note(&mut self, entity: &str, field: &str, columns: Vec<ColumnNote>) {
        let known = self.columns.entry(entity.to_owned()).or_default();
        let before = known.insert(field.to_owned(), columns);
        if before.is_some_and(|before| before != known[field]) {
            let next = self.generation(entity, field) + 1;
            self.generations.entry(entity.to_owned()).or_default().insert(field.to_owned(), next);
        }
    }
}

/// The layout for `apps`, which follow on those that `old` was for.
///
/// # Errors
/// Every fault of the documents.
pub fn next_layout(apps: &IndexMap<Name, Arc<App>>, old: &Layout, is_on_read: IsOnRead<'_>) -> Result<Layout, Vec<Diagnostic>> {
    let schema = build(apps, old, is_on_read)?;
    let mut layout = old.clone();
    for entity in &schema.entities {
        for field in entity.fields.iter().filter(|field| !field.system) {
            // What is computed on read has no columns: stored again, it begins anew rather than among stale values.
            let specs = if field.on_read { Vec::new() } else { field.typed.as_ref().map(|typed| typed.columns()).unwrap_or_default() };
            let notes = specs.into_iter().map(|spec| ColumnNote { suffix: spec.suffix.to_owned(), storage: spec.storage }).collect();
            layout.note(entity.name.as_str(), field.name.as_str(), notes);
        }
    }
    Ok(layout)
}

#[cfg(test)]
mod tests {
    use super::{Layout, next_layout};
    use crate::doc::{App, Entity, Field};
    use crate::name::Name;
    use indexmap::IndexMap;
    use std::sync::Arc;

    fn next(old: &Layout, field: Option<Field>) -> Layout {
        let name = Name::parse("a").expect("a name");
        let mut entity = Entity::default();
        entity.fields.extend(field.map(|field| (name.clone(), field)));
        let mut app = App::default();
        app.entities.insert("deal".to_owned(), entity);
        let apps = IndexMap::from([(Name::parse("shop").expect("a name"), Arc::new(app))]);
        next_layout(&apps, old, &|expression| expression.contains("today()")).expect("no fault")
    }

    fn with_scale(scale: u8) -> Option<Field> {
        let mut field = Field::of_kind("decimal");
        field.settings.insert("scale".to_owned(), scale.into());
        Some(field)
    }

    fn formula(expression: &str) -> Option<Field> {
        let mut field = Field::of_kind("formula");
        field.settings.insert("expr".to_owned(), expression.into());
        Some(field)
    }

    #[test]
    fn another_storage_is_another_generation_and_none_is_used_twice() {
        let generations = [with_scale(2), with_scale(2), with_scale(4), with_scale(2), Some(Field::of_kind("text")), Some(Field::of_kind("text"))]
            .into_iter()
            .scan(Layout::default(), |layout, field| {
                *layout = next(layout, field);
                Some(layout.generation("shop.deal", "a"))
            });
        assert_eq!(generations.collect::<Vec<_>>(), [1, 1, 2, 3, 4, 4]);
    }

    #[test]
    fn a_retired_field_comes_back_to_its_values_unless_it_changed() {
        let first = next(&Layout::default(), with_scale(2));
        let retired = next(&first, None);
        assert_eq!(retired, first);
        assert_eq!(next(&retired, with_scale(2)).generation("shop.deal", "a"), 1);
        assert_eq!(next(&retired, with_scale(3)).generation("shop.deal", "a"), 2);
    }

    #[test]
    fn what_was_computed_on_read_begins_anew() {
        let stored = next(&Layout::default(), formula("1"));
        let on_read = next(&stored, formula("today()"));
        let again = next(&on_read, formula("1"));
        assert!(again.generation("shop.deal", "a") > stored.generation("shop.deal", "a"));
    }

    #[test]
    fn a_layout_of_before_is_read() {
        let layout: Layout = serde_json::from_str(r#"{"generations": {"shop.deal": {"a": 2}}}"#).expect("a layout");
        assert_eq!(next(&layout, with_scale(2)).generation("shop.deal", "a"), 2);
    }
}
