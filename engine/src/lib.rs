//! In charge of the verbs: what can be done with a workspace, whoever asks.
//! Reading order: `Engine`, `Ctx`; `published` (documents compiled), `records` (the write and the read path),
//! `people` (rights), `publish` (a new revision), `imports`.
//! Invariant: every call takes the caller's `Ctx`; rights are checked inside, never by the face.

pub mod approvals;
pub mod auth;
pub mod automations;
pub mod change_sets;
pub mod clock;
pub(crate) mod clocks;
pub mod conversions;
mod ctx;
pub mod demo;
mod doctor;
mod documents;
pub mod effects;
mod error;
pub mod exports;
pub mod files;
pub mod followers;
mod housekeeping;
pub mod imports;
pub mod jobs;
pub mod keys;
mod meta;
mod notices;
mod openapi;
pub mod packages;
pub mod people;
pub mod pools;
pub mod prints;
mod publish;
pub mod published;
pub mod records;
mod robots;
pub mod scenarios;
mod scheduler;
mod secrets;
pub mod seed;
mod settings;
mod times;
mod titles;
mod transact;
pub mod web_forms;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use store::{Location, Store};
use tokio::sync::broadcast;
use uuid::Uuid;

pub use ctx::{Caller, Cause, Ctx, Face, Person, Via};
pub use doctor::{Examined, Failing, LostFile, Miscounted, examine_among, examine_package, location_of};
pub use error::Error;
pub use publish::{Choices, Installed, Side, Targets, Unplaced, Wishes, core_package};
pub use published::Published;
pub use records::{Channel, Outcome, Submission, Written};

use keys::MasterKey;
use model::field::sealed::Seal;
use people::Known;
use records::ChangeNote;

/// A workspace that is open. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Arc<dyn clock::Clock>,
    key: MasterKey,
    data_dir: Option<PathBuf>,
    current: ArcSwap<Published>,
    people: Mutex<HashMap<Uuid, Known>>,
    people_epoch: AtomicU64,
    notes: broadcast::Sender<Arc<ChangeNote>>,
    publishing: tokio::sync::Mutex<()>,
    files: files::FileStore,
    jobs: jobs::Jobs,
    scheduler: scheduler::Scheduler,
    effect_slots: Arc<tokio::sync::Semaphore>,
    outside: Mutex<Arc<dyn effects::Outside>>,
    form_limits: web_forms::Limits,
}

/// How a workspace is opened.
pub struct Options {
    /// Where its database is.
    pub location: Location,
    /// Where its files and its key are; none keeps them in memory.
    pub data_dir: Option<PathBuf>,
    /// What tells the time.
    pub clock: Arc<dyn clock::Clock>,
}

/// Notes that a slow listener may fall behind; then it reads the feed again.
const NOTES: usize = 1_024;

impl Engine {
    /// Opens a workspace; the first time it gets the core app.
    ///
    /// # Errors
    /// Where the database or the data folder cannot be used.
    pub async fn open(options: Options) -> Result<Self, Error> {
        let key = match (std::env::var("TRELLIS_KEY"), &options.data_dir) {
            (Ok(text), _) => MasterKey::parse(&text)?,
            (Err(_), Some(folder)) => {
                std::fs::create_dir_all(folder).map_err(|error| Error::Internal(format!("{}: {error}", folder.display())))?;
                MasterKey::of_folder(folder)?
            }
            (Err(_), None) => MasterKey::generate()?,
        };
        let store = Store::open(&options.location).await?;
        let key = match &options.data_dir {
            Some(folder) => keys::rotate::settled(&store, folder, key).await?,
            None => key,
        };
        Self::over(store, options.clock, key, options.data_dir).await
    }

    /// The same workspace with nothing remembered: everything is read back.
    pub(crate) async fn reopened(&self) -> Result<Self, Error> {
        self.0.scheduler.stop();
        self.0.jobs.stop();
        let engine = Self::over(self.0.store.clone(), Arc::clone(&self.0.clock), self.0.key.clone(), self.0.data_dir.clone()).await?;
        engine.set_outside(self.outside());
        Ok(engine)
    }

