//! In charge of a new master key: all that rests sealed is sealed with it, in one transaction.
//! Invariant: at every moment one of the two keys opens everything: a crash leaves the old one in force, or the new one.
//! Columns of retired fields are sealed anew, too, so that a field that comes back brings its values back; a column that another
//! took the place of is never read again, and stays as it is.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use model::schema::{Layout, physical};
use model::{Cells, EntityDef, Schema, Storage, Value};
use rules::query::Predicate;
use serde_json::Value as Json;
use store::system::Cond;
use store::system::revision::SETTING;
use store::{Binned, Select, Store, Tx};

use super::{FIELD, MasterKey};
use crate::Engine;
use crate::error::Error;
use crate::secrets;

/// Where the name of the key in force stands.
const APP: &str = "core";
const NAME: &str = "$key";
/// The file of the key, and of the one that follows it.
const KEY: &str = "key";
const NEXT: &str = "key.next";
/// Records that are sealed anew at once.
const PAGE: u32 = 500;

impl Engine {
    /// Seals all that rests encrypted with a new key, which takes the place of the old one in the data folder: how many
    /// records were written. The engine must not be used afterwards: it holds the old key.
    ///
    /// # Errors
    /// Where the key does not stand in the data folder; where file or database cannot be written.
    pub async fn rotate_key(&self) -> Result<u64, Error> {
        let folder = self.data_dir().filter(|folder| folder.join(KEY).is_file() && std::env::var_os("TRELLIS_KEY").is_none());
        let folder = folder.ok_or_else(|| Error::Internal("the key does not stand in the data folder".to_owned()))?;
        let (old, new) = (self.key().clone(), MasterKey::generate()?);
        put_aside(folder, &new)?;
        let (app, key) = (self.current(), new.clone());
        let sealed = self.store().write::<_, Error, _>(move |tx| {
            let mut count = 0;
            for def in &app.schema.entities {
                count += entity(tx, &app.schema, def, &old, &key)?;
            }
            for column in retired(&app.schema, &app.layout) {
                count += column.seal_anew(tx, &old, &key)?;
            }
            settings(tx, &old, &key)?;
            tx.put_over(&SETTING, vec![Value::text(APP), Value::text(NAME), Value::Json(Arc::new(Json::String(key.name())))])?;
            Ok(count)
        });
        let count = sealed.await?;
        take_over(folder)?;
        Ok(count)
    }
}

/// The key of a data folder: where a rotation was cut off, the one that is in force.
///
/// # Errors
/// Where files or the database cannot be read.
pub(crate) async fn settled(store: &Store, folder: &Path, key: MasterKey) -> Result<MasterKey, Error> {
    let next = folder.join(NEXT);
    let Ok(text) = std::fs::read_to_string(&next) else { return Ok(key) };
    let following = MasterKey::parse(&text).ok();
    let in_force = store
        .read(|tx| tx.find(&SETTING, &[Cond::Eq("app", Value::text(APP)), Cond::Eq("name", Value::text(NAME))], &[], 1).map_err(Error::from))
        .await?;
    let name = match in_force.first().and_then(|row| row.get(2)) {
        Some(Value::Json(json)) => json.as_str().map(str::to_owned),
        _ => None,
    };
    match following {
        Some(following) if name.as_ref() == Some(&following.name()) => {
            take_over(folder)?;
            Ok(following)
        }
        _ => {
            std::fs::remove_file(&next).map_err(|error| Error::Internal(format!("{}: {error}", next.display())))?;
            Ok(key)
        }
    }
}

