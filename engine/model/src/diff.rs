//! In charge of telling two versions of an app apart, by name: what was added, retired, changed.
//! Invariant: empty exactly when both apps are equal, orders included; every alteration has a place in the one document.
//! Invariant: a rename does not exist: names are identities, so another name is another thing.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use crate::doc::folders::FOLDERS;
use crate::doc::{App, Entity, Field, OptionList, Pipeline, UniqueKey};
use crate::fault::escape_pointer;
use crate::name::Name;
use crate::package::app_to_json;

/// One difference between two versions of an app; closed. Entities are named as their document is, `deal` or `core.user`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alteration {
    /// A new record type.
    AddEntity {
        /// The entity.
        entity: String,
    },
    /// A record type is no longer there; its table stays.
    RetireEntity {
        /// The entity.
        entity: String,
    },
    /// Something of an entity beside its fields, unique keys and indexes.
    ChangeEntity {
        /// The entity.
        entity: String,
        /// The keys that differ.
        keys: Vec<String>,
    },
    /// A new field.
    AddField {
        /// The entity.
        entity: String,
        /// The field.
        field: Name,
    },
    /// A field is no longer there; its columns stay.
    RetireField {
        /// The entity.
        entity: String,
        /// The field.
        field: Name,
    },
    /// A field is of another kind.
    ChangeFieldKind {
        /// The entity.
        entity: String,
        /// The field.
        field: Name,
        /// The kind that it was of.
        from: String,
        /// The kind that it is of.
        to: String,
    },
    /// Something else of a field.
    ChangeField {
        /// The entity.
        entity: String,
        /// The field.
        field: Name,
        /// The keys that differ.
        keys: Vec<String>,
    },
    /// A new uniqueness.
    AddUnique {
        /// The entity.
        entity: String,
        /// The key.
        key: Name,
    },
    /// A uniqueness is no longer held.
    DropUnique {
        /// The entity.
        entity: String,
        /// The key.
        key: Name,
    },
    /// A uniqueness is another.
    ChangeUnique {
        /// The entity.
        entity: String,
        /// The key.
        key: Name,
    },
    /// A new index.
    AddIndex {
        /// The entity.
        entity: String,
        /// Its columns as written.
        columns: Vec<String>,
    },
    /// An index is no longer wanted.
    DropIndex {
        /// The entity.
        entity: String,
        /// Its columns as written.
        columns: Vec<String>,
    },
    /// A new stage.
    AddStage {
        /// The pipeline.
        pipeline: Name,
        /// The stage.
        stage: Name,
    },
    /// A stage is no longer entered, and stays readable.
    RetireStage {
        /// The pipeline.
        pipeline: Name,
        /// The stage.
        stage: Name,
    },
    /// A stage is gone: records in it need another.
    RemoveStage {
        /// The pipeline.
        pipeline: Name,
        /// The stage.
        stage: Name,
    },
    /// Something of a stage.
    ChangeStage {
        /// The pipeline.
        pipeline: Name,
        /// The stage.
        stage: Name,
        /// The keys that differ.
        keys: Vec<String>,
    },
    /// A new option of a shared list.
    AddOption {
        /// The list.
        list: Name,
        /// The option.
        option: Name,
    },
    /// An option is no longer offered, and stays readable.
    RetireOption {
        /// The list.
        list: Name,
        /// The option.
        option: Name,
    },
    /// An option is gone.
    RemoveOption {
        /// The list.
        list: Name,
        /// The option.
        option: Name,
    },
    /// Something of an option.
    ChangeOption {
        /// The list.
        list: Name,
        /// The option.
        option: Name,
        /// The keys that differ.
        keys: Vec<String>,
    },
    /// A new document of another kind.
    AddDocument {
        /// The kind's folder, `views`.
        folder: &'static str,
        /// The document.
        name: String,
    },
    /// A document is gone.
    RemoveDocument {
        /// The kind's folder.
        folder: &'static str,
        /// The document.
        name: String,
    },
    /// Something of a document.
    ChangeDocument {
        /// The kind's folder.
        folder: &'static str,
        /// The document.
        name: String,
        /// The keys that differ; none where the document has no keys, as a script.
        keys: Vec<String>,
    },
    /// Something of `app.json`.
    ChangeApp {
        /// The keys that differ.
        keys: Vec<String>,
    },
}

