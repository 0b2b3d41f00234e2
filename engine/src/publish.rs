//! In charge of publishing: documents become the current revision, in phases that delay nobody for long.
//! Reading order: `Engine::publish`; then `expand` (what is added beside running work), `switch` (what makes it current).
//! Invariant: what does not compile is never published; a crash leaves the old revision or the new one, whole.
//! Invariant: additions are ignored by the running revision, so a publish that stops halfway harms nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use model::doc::{App, Package};
use model::schema::Layout;
use model::{Diagnostic, EntityId, Name, Severity, Value};
use serde_json::{Map, Value as Json, json};
use store::system::Cond;
use store::system::revision::{REVISION, SETTING};
use store::{Plan, Store, Tx};
use uuid::Uuid;

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::published::Published;
use crate::records::recompute_all;

#[derive(rust_embed::RustEmbed)]
#[folder = "core_app"]
struct CoreFiles;

/// The app that every workspace has: documents inside the program.
///
/// # Errors
/// Where they have faults, which a test rules out.
pub fn core_package() -> Result<Package, Error> {
    let files: BTreeMap<String, Vec<u8>> =
        CoreFiles::iter().filter_map(|path| CoreFiles::get(&path).map(|file| (path.to_string(), file.data.into_owned()))).collect();
    Package::from_files(Some("core"), files).map_err(Error::Documents)
}

/// What an installation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The app.
    pub app: String,
    /// The revision that it is current in.
    pub revision: i64,
    /// Whether it was there before.
    pub upgraded: bool,
    /// What to look at.
    pub warnings: Vec<Diagnostic>,
}

/// The packages of a workspace, by name, `core` first.
pub type Packages = IndexMap<Name, Arc<Package>>;

/// The documents as they are compiled: with translations put in.
fn documents(packages: &Packages) -> IndexMap<Name, Arc<App>> {
    packages.iter().map(|(name, package)| (name.clone(), Arc::new(model::package::localise(&package.app)))).collect()
}

/// The published snapshot of a workspace; a new one gets the core app.
pub(crate) async fn load_or_begin(store: &Store, now: DateTime<Utc>) -> Result<Published, Error> {
    if let Some(published) = load(store).await? {
        return Ok(published);
    }
    let package = core_package()?;
    let name = Name::parse("core").ok_or_else(|| Error::Internal("core is a name".to_owned()))?;
    let packages: Packages = [(name, Arc::new(package))].into_iter().collect();
    let apps = documents(&packages);
    let layout = model::schema::next_layout(&apps, &Layout::default(), &rules::expr::is_on_read).map_err(Error::Documents)?;
    let published = Published::compile(1, &apps, layout, &HashMap::new()).map_err(Error::Documents)?.with_packages(packages);
    let first = Arc::new(published);
    let switched = Arc::clone(&first);
    store.write(move |tx| begin(tx, &switched, now)).await?;
    load(store).await?.ok_or_else(|| Error::Internal("the first revision is not there".to_owned()))
}

fn begin(tx: &Tx, published: &Published, now: DateTime<Utc>) -> Result<(), Error> {
    tx.lock_revision(true)?;
    if tx.revision()? != 0 {
        return Ok(());
    }
    let plan = Plan::of(tx, &published.schema)?;
    for step in plan.expand.iter().chain(&plan.indexes) {
        tx.apply(step)?;
    }
    record(tx, published, now, None, "core")
}

/// Writes the revision and moves the pointer.
fn record(tx: &Tx, published: &Published, now: DateTime<Utc>, by: Option<Uuid>, note: &str) -> Result<(), Error> {
    let packages: Map<String, Json> = published.packages.iter().map(|(name, package)| (name.to_string(), package_json(package))).collect();
    let layout = serde_json::to_value(&published.layout).map_err(|error| Error::Internal(error.to_string()))?;
    let row = vec![
        Value::Int(published.revision),
        Value::Timestamp(now),
        by.map_or(Value::Null, Value::Uuid),
        Value::text(note),
        Value::Json(Arc::new(Json::Object(packages))),
        Value::Json(Arc::new(layout)),
    ];
    tx.put(&REVISION, &[row])?;
    Ok(tx.switch_to(published.revision)?)
}

