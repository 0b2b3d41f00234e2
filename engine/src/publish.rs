//! In charge of publishing: documents become the current revision, in phases that delay nobody for long.
//! Reading order: `Engine::publish_with`; then `phases` (expand, fill, switch), `fill` (what is filled), `follow` (what others
//! write meanwhile); `upgrade` (new versions of apps), `places` (records whose stage goes).
//! Invariant: what does not compile is never published; a crash leaves the old revision or the new one, whole.
//! Invariant: additions are ignored by the running revision, so a publish that stops halfway harms nothing.

mod fill;
mod follow;
mod phases;
mod places;
pub(crate) mod retired;
mod upgrade;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use model::check::Version;
use model::doc::{App, Package};
use model::field::sealed::{Seal, no_key};
use model::schema::Layout;
use model::{Diagnostic, Name, Severity, Value};
use serde_json::{Map, Value as Json, json};
use store::system::Cond;
use store::system::revision::{REVISION, SETTING};
use store::{Plan, Store, Tx};
use uuid::Uuid;

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::published::Published;

pub use places::{Targets, Unplaced};
pub use upgrade::{Choices, Side};

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
    /// Rows that come with the app and were refused, each with the reason.
    pub seed_faults: Vec<String>,
}

/// What a person says to a publish.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// What the revision is about.
    pub note: String,
    /// Where records go whose stage or option goes.
    pub targets: Targets,
    /// What counts where an upgrade and the workspace changed the same.
    pub choices: Choices,
}

impl Wishes {
    /// A publish of which nothing is said but what it is about.
    #[must_use]
    pub fn noting(note: &str) -> Self {
        Self { note: note.to_owned(), ..Self::default() }
    }
}

/// The packages of a workspace, by name, `core` first.
pub type Packages = IndexMap<Name, Arc<Package>>;

/// Apps as they run, and as they were shipped where the workspace did not make them itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Apps {
    pub(crate) packages: Packages,
    pub(crate) shipped: Packages,
}

/// The documents as they are compiled: with translations and the templates of papers put in.
fn documents(packages: &Packages) -> IndexMap<Name, Arc<App>> {
    let of = |package: &Package| {
        let mut app = model::package::localise(&package.app);
        for print in app.prints.values_mut() {
            let file = package.files.get(&format!("prints/{}", print.template));
            print.body = file.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
        }
        app
    };
    packages.iter().map(|(name, package)| (name.clone(), Arc::new(of(package)))).collect()
}