impl Alteration {
    /// Where it is, in the one document of the app that has it.
    #[must_use]
    pub fn pointer(&self) -> String {
        let entity = |name: &str| format!("/entities/{}", escape_pointer(name));
        match self {
            Self::AddEntity { entity: name } | Self::RetireEntity { entity: name } | Self::ChangeEntity { entity: name, .. } => entity(name),
            Self::AddField { entity: name, field }
            | Self::RetireField { entity: name, field }
            | Self::ChangeFieldKind { entity: name, field, .. }
            | Self::ChangeField { entity: name, field, .. } => format!("{}/fields/{field}", entity(name)),
            Self::AddUnique { entity: name, key } | Self::DropUnique { entity: name, key } | Self::ChangeUnique { entity: name, key } => {
                format!("{}/unique/{key}", entity(name))
            }
            Self::AddIndex { entity: name, .. } | Self::DropIndex { entity: name, .. } => format!("{}/indexes", entity(name)),
            Self::AddStage { pipeline, stage }
            | Self::RetireStage { pipeline, stage }
            | Self::RemoveStage { pipeline, stage }
            | Self::ChangeStage { pipeline, stage, .. } => format!("/pipelines/{pipeline}/stages/{stage}"),
            Self::AddOption { list, option }
            | Self::RetireOption { list, option }
            | Self::RemoveOption { list, option }
            | Self::ChangeOption { list, option, .. } => format!("/options/{list}/options/{option}"),
            Self::AddDocument { folder, name } | Self::RemoveDocument { folder, name } | Self::ChangeDocument { folder, name, .. } => {
                format!("/{folder}/{}", escape_pointer(name))
            }
            Self::ChangeApp { .. } => "/app".to_owned(),
        }
    }
}

/// What became of `old` in `new`.
#[must_use]
pub fn diff(old: &App, new: &App) -> Vec<Alteration> {
    let (before, after) = (app_to_json(old), app_to_json(new));
    let mut found = Vec::new();
    let keys = differing(before.get("app"), after.get("app"));
    if !keys.is_empty() {
        found.push(Alteration::ChangeApp { keys });
    }
    for folder in FOLDERS {
        let (before, after) = (before.get(folder.folder), after.get(folder.folder));
        for name in names(before, after) {
            let (there, here) = (before.and_then(|map| map.get(&name)), after.and_then(|map| map.get(&name)));
            if there != here {
                document(&mut found, (old, new), folder.folder, name, (there, here));
            }
        }
    }
    found
}

fn document(
    found: &mut Vec<Alteration>,
    (old, new): (&App, &App),
    folder: &'static str,
    name: String,
    (before, after): (Option<&Json>, Option<&Json>),
) {
    match folder {
        "entities" => entity(found, &name, old.entities.get(&name), new.entities.get(&name)),
        "pipelines" if before.is_some() && after.is_some() => {
            if let (Some(old), Some(new)) = (old.pipelines.get(name.as_str()), new.pipelines.get(name.as_str())) {
                stages(found, &name, old, new);
            }
            rest(found, folder, name, before, after, &["stages"]);
        }
        "options" if before.is_some() && after.is_some() => {
            if let (Some(old), Some(new)) = (old.options.get(name.as_str()), new.options.get(name.as_str())) {
                options(found, &name, old, new);
            }
            rest(found, folder, name, before, after, &["options"]);
        }
        _ => match (before, after) {
            (None, _) => found.push(Alteration::AddDocument { folder, name }),
            (_, None) => found.push(Alteration::RemoveDocument { folder, name }),
            _ => found.push(Alteration::ChangeDocument { folder, name, keys: differing(before, after) }),
        },
    }
}

/// What differs of a document beside the part that was told apart by name.
fn rest(found: &mut Vec<Alteration>, folder: &'static str, name: String, before: Option<&Json>, after: Option<&Json>, told: &[&str]) {
    let mut keys = differing(before, after);
    keys.retain(|key| !told.contains(&key.as_str()));
    if !keys.is_empty() {
        found.push(Alteration::ChangeDocument { folder, name, keys });
    }
}