fn package_json(package: &Package) -> Json {
    let files: Map<String, Json> = package.files.iter().map(|(path, bytes)| (path.clone(), STANDARD.encode(bytes).into())).collect();
    // As text: a database that sorts the keys of JSON would change the order in which an author wrote them.
    json!({"app": model::package::app_to_json(&package.app).to_string(), "files": files})
}

fn package_of(json: &Json) -> Option<Package> {
    let app = model::package::app_from_stored(&serde_json::from_str(json.get("app")?.as_str()?).ok()?)?;
    let files =
        json.get("files")?.as_object()?.iter().filter_map(|(path, text)| Some((path.clone(), STANDARD.decode(text.as_str()?).ok()?))).collect();
    Some(Package { app, files })
}

async fn load(store: &Store) -> Result<Option<Published>, Error> {
    let row = store
        .read(|tx| {
            let number = tx.revision()?;
            let rows = tx.find(&REVISION, &[Cond::Eq("number", Value::Int(number))], &[], 1)?;
            let settings = tx.find(&SETTING, &[], &[], 10_000)?;
            Ok::<_, Error>((rows.into_iter().next(), settings))
        })
        .await?;
    let (Some(row), settings) = row else { return Ok(None) };
    let (packages, layout, number) = read_revision(&row)?;
    let apps = documents(&packages);
    Published::compile(number, &apps, layout, &settings_of(&settings))
        .map_err(Error::Documents)
        .map(|published| Some(published.with_packages(packages)))
}

fn read_revision(row: &[Value]) -> Result<(Packages, Layout, i64), Error> {
    let broken = || Error::Internal("a revision cannot be read".to_owned());
    let [number, _, _, _, Value::Json(packages), Value::Json(layout)] = row else { return Err(broken()) };
    let packages = packages
        .as_object()
        .ok_or_else(broken)?
        .iter()
        .map(|(name, json)| Some((Name::parse(name)?, Arc::new(package_of(json)?))))
        .collect::<Option<Packages>>()
        .ok_or_else(broken)?;
    let layout = serde_json::from_value(Json::clone(layout)).map_err(|_| broken())?;
    Ok((in_order(packages), layout, number.as_int().ok_or_else(broken)?))
}

/// `core` first, then each app behind those that it requires: a database may have sorted them.
fn in_order(packages: Packages) -> Packages {
    let mut waiting = packages;
    let mut sorted = Packages::new();
    while !waiting.is_empty() {
        let ready: Vec<Name> = waiting
            .iter()
            .filter(|(_, package)| package.app.app.requires.keys().all(|needed| sorted.contains_key(needed) || !waiting.contains_key(needed)))
            .map(|(name, _)| name.clone())
            .collect();
        let ready = if ready.is_empty() { waiting.keys().cloned().collect() } else { ready };
        for name in ready {
            if let Some(package) = waiting.shift_remove(&name) {
                sorted.insert(name, package);
            }
        }
    }
    sorted
}

fn settings_of(rows: &[Vec<Value>]) -> HashMap<String, Map<String, Json>> {
    let mut settings: HashMap<String, Map<String, Json>> = HashMap::new();
    for row in rows {
        if let [app, name, Value::Json(value)] = row.as_slice()
            && let (Some(app), Some(name)) = (app.as_text(), name.as_text())
        {
            settings.entry(app.to_owned()).or_default().insert(name.to_owned(), Json::clone(value));
        }
    }
    settings
}

impl Engine {
    /// Takes up the revision that another node published.
    pub(crate) async fn reload_if_stale(&self) -> Result<(), Error> {
        let number = self.store().read(|tx| Ok::<_, Error>(tx.revision()?)).await?;
        if number != self.current().revision
            && let Some(published) = load(self.store()).await?
        {
            self.swap(published);
        }
        Ok(())
    }

    /// Installs an app, or a newer version of it.
    ///
    /// # Errors
    /// `Forbidden` without the right to design; every fault of the documents.
    pub async fn install(&self, cx: &Ctx, package: Package, note: &str) -> Result<Installed, Error> {
        if !cx.caller.is_admin() {
            return Err(Error::Forbidden);
        }
        let name = package.app.app.name.clone();
        let upgraded = self.current().app(&name).is_some();
        let (revision, warnings) = self.publish(cx, vec![package], note).await?;
        Ok(Installed { app: name, revision, upgraded, warnings })
    }