fn put_aside(folder: &Path, key: &MasterKey) -> Result<(), Error> {
    let path = folder.join(NEXT);
    let failed = |error: std::io::Error| Error::Internal(format!("{}: {error}", path.display()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path).map_err(failed)?;
    file.write_all(key.hex().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    flush(folder)
}

fn take_over(folder: &Path) -> Result<(), Error> {
    let (from, to) = (folder.join(NEXT), folder.join(KEY));
    std::fs::rename(&from, &to).map_err(|error| Error::Internal(format!("{}: {error}", to.display())))?;
    flush(folder)
}

/// Brings the names in a folder to disk.
fn flush(folder: &Path) -> Result<(), Error> {
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| Error::Internal(format!("{}: {error}", folder.display())))
}

/// Seals the records of an entity anew, binned ones too.
fn entity(tx: &Tx, schema: &model::Schema, def: &EntityDef, old: &MasterKey, new: &MasterKey) -> Result<u64, Error> {
    let sealed: Vec<(usize, &str)> = def.fields.iter().filter_map(|field| Some((field.slot()?, field.typed.as_ref()?.sealed_for()?))).collect();
    let (mut count, mut after) = (0, None);
    while !sealed.is_empty() {
        let slots = (0..def.columns.len()).collect();
        let found = tx.select(schema, &Select { after, limit: PAGE, slots, ..Select::of(def.id, Predicate::True, Binned::Any) })?;
        let rows: Vec<(Cells, Cells)> = found
            .iter()
            .filter_map(|row| {
                let anew = anew(&row.cells, &sealed, old, new);
                (anew != row.cells).then(|| (row.cells.clone(), anew))
            })
            .collect();
        tx.update(def, &rows)?;
        count += rows.len() as u64;
        after = found.last().filter(|_| found.len() >= PAGE as usize).map(|row| row.keys.clone());
        if after.is_none() {
            break;
        }
    }
    Ok(count)
}

/// A column of a field that is retired, with the place that its cells are sealed for.
struct Retired {
    table: String,
    column: String,
    place: String,
}

/// The sealed columns of fields that the layout knows and no document names any more.
fn retired(schema: &Schema, layout: &Layout) -> Vec<Retired> {
    let mut found = Vec::new();
    for (entity, fields) in &layout.columns {
        let def = schema.find(entity);
        for (field, notes) in fields.iter().filter(|(field, _)| def.is_none_or(|def| def.find(field).is_none())) {
            if !notes.iter().any(|note| note.storage == Storage::Bytes && note.suffix.is_empty()) {
                continue;
            }
            let (name, generation) = (field.replace('.', "__"), layout.generation(entity, field));
            let column = if generation > 1 { format!("{name}__{generation}") } else { name };
            found.push(Retired { table: physical(&entity.replace('.', "__")), column: physical(&column), place: format!("{entity}.{field}") });
        }
    }
    found
}

impl Retired {
    fn seal_anew(&self, tx: &Tx, old: &MasterKey, new: &MasterKey) -> Result<u64, Error> {
        // A field whose revision was never published has no column.
        if !tx.columns_of(&self.table)?.contains(&self.column) {
            return Ok(0);
        }
        let (mut count, mut after) = (0, None);
        loop {
            let page = tx.retired_cells(&self.table, &self.column, Storage::Bytes, after, PAGE)?;
            for (id, cell) in &page {
                let Value::Bytes(bytes) = cell else { continue };
                let clear = old.open(FIELD, self.place.as_bytes(), bytes);
                if let Some(bytes) = clear.and_then(|clear| new.seal_alike(FIELD, self.place.as_bytes(), &clear)) {
                    tx.put_sealed(&self.table, &self.column, *id, Value::Bytes(bytes.into()))?;
                    count += 1;
                }
            }
            after = page.last().filter(|_| page.len() >= PAGE as usize).map(|(id, _)| *id);
            if after.is_none() {
                return Ok(count);
            }
        }
    }
}

/// A record's cells sealed anew; what the old key does not open stays as it is.
fn anew(cells: &Cells, sealed: &[(usize, &str)], old: &MasterKey, new: &MasterKey) -> Cells {
    let mut after = cells.clone();
    for (slot, place) in sealed {
        if let Some(Value::Bytes(bytes)) = cells.get(*slot)
            && let Some(bytes) = old.open(FIELD, place.as_bytes(), bytes).and_then(|clear| new.seal_alike(FIELD, place.as_bytes(), &clear))
            && let Some(cell) = after.get_mut(*slot)
        {
            *cell = Value::Bytes(bytes.into());
        }
    }
    after
}

/// Seals the secrets of apps anew.
fn settings(tx: &Tx, old: &MasterKey, new: &MasterKey) -> Result<(), Error> {
    for row in tx.find(&SETTING, &[], &[], 10_000)? {
        if let [app, name, Value::Json(value)] = row.as_slice()
            && let (Some(of), Some(key)) = (app.as_text(), name.as_text())
            && let Some(sealed) = secrets::anew(of, key, value, old, new)?
        {
            tx.put_over(&SETTING, vec![app.clone(), name.clone(), Value::Json(Arc::new(Json::String(sealed)))])?;
        }
    }
    Ok(())
}