fn entity(found: &mut Vec<Alteration>, name: &str, old: Option<&Entity>, new: Option<&Entity>) {
    let entity = name.to_owned();
    match (old, new) {
        (None, Some(new)) if new.extends.is_none() => return found.push(Alteration::AddEntity { entity }),
        (Some(old), None) if old.extends.is_none() => return found.push(Alteration::RetireEntity { entity }),
        // An extension comes and goes with its parts.
        (None, Some(_)) => found.push(Alteration::AddDocument { folder: "entities", name: entity }),
        (Some(_), None) => found.push(Alteration::RemoveDocument { folder: "entities", name: entity }),
        _ => {}
    }
    let nothing = Entity::default();
    let is_both = old.is_some() && new.is_some();
    let (old, new) = (old.unwrap_or(&nothing), new.unwrap_or(&nothing));
    fields(found, name, old, new);
    unique(found, name, old, new);
    indexes(found, name, old, new);
    if is_both {
        let mut keys = differing(Some(&json(old)), Some(&json(new)));
        keys.retain(|key| !matches!(key.as_str(), "fields" | "unique" | "indexes"));
        // That a field that came or went stands in the order, too, says nothing more.
        if keys.contains(&"order".to_owned()) && same_order(old, new) {
            keys.retain(|key| key != "order");
        }
        if !keys.is_empty() {
            found.push(Alteration::ChangeEntity { entity: name.to_owned(), keys });
        }
    }
}

/// Whether the fields that both have stand in the same order, and the order names nothing else.
fn same_order(old: &Entity, new: &Entity) -> bool {
    let is_whole = |entity: &Entity| entity.order.iter().flatten().all(|name| entity.fields.contains_key(name));
    let common =
        |of: &Entity, with: &Entity| -> Vec<Name> { of.order.iter().flatten().filter(|name| with.fields.contains_key(*name)).cloned().collect() };
    is_whole(old) && is_whole(new) && common(old, new) == common(new, old) && old.fields.len() != new.fields.len()
}

fn fields(found: &mut Vec<Alteration>, entity: &str, old: &Entity, new: &Entity) {
    let entity = || entity.to_owned();
    for (field, before) in &old.fields {
        match new.fields.get(field) {
            None => found.push(Alteration::RetireField { entity: entity(), field: field.clone() }),
            Some(after) => changed_field(found, entity(), field, before, after),
        }
    }
    for field in new.fields.keys().filter(|field| !old.fields.contains_key(*field)) {
        found.push(Alteration::AddField { entity: entity(), field: field.clone() });
    }
}

fn changed_field(found: &mut Vec<Alteration>, entity: String, field: &Name, before: &Field, after: &Field) {
    if before.kind != after.kind {
        let (from, to) = (before.kind.clone(), after.kind.clone());
        found.push(Alteration::ChangeFieldKind { entity: entity.clone(), field: field.clone(), from, to });
    }
    let mut keys = differing(Some(&json(before)), Some(&json(after)));
    keys.retain(|key| key != "kind");
    if !keys.is_empty() {
        found.push(Alteration::ChangeField { entity, field: field.clone(), keys });
    }
}

fn unique(found: &mut Vec<Alteration>, entity: &str, old: &Entity, new: &Entity) {
    let entity = || entity.to_owned();
    let same = |before: &UniqueKey, key: &Name| new.unique.get(key) == Some(before);
    for (key, before) in old.unique.iter().filter(|(key, before)| !same(before, key)) {
        let (entity, key_name) = (entity(), key.clone());
        found.push(match new.unique.get(key) {
            None => Alteration::DropUnique { entity, key: key_name },
            // Only the words: no row has to be looked at again.
            Some(after) if same_meaning(before, after) => Alteration::ChangeEntity { entity, keys: vec!["unique".to_owned()] },
            Some(_) => Alteration::ChangeUnique { entity, key: key_name },
        });
    }
    for key in new.unique.keys().filter(|key| !old.unique.contains_key(*key)) {
        found.push(Alteration::AddUnique { entity: entity(), key: key.clone() });
    }
}