/// The published snapshot of a workspace; a new one gets the core app.
pub(crate) async fn load_or_begin(store: &Store, key: &Arc<dyn Seal>, now: DateTime<Utc>) -> Result<Published, Error> {
    if let Some(published) = load(store, key).await? {
        return Ok(published);
    }
    let package = core_package()?;
    let name = Name::parse("core").ok_or_else(|| Error::Internal("core is a name".to_owned()))?;
    let packages: Packages = [(name, Arc::new(package))].into_iter().collect();
    let apps = documents(&packages);
    let both = Apps { shipped: packages.clone(), packages };
    let layout = model::schema::next_layout(&apps, &Layout::default(), &rules::expr::is_on_read).map_err(Error::Documents)?;
    let published = Published::compile(1, &apps, layout, &HashMap::new(), key).map_err(Error::Documents)?.with_apps(both);
    let first = Arc::new(published);
    let switched = Arc::clone(&first);
    store.write(move |tx| begin(tx, &switched, now)).await?;
    load(store, key).await?.ok_or_else(|| Error::Internal("the first revision is not there".to_owned()))
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
    let of_app = |(name, package): (&Name, &Arc<Package>)| {
        let mut json = package_json(package);
        match published.shipped.get(name) {
            // Most apps run as they were shipped.
            Some(shipped) if shipped == package => {}
            Some(shipped) => json["shipped"] = package_json(shipped),
            None => json["shipped"] = Json::Null,
        }
        (name.to_string(), json)
    };
    let packages: Map<String, Json> = published.packages.iter().map(of_app).collect();
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

async fn load(store: &Store, key: &Arc<dyn Seal>) -> Result<Option<Published>, Error> {
    let row = store
        .read(|tx| {
            let number = tx.revision()?;
            let rows = tx.find(&REVISION, &[Cond::Eq("number", Value::Int(number))], &[], 1)?;
            let settings = tx.find(&SETTING, &[], &[], 10_000)?;
            Ok::<_, Error>((rows.into_iter().next(), settings))
        })
        .await?;
    let (Some(row), settings) = row else { return Ok(None) };
    let (both, layout, number) = read_revision(&row)?;
    let apps = documents(&both.packages);
    Published::compile(number, &apps, layout, &settings_of(&settings), key).map_err(Error::Documents).map(|published| Some(published.with_apps(both)))
}

fn read_revision(row: &[Value]) -> Result<(Apps, Layout, i64), Error> {
    let broken = || Error::Internal("a revision cannot be read".to_owned());
    let [number, _, _, _, Value::Json(packages), Value::Json(layout)] = row else { return Err(broken()) };
    let mut apps = Apps::default();
    for (name, json) in packages.as_object().ok_or_else(broken)? {
        let name = Name::parse(name).ok_or_else(broken)?;
        let package = Arc::new(package_of(json).ok_or_else(broken)?);
        let shipped = match json.get("shipped") {
            None => Some(Arc::clone(&package)),
            Some(Json::Null) => None,
            Some(json) => Some(Arc::new(package_of(json).ok_or_else(broken)?)),
        };
        apps.shipped.extend(shipped.map(|shipped| (name.clone(), shipped)));
        apps.packages.insert(name, package);
    }
    apps.packages = in_order(apps.packages);
    let layout = serde_json::from_value(Json::clone(layout)).map_err(|_| broken())?;
    Ok((apps, layout, number.as_int().ok_or_else(broken)?))
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
            && let Some(published) = load(self.store(), &self.sealing()).await?
        {
            self.swap(published);
        }
        Ok(())
    }

    /// Takes up the revision that was switched to: what was written is what counts, so it is read back.
    pub(crate) async fn take_up(&self) -> Result<(), Error> {
        match load(self.store(), &self.sealing()).await? {
            Some(current) => self.swap(current),
            None => return Err(Error::Internal("the revision is not there".to_owned())),
        }
        Ok(())
    }

    /// Brings the core app to the version inside the program. What the workspace made of it stays; where that stands in the
    /// way, the former version goes on.
    pub(crate) async fn renew_core(&self) -> Result<(), Error> {
        let package = core_package()?;
        let current = self.current();
        let version = |package: &Package| Version::parse(&package.app.app.version);
        match current.shipped.get("core") {
            Some(shipped) if **shipped == package || version(shipped) > version(&package) => return Ok(()),
            Some(_) | None => {}
        }
        let choices = Choices { otherwise: Some(Side::Ours), ..Choices::default() };
        match self.install_with(&self.system(), package, Wishes { choices, ..Wishes::noting("core") }).await {
            Ok(_) => Ok(()),
            Err(error @ (Error::Documents(_) | Error::Conflicts(_) | Error::Unplaced(_))) => {
                tracing::warn!(%error, "the core app stays as it was: the workspace does not fit its new version");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Installs an app, or a newer version of it, with the rows that it brings.
    ///
    /// # Errors
    /// As [`Self::install_with`].
    pub async fn install(&self, cx: &Ctx, package: Package, note: &str) -> Result<Installed, Error> {
        self.install_with(cx, package, Wishes::noting(note)).await
    }

    /// Installs an app, or a newer version of it over what the workspace made of the former one, with the rows that it brings.
    ///
    /// # Errors
    /// `Forbidden` without the right to design; every fault of the documents, of apps that build on this one, too;
    /// `Conflicts` where both the workspace and the new version changed something and nothing was chosen; `Unplaced` as
    /// [`Self::publish_with`].
    pub async fn install_with(&self, cx: &Ctx, package: Package, wishes: Wishes) -> Result<Installed, Error> {
        if !cx.caller.is_admin() {
            return Err(Error::Forbidden);
        }
        let name = package.app.app.name.clone();
        let (revision, warnings, upgraded) = {
            let _one_at_a_time = self.publishing().await;
            self.reload_if_stale().await?;
            let base = self.current();
            let key = name_of(&package)?;
            let mut apps = Apps { packages: base.packages.clone(), shipped: base.shipped.clone() };
            let there = apps.packages.get(&key).cloned();
            let merged = match &there {
                Some(ours) => upgrade::merged(apps.shipped.get(&key).map(|shipped| &**shipped), ours, &package, &wishes.choices)?,
                None => package.clone(),
            };
            apps.packages.insert(key.clone(), Arc::new(merged));
            apps.shipped.insert(key.clone(), Arc::new(package));
            let (revision, warnings) = self.put_in_place(cx, &base, apps, &[key], &wishes).await?;
            (revision, warnings, there.is_some())
        };
        let seed_faults = crate::seed::load(self, &name, upgraded).await?;
        Ok(Installed { app: name, revision, upgraded, warnings, seed_faults })
    }

    /// Publishes changed apps as a new revision: its number, and what to look at.
    ///
    /// # Errors
    /// As [`Self::publish_with`].
    pub async fn publish(&self, cx: &Ctx, changed: Vec<Package>, note: &str) -> Result<(i64, Vec<Diagnostic>), Error> {
        self.publish_with(cx, changed, &Wishes::noting(note)).await
    }

    /// Publishes changed apps as a new revision: its number, and what to look at.
    ///
    /// # Errors
    /// Every fault of the documents, of apps that build on the changed ones, too; `Unplaced` where a stage or an option goes
    /// that records have and no target is named; that the store could not.
    pub async fn publish_with(&self, cx: &Ctx, changed: Vec<Package>, wishes: &Wishes) -> Result<(i64, Vec<Diagnostic>), Error> {
        let _one_at_a_time = self.publishing().await;
        self.reload_if_stale().await?;
        let base = self.current();
        let mut apps = Apps { packages: base.packages.clone(), shipped: base.shipped.clone() };
        let mut names = Vec::new();
        for package in changed {
            let name = name_of(&package)?;
            apps.packages.insert(name.clone(), Arc::new(package));
            names.push(name);
        }
        self.put_in_place(cx, &base, apps, &names, wishes).await
    }

    /// Checks the changed apps and those that build on them, and makes all the current revision.
    async fn put_in_place(
        &self,
        cx: &Ctx,
        base: &Arc<Published>,
        apps: Apps,
        changed: &[Name],
        wishes: &Wishes,
    ) -> Result<(i64, Vec<Diagnostic>), Error> {
        let mut warnings = checked(&apps.packages, changed)?;
        let apps = Apps { packages: in_order(apps.packages), shipped: apps.shipped };
        let (number, more) = self.switch_over(cx, base, apps, wishes).await?;
        warnings.extend(more);
        Ok((number, warnings))
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
    /// `NotFound` where there is no such revision; `Forbidden` without the right to design; `Unplaced` as
    /// [`Self::publish_with`].
    pub async fn rollback(&self, cx: &Ctx, number: i64, targets: &Targets) -> Result<i64, Error> {
        if !cx.caller.is_admin() {
            return Err(Error::Forbidden);
        }
        let _one_at_a_time = self.publishing().await;
        self.reload_if_stale().await?;
        let base = self.current();
        let rows = self.store().read(move |tx| Ok::<_, Error>(tx.find(&REVISION, &[Cond::Eq("number", Value::Int(number))], &[], 1)?)).await?;
        let (apps, ..) = read_revision(rows.first().ok_or(Error::NotFound)?)?;
        let wishes = Wishes { note: format!("back to {number}"), targets: targets.clone(), ..Wishes::default() };
        Ok(self.switch_over(cx, &base, apps, &wishes).await?.0)
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
    let mut later = match model::schema::build(&apps, &Layout::default(), &rules::expr::is_on_read, &no_key()) {
        Ok(schema) => {
            let compiled = Published::compile(1, &apps, Layout::default(), &HashMap::new(), &no_key()).err().unwrap_or_default();
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

/// What is wrong with the changed apps and with those that build on them, seen with all others.
fn checked(packages: &Packages, changed: &[Name]) -> Result<Vec<Diagnostic>, Error> {
    let mut names = changed.to_vec();
    // Each app stands behind those that it requires.
    for (name, package) in packages {
        let builds_on = package.app.app.requires.keys().any(|needed| names.iter().any(|changed| changed.as_str() == needed.as_str()));
        if builds_on && !names.contains(name) {
            names.push(name.clone());
        }
    }
    let mut found = Vec::new();
    for name in &names {
        let own = faults_of(packages, std::slice::from_ref(name));
        let is_changed = changed.contains(name);
        found.extend(own.into_iter().filter(|fault| is_changed || fault.severity == Severity::Error).map(|mut fault| {
            if !is_changed {
                fault.message = format!("in the app `{name}`, which builds on it: {}", fault.message);
            }
            fault
        }));
    }
    let (errors, warnings): (Vec<_>, Vec<_>) = found.into_iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
    if errors.is_empty() { Ok(warnings) } else { Err(Error::Documents(errors)) }
}

fn name_of(package: &Package) -> Result<Name, Error> {
    let text = &package.app.app.name;
    Name::parse(text).ok_or_else(|| Error::Documents(vec![Diagnostic::error("/app/name", format!("`{text}` is not a name"))]))
}

fn newest_revision(tx: &Tx) -> Result<i64, store::Fault> {
    let rows = tx.find(&REVISION, &[], &[("number", true)], 1)?;
    Ok(rows.first().and_then(|row| row.first()).and_then(Value::as_int).unwrap_or_default())
}
