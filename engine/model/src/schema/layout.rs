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
use crate::name::{EntityName, Name};
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

    /// Begins the next generation of a field's columns though they hold the same: the former values stay beside the new ones
    /// until these are whole.
    pub fn renew(&mut self, entity: &str, field: &str) {
        let next = self.generation(entity, field) + 1;
        self.generations.entry(entity.to_owned()).or_default().insert(field.to_owned(), next);
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
    // A layout is the same whoever holds the key.
    let schema = build(apps, old, is_on_read, &crate::field::sealed::no_key())?;
    let mut layout = old.clone();
    for entity in &schema.entities {
        for field in entity.fields.iter().filter(|field| !field.system) {
            // What is computed on read has no columns: stored again, it begins anew rather than among stale values.
            let specs = if field.on_read { Vec::new() } else { field.typed.as_ref().map(|typed| typed.columns()).unwrap_or_default() };
            let notes = specs.into_iter().map(|spec| ColumnNote { suffix: spec.suffix.to_owned(), storage: spec.storage }).collect();
            layout.note(entity.name.as_str(), field.name.as_str(), notes);
        }
    }
    let faults: Vec<Diagnostic> = schema.entities.iter().filter_map(|entity| too_wide(&layout, &entity.name)).collect();
    if faults.is_empty() { Ok(layout) } else { Err(faults) }
}

/// The most columns of an entity with retired ones, those that only serve order and comparing left out.
const MAX_COLUMNS: usize = 1_000;
/// The most columns of a table in all: what every database can hold.
const MAX_WIDTH: usize = 1_500;

/// That an entity has more columns, retired ones included, than a table may have.
fn too_wide(layout: &Layout, entity: &EntityName) -> Option<Diagnostic> {
    let fields = layout.columns.get(entity.as_str())?;
    // Each former generation is taken to have been as wide as the live one.
    let count = |counts: fn(&ColumnNote) -> bool| -> usize {
        let of_field = |(name, notes): (&String, &Vec<ColumnNote>)| {
            usize::from(layout.generation(entity.as_str(), name)) * notes.iter().filter(|note| counts(note)).count()
        };
        fields.iter().map(of_field).sum()
    };
    let (values, width) = (count(|note| !matches!(note.suffix.as_str(), "fold" | "sort")), count(|_| true));
    (values > MAX_COLUMNS || width > MAX_WIDTH).then(|| {
        let message = format!("{values} columns with those of retired fields: an entity has {MAX_COLUMNS} at most; purge what is retired");
        Diagnostic::error(format!("/{}/entities/{}/fields", entity.app(), entity.bare()), message)
    })
}

/// The physical name of `name`: itself, or where it is over 55 bytes its first 46, `_` and 8 hex digits of a hash.
#[must_use]
pub fn physical(name: &str) -> String {
    const LONGEST: usize = 55;
    const KEPT: usize = 46;
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    // FNV-1a: stable for ever and without a dependency; names are validated, so nobody can aim at a collision cheaply.
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{}_{hash:08x}", &name[..KEPT])
}

#[cfg(test)]
mod tests {
    use super::{Layout, next_layout};
    use crate::doc::{App, Entity, Field};
    use crate::name::Name;
    use indexmap::IndexMap;
    use std::sync::Arc;

    fn next(old: &Layout, field: Option<Field>) -> Layout {
        try_next(old, field).expect("no fault")
    }

    fn try_next(old: &Layout, field: Option<Field>) -> Result<Layout, Vec<crate::fault::Diagnostic>> {
        let name = Name::parse("a").expect("a name");
        let mut entity = Entity::default();
        entity.fields.extend(field.map(|field| (name.clone(), field)));
        let mut app = App::default();
        app.entities.insert("deal".to_owned(), entity);
        let apps = IndexMap::from([(Name::parse("shop").expect("a name"), Arc::new(app))]);
        next_layout(&apps, old, &|expression| expression.contains("today()"))
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
    fn retired_columns_count_towards_the_width() {
        let mut layout = next(&Layout::default(), with_scale(2));
        layout.generations.entry("shop.deal".to_owned()).or_default().insert("a".to_owned(), 1_000);
        let faults = try_next(&layout, with_scale(3)).expect_err("a fault");
        assert_eq!((faults[0].pointer.as_str(), faults.len()), ("/shop/entities/deal/fields", 1));
    }

    #[test]
    fn a_layout_of_before_is_read() {
        let layout: Layout = serde_json::from_str(r#"{"generations": {"shop.deal": {"a": 2}}}"#).expect("a layout");
        assert_eq!(next(&layout, with_scale(2)).generation("shop.deal", "a"), 2);
    }
}