fn same_meaning(before: &UniqueKey, after: &UniqueKey) -> bool {
    UniqueKey { message: None, ..before.clone() } == UniqueKey { message: None, ..after.clone() }
}

fn indexes(found: &mut Vec<Alteration>, entity: &str, old: &Entity, new: &Entity) {
    let entity = || entity.to_owned();
    let lacks = |list: &[Vec<String>], columns: &Vec<String>| !list.contains(columns);
    found.extend(
        old.indexes
            .iter()
            .filter(|columns| lacks(&new.indexes, columns))
            .map(|columns| Alteration::DropIndex { entity: entity(), columns: columns.clone() }),
    );
    found.extend(
        new.indexes
            .iter()
            .filter(|columns| lacks(&old.indexes, columns))
            .map(|columns| Alteration::AddIndex { entity: entity(), columns: columns.clone() }),
    );
    let is_another_order =
        old.indexes != new.indexes && old.indexes.iter().all(|columns| new.indexes.contains(columns)) && old.indexes.len() == new.indexes.len();
    let is_doubled =
        old.indexes.len() != new.indexes.len() && old.indexes.iter().collect::<BTreeSet<_>>() == new.indexes.iter().collect::<BTreeSet<_>>();
    if is_another_order || is_doubled {
        found.push(Alteration::ChangeEntity { entity: entity(), keys: vec!["indexes".to_owned()] });
    }
}

fn stages(found: &mut Vec<Alteration>, pipeline: &str, old: &Pipeline, new: &Pipeline) {
    let Some(pipeline) = Name::parse(pipeline) else { return };
    for (stage, before) in &old.stages {
        let (pipeline, stage) = (pipeline.clone(), stage.clone());
        let Some(after) = new.stages.get(&stage) else {
            found.push(Alteration::RemoveStage { pipeline, stage });
            continue;
        };
        let mut keys = differing(Some(&json(before)), Some(&json(after)));
        if !before.retired && after.retired {
            keys.retain(|key| key != "retired");
            found.push(Alteration::RetireStage { pipeline: pipeline.clone(), stage: stage.clone() });
        }
        if !keys.is_empty() {
            found.push(Alteration::ChangeStage { pipeline, stage, keys });
        }
    }
    for stage in new.stages.keys().filter(|stage| !old.stages.contains_key(*stage)) {
        found.push(Alteration::AddStage { pipeline: pipeline.clone(), stage: stage.clone() });
    }
}

fn options(found: &mut Vec<Alteration>, list: &str, old: &OptionList, new: &OptionList) {
    let Some(list) = Name::parse(list) else { return };
    for (option, before) in &old.options {
        let (list, option) = (list.clone(), option.clone());
        let Some(after) = new.options.get(&option) else {
            found.push(Alteration::RemoveOption { list, option });
            continue;
        };
        let mut keys = differing(Some(&json(before)), Some(&json(after)));
        if !before.retired && after.retired {
            keys.retain(|key| key != "retired");
            found.push(Alteration::RetireOption { list: list.clone(), option: option.clone() });
        }
        if !keys.is_empty() {
            found.push(Alteration::ChangeOption { list, option, keys });
        }
    }
    for option in new.options.keys().filter(|option| !old.options.contains_key(*option)) {
        found.push(Alteration::AddOption { list: list.clone(), option: option.clone() });
    }
}

fn json(part: &impl serde::Serialize) -> Json {
    serde_json::to_value(part).unwrap_or_default()
}

/// The keys whose values differ, sorted.
fn differing(before: Option<&Json>, after: Option<&Json>) -> Vec<String> {
    let value = |json: Option<&Json>, key: &str| json.and_then(|json| json.get(key)).cloned();
    names(before, after).into_iter().filter(|key| value(before, key) != value(after, key)).collect()
}

/// The keys of both, sorted.
fn names(before: Option<&Json>, after: Option<&Json>) -> Vec<String> {
    let keys = |json: Option<&Json>| json.and_then(Json::as_object).into_iter().flat_map(Map::keys).cloned().collect::<BTreeSet<_>>();
    keys(before).union(&keys(after)).cloned().collect()
}