    /// Publishes changed apps as a new revision: its number, and what to look at.
    ///
    /// # Errors
    /// Every fault of the documents; that the store could not.
    pub async fn publish(&self, cx: &Ctx, changed: Vec<Package>, note: &str) -> Result<(i64, Vec<Diagnostic>), Error> {
        let _one_at_a_time = self.publishing().await;
        self.reload_if_stale().await?;
        let base = self.current();
        let mut packages = base.packages.clone();
        let mut names = Vec::new();
        for package in changed {
            let name = Name::parse(&package.app.app.name)
                .ok_or_else(|| Error::Documents(vec![Diagnostic::error("/app/name", format!("`{}` is not a name", package.app.app.name))]))?;
            packages.insert(name.clone(), Arc::new(package));
            names.push(name);
        }
        let warnings = checked(&packages, &names)?;
        let number = self.switch_over(cx, &base, in_order(packages), note).await?;
        Ok((number, warnings))
    }

    async fn switch_over(&self, cx: &Ctx, base: &Arc<Published>, packages: Packages, note: &str) -> Result<i64, Error> {
        let apps = documents(&packages);
        let layout = model::schema::next_layout(&apps, &base.layout, &rules::expr::is_on_read).map_err(Error::Documents)?;
        let newest = self.store().read(|tx| Ok::<_, Error>(newest_revision(tx)?)).await?;
        let settings = base.settings.clone();
        let published = Published::compile(newest + 1, &apps, layout, &settings).map_err(Error::Documents)?.with_packages(packages);
        let published = Arc::new(published);
        let (new, old) = (Arc::clone(&published), Arc::clone(base));
        self.store().write(move |tx| expand(tx, &new)).await?;
        let new = Arc::clone(&published);
        let (now, by, note, context) = (self.now(), cx.caller.user(), note.to_owned(), self.system());
        self.store().write(move |tx| switch(tx, &context, &old, &new, now, by, &note)).await?;
        // The snapshot that is read back is the one that runs: what was written is what counts.
        match load(self.store()).await? {
            Some(current) => self.swap(current),
            None => return Err(Error::Internal("the revision is not there".to_owned())),
        }
        self.store().write(|tx| Ok::<_, Error>(tx.analyse()?)).await?;
        Ok(published.revision)
    }

    /// The packages as they were installed and changed: for export.
    ///
    /// # Errors
    /// `NotFound` where there is no such app; `Forbidden` without the right to design.
    pub fn export_app(&self, cx: &Ctx, app: &str) -> Result<Package, Error> {
        if !cx.caller.is_admin() {
            return Err(Error::Forbidden);
        }
        self.current().packages.get(app).map(|package| Package::clone(package)).ok_or(Error::NotFound)
    }

    /// The revisions, newest first.
    ///
    /// # Errors
    /// `Forbidden` without the right to design.
    pub async fn revisions(&self, cx: &Ctx) -> Result<Json, Error> {
        if !cx.caller.is_admin() {
            return Err(Error::Forbidden);
        }
        let rows = self.store().read(|tx| Ok::<_, Error>(tx.find(&REVISION, &[], &[("number", true)], 500)?)).await?;
        let data: Vec<Json> = rows
            .iter()
            .map(|row| {
                json!({
                    "number": row.first().and_then(Value::as_int),
                    "at": row.get(1).and_then(Value::as_timestamp),
                    "by": row.get(2).and_then(Value::as_uuid),
                    "note": row.get(3).and_then(Value::as_text),
                })
            })
            .collect();
        Ok(json!({"data": data}))
    }

    /// Makes the documents of a former revision current again, as a new revision.
    ///
    /// # Errors
    /// `NotFound` where there is no such revision; `Forbidden` without the right to design.
    pub async fn rollback(&self, cx: &Ctx, number: i64) -> Result<i64, Error> {
        if !cx.caller.is_admin() {
            return Err(Error::Forbidden);
        }
        let _one_at_a_time = self.publishing().await;
        self.reload_if_stale().await?;
        let base = self.current();
        let rows = self.store().read(move |tx| Ok::<_, Error>(tx.find(&REVISION, &[Cond::Eq("number", Value::Int(number))], &[], 1)?)).await?;
        let (packages, ..) = read_revision(rows.first().ok_or(Error::NotFound)?)?;
        self.switch_over(cx, &base, packages, &format!("back to {number}")).await
    }
}