    async fn over(store: Store, clock: Arc<dyn clock::Clock>, key: MasterKey, data_dir: Option<PathBuf>) -> Result<Self, Error> {
        let current = publish::load_or_begin(&store, &key.sealing(), clock.now()).await?;
        let (notes, _) = broadcast::channel(NOTES);
        let files = files::FileStore::new(data_dir.as_deref());
        let jobs = jobs::Jobs::new(data_dir.as_deref())?;
        let engine = Self(Arc::new(Inner {
            store,
            clock,
            key,
            data_dir,
            current: ArcSwap::from_pointee(current),
            people: Mutex::default(),
            people_epoch: AtomicU64::new(0),
            notes,
            publishing: tokio::sync::Mutex::new(()),
            files,
            jobs,
            scheduler: scheduler::Scheduler::default(),
            effect_slots: effects::slots(),
            outside: Mutex::new(Arc::new(effects::outside::Nowhere)),
            form_limits: web_forms::Limits::default(),
        }));
        engine.renew_core().await?;
        Ok(engine)
    }

    /// The published snapshot that is current.
    #[must_use]
    pub fn current(&self) -> Arc<Published> {
        self.0.current.load_full()
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// The workspace's database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Where files are kept.
    #[must_use]
    pub fn data_dir(&self) -> Option<&Path> {
        self.0.data_dir.as_deref()
    }

    /// The key as fields that rest encrypted use it.
    pub(crate) fn sealing(&self) -> Arc<dyn Seal> {
        self.0.key.sealing()
    }

    /// The workspace's master key.
    #[must_use]
    pub fn key(&self) -> &MasterKey {
        &self.0.key
    }

    /// Changes as they are committed: names, never values.
    #[must_use]
    pub fn live(&self) -> broadcast::Receiver<Arc<ChangeNote>> {
        self.0.notes.subscribe()
    }

    /// The entity that a request names, as the caller sees it.
    ///
    /// # Errors
    /// `NotFound` where it is not there or out of sight.
    pub fn entity<'a>(&self, cx: &'a Ctx, name: &str) -> Result<&'a model::EntityDef, Error> {
        cx.app.schema.find(name).filter(|def| cx.grants.sees(def.id)).ok_or(Error::NotFound)
    }

    /// The store of files.
    #[must_use]
    pub fn files(&self) -> &files::FileStore {
        &self.0.files
    }

    /// The jobs.
    #[must_use]
    pub fn jobs(&self) -> &jobs::Jobs {
        &self.0.jobs
    }

    /// Sets what speaks to the world on the engine's behalf; before that nothing outside is reached.
    pub fn set_outside(&self, outside: Arc<dyn effects::Outside>) {
        *self.0.outside.lock() = outside;
    }

    pub(crate) fn outside(&self) -> Arc<dyn effects::Outside> {
        Arc::clone(&self.0.outside.lock())
    }

    pub(crate) fn effect_slots(&self) -> &Arc<tokio::sync::Semaphore> {
        &self.0.effect_slots
    }

    pub(crate) fn scheduler(&self) -> &scheduler::Scheduler {
        &self.0.scheduler
    }

    pub(crate) fn form_limits(&self) -> &web_forms::Limits {
        &self.0.form_limits
    }

    /// Ends the threads and connections.
    pub async fn close(&self) {
        self.0.scheduler.stop();
        self.0.jobs.stop();
        if self.0.scheduler.is_started()
            && let Err(error) = self.end_work().await
        {
            tracing::warn!(%error, "the end of the work could not be written");
        }
        self.0.store.close().await;
    }

    pub(crate) fn known_people(&self) -> &Mutex<HashMap<Uuid, Known>> {
        &self.0.people
    }

    pub(crate) fn people_epoch(&self) -> u64 {
        self.0.people_epoch.load(Ordering::Acquire)
    }

    /// Tells listeners what was committed.
    pub(crate) fn tell(&self, notes: Vec<ChangeNote>) {
        if notes.iter().any(|note| matches!(note.entity.as_str(), "core.user" | "core.department")) {
            self.0.people_epoch.fetch_add(1, Ordering::AcqRel);
            self.0.people.lock().clear();
        }
        for note in notes {
            // Nobody may be listening.
            let _unheard = self.0.notes.send(Arc::new(note));
        }
    }

    pub(crate) fn swap(&self, published: Published) {
        self.0.current.store(Arc::new(published));
        self.0.people.lock().clear();
    }

    pub(crate) async fn publishing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.publishing.lock().await
    }
}