/// What is wrong with the documents of one app, and with the files that they name.
fn checked_alone(packages: &Packages, apps: &IndexMap<Name, Arc<App>>, name: &Name) -> Vec<Diagnostic> {
    let files = packages.get(name).map(|package| model::check::files(package)).unwrap_or_default();
    model::check::check(apps, name).into_iter().chain(files).collect()
}

/// What is wrong with apps, seen with all others: their documents, and what does not compile. Pointers are into the app.
pub(crate) fn faults_of(packages: &Packages, names: &[Name]) -> Vec<Diagnostic> {
    let apps = documents(packages);
    let mut found: Vec<Diagnostic> = names.iter().flat_map(|name| checked_alone(packages, &apps, name)).collect();
    let is_sound = found.iter().all(|fault| fault.severity != Severity::Error);
    let mut later = match model::schema::build(&apps, &Layout::default(), &rules::expr::is_on_read) {
        Ok(schema) => {
            let compiled = Published::compile(1, &apps, Layout::default(), &HashMap::new()).err().unwrap_or_default();
            let elsewhere = names.iter().flat_map(|name| crate::documents::faults(&schema, name));
            compiled.into_iter().chain(elsewhere).collect()
        }
        Err(faults) if is_sound => faults,
        // What keeps the schema from being built was told by the check.
        Err(_) => Vec::new(),
    };
    for fault in &mut later {
        let own = names.iter().find_map(|name| fault.pointer.strip_prefix(&format!("/{name}")).filter(|rest| rest.starts_with('/')));
        if let Some(own) = own {
            fault.pointer = own.to_owned();
        }
        fault.file = fault.file.take().or_else(|| model::package::file_of(&fault.pointer));
    }
    later.retain(|fault| !found.iter().any(|told| told.severity == Severity::Error && told.pointer == fault.pointer));
    found.extend(later);
    found
}

/// What is wrong with the changed apps, seen with all others.
fn checked(packages: &Packages, names: &[Name]) -> Result<Vec<Diagnostic>, Error> {
    let (errors, warnings): (Vec<_>, Vec<_>) = faults_of(packages, names).into_iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
    if errors.is_empty() { Ok(warnings) } else { Err(Error::Documents(errors)) }
}

fn newest_revision(tx: &Tx) -> Result<i64, store::Fault> {
    let rows = tx.find(&REVISION, &[], &[("number", true)], 1)?;
    Ok(rows.first().and_then(|row| row.first()).and_then(Value::as_int).unwrap_or_default())
}

/// Adds tables and columns beside running work, which does not see them.
fn expand(tx: &Tx, new: &Published) -> Result<(), Error> {
    tx.lock_key("publish")?;
    for step in &Plan::of(tx, &new.schema)?.expand {
        tx.apply(step)?;
    }
    Ok(())
}

/// Indexes, values of what is newly computed, the revision and the pointer: all or nothing.
fn switch(tx: &Tx, context: &Ctx, old: &Published, new: &Arc<Published>, now: DateTime<Utc>, by: Option<Uuid>, note: &str) -> Result<(), Error> {
    tx.lock_revision(true)?;
    if tx.revision()? != old.revision {
        return Err(Error::Store(store::Fault::Busy));
    }
    let plan = Plan::of(tx, &new.schema)?;
    for step in plan.expand.iter().chain(&plan.indexes) {
        tx.apply(step)?;
    }
    let fresh = newly_computed(old, new);
    if !fresh.is_empty() {
        let context = Ctx { app: Arc::clone(new), grants: Arc::clone(&new.all_grants), ..context.clone() };
        recompute_all(&context, tx, &fresh)?;
    }
    crate::automations::schedule::published(context, tx, new)?;
    record(tx, new, now, by, note)
}

/// The entities with a field that is computed otherwise than before.
fn newly_computed(old: &Published, new: &Published) -> BTreeSet<EntityId> {
    new.schema
        .entities
        .iter()
        .filter(|def| {
            let before = old.schema.find(def.name.as_str());
            let Some(before) = before else { return false };
            def.fields.iter().filter(|field| field.computed()).any(|field| {
                before.find(field.name.as_str()).is_none_or(|was| was.doc.settings != field.doc.settings || was.doc.kind != field.doc.kind)
            })
        })
        .map(|def| def.id)
        .collect()
}
