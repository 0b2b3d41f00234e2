//! In charge of people as rights see them: who they are, who is below them, what they may do.
//! Invariant: a person who is not active or not there has no rights; a change of people is effective at once.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Cells, EntityDef, Value};
use rules::policy::Grants;
use rules::query::{Column, Leaf, Params, Path, Predicate, Test};
use store::{Binned, Lock, Select, Tx};
use uuid::Uuid;

use crate::Engine;
use crate::ctx::{Caller, Cause, Ctx, Opened, Person};
use crate::error::Error;
use crate::published::Published;
use crate::records::Channel;
use crate::records::lookup::is_live;
use crate::records::slice::Writer;

/// What is kept of a person between requests.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) person: Arc<Person>,
    pub(crate) grants: Arc<Grants>,
    revision: i64,
    epoch: u64,
}

/// The names of all time zones.
pub fn time_zones() -> impl Iterator<Item = &'static str> {
    chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())
}

/// The roles that everybody has beside their own.
const EVERYONE: &str = "core.everyone";
const COLLABORATOR: &str = "core.collaborator";
/// The role without limits.
pub const ADMIN: &str = "core.admin";

impl Engine {
    /// A person with their rights; none where there is no such active user.
    ///
    /// # Errors
    /// Where the store could not.
    pub async fn person(&self, user: Uuid) -> Result<Option<Arc<Person>>, Error> {
        Ok(self.known(user).await?.map(|known| known.person))
    }

    async fn known(&self, user: Uuid) -> Result<Option<Known>, Error> {
        let (app, epoch) = (self.current(), self.people_epoch());
        if self.store().is_exclusive()
            && let Some(known) = self.known_people().lock().get(&user)
            && known.revision == app.revision
            && known.epoch == epoch
        {
            let mut known = known.clone();
            if known.grants.uses_clock() {
                known.grants = rights_of(&app, &known.person, self.now());
            }
            return Ok(Some(known));
        }
        let now = self.now();
        let at = Arc::clone(&app);
        let read = self.store().read(move |tx| person_in(tx, &at, user)).await?;
        let Some(person) = read else { return Ok(None) };
        let person = Arc::new(person);
        let grants = rights_of(&app, &person, now);
        let known = Known { person, grants, revision: app.revision, epoch };
        self.known_people().lock().insert(user, known.clone());
        Ok(Some(known))
    }

    /// A request's facts for a person.
    ///
    /// # Errors
    /// `Unauthenticated` where there is no such active user.
    pub async fn context(&self, user: Uuid, locale: Option<&str>) -> Result<Ctx, Error> {
        let known = self.known(user).await?.ok_or(Error::Unauthenticated)?;
        let app = self.current();
        Ok(Ctx {
            app,
            grants: known.grants,
            now: self.now(),
            zone: known.person.zone,
            locale: locale.unwrap_or(&known.person.locale).to_owned(),
            caller: Caller::Person(known.person),
            channel: Channel::Request,
            via: None,
            cause: Cause::Request,
            change_set: None,
            depth: 0,
            flow: None,
            asks: false,
            opened: Opened::default(),
            files: self.files().clone(),
        })
    }

    /// The engine's own facts: all rights, nobody's name.
    #[must_use]
    pub fn system(&self) -> Ctx {
        let app = self.current();
        Ctx {
            grants: Arc::clone(&app.all_grants),
            now: self.now(),
            zone: app.zone,
            locale: "en".to_owned(),
            caller: Caller::System,
            channel: Channel::Engine,
            via: None,
            cause: Cause::Request,
            change_set: None,
            depth: 0,
            flow: None,
            asks: false,
            opened: Opened::default(),
            files: self.files().clone(),
            app,
        }
    }

    /// The same request's facts under the snapshot that is current now.
    pub(crate) async fn renewed(&self, cx: &Ctx) -> Result<Ctx, Error> {
        self.reload_if_stale().await?;
        let fresh = match cx.caller.user() {
            Some(user) => self.context(user, Some(&cx.locale)).await?,
            None => self.system(),
        };
        Ok(Ctx {
            channel: cx.channel,
            via: cx.via.clone(),
            cause: cx.cause,
            change_set: cx.change_set,
            depth: cx.depth,
            asks: cx.asks,
            now: cx.now,
            opened: Opened::default(),
            ..fresh
        })
    }
}

/// The facts of a person as they are now, within an open transaction; none where there is no such active user.
pub(crate) fn context_in(cx: &Ctx, tx: &Tx, user: Uuid) -> Result<Option<Ctx>, Error> {
    Ok(person_in(tx, &cx.app, user)?.map(|person| context_of(cx, Arc::new(person))))
}

/// The facts of a person who was read within the open transaction.
pub(crate) fn context_of(cx: &Ctx, person: Arc<Person>) -> Ctx {
    let grants = rights_of(&cx.app, &person, cx.now);
    let (zone, locale) = (person.zone, person.locale.clone());
    Ctx { grants, zone, locale, caller: Caller::Person(person), channel: Channel::Request, ..cx.clone() }
}

fn text(def: &EntityDef, cells: &Cells, name: &str) -> Option<String> {
    def.slot(name).and_then(|slot| cells.get(slot)).and_then(Value::as_text).map(str::to_owned)
}

fn id(def: &EntityDef, cells: &Cells, name: &str) -> Option<Uuid> {
    def.slot(name).and_then(|slot| cells.get(slot)).and_then(Value::as_uuid)
}

/// A department and those above it, each with its name.
fn departments_above(tx: &Tx, app: &Published, department: Option<Uuid>) -> Result<Vec<(Uuid, String)>, Error> {
    const DEEPEST: usize = 50;
    let (mut above, mut at) = (Vec::new(), department);
    let Some(def) = app.schema.find("core.department") else { return Ok(above) };
    while let Some(here) = at.filter(|_| above.len() < DEEPEST) {
        let Some(cells) = tx.load(def, &[here], Lock::None)?.pop().flatten() else { break };
        above.push((here, text(def, &cells, "name").unwrap_or_default()));
        at = id(def, &cells, "parent");
    }
    Ok(above)
}

/// Reads a person; none where there is no such active user.
pub(crate) fn person_in(tx: &Tx, app: &Published, user: Uuid) -> Result<Option<Person>, Error> {
    let Some(def) = app.schema.find("core.user") else { return Ok(None) };
    let Some(cells) = tx.load(def, &[user], Lock::None)?.pop().flatten().filter(|cells| is_live(def, cells)) else { return Ok(None) };
    if def.slot("active").and_then(|slot| cells.get(slot)).and_then(Value::as_bool) == Some(false) {
        return Ok(None);
    }
    let roles: Vec<String> = def
        .slot("roles")
        .and_then(|slot| cells.get(slot))
        .map_or(&[][..], Value::items)
        .iter()
        .filter_map(Value::as_text)
        .map(str::to_owned)
        .collect();
    let department = id(def, &cells, "department");
    let reports = match def.tree {
        Some(tree) => tx.descendants(def, tree, user)?.into_iter().filter(|other| *other != user).collect(),
        None => Vec::new(),
    };
    let mut departments_below = Vec::new();
    if let (Some(department), Some(departments)) = (department, app.schema.find("core.department")) {
        departments_below.push(department);
        if let Some(tree) = departments.tree {
            departments_below.extend(tx.descendants(departments, tree, department)?.into_iter().filter(|other| *other != department));
        }
    }
    let departments_above = departments_above(tx, app, department)?;
    let zone = text(def, &cells, "time_zone").and_then(|name| name.parse().ok()).unwrap_or(app.zone);
    Ok(Some(Person {
        id: user,
        admin: roles.iter().any(|role| role == ADMIN),
        roles,
        reports,
        department,
        departments_below,
        departments_above,
        locale: text(def, &cells, "locale").unwrap_or_else(|| "en".to_owned()),
        zone,
        cells,
    }))
}

/// Whether a record of `core.user` is a person who may sign in and administers; false of any other record.
pub(crate) fn administers(def: &EntityDef, cells: &Cells) -> bool {
    let cell = |name: &str| def.slot(name).and_then(|slot| cells.get(slot));
    def.name.as_str() == "core.user"
        && cell("active").and_then(Value::as_bool) != Some(false)
        && cell("roles").map_or(&[][..], Value::items).iter().any(|role| role.as_text() == Some(ADMIN))
}

/// Whether somebody but these people administers.
pub(crate) fn others_administer(w: &Writer<'_>, but: &[Uuid]) -> Result<bool, Error> {
    let Some(def) = w.app.schema.find("core.user") else { return Ok(true) };
    // Two administrators who leave at once would each count the other.
    w.tx.lock_key("administrators")?;
    let leaf = |name: &str, test: Test, negated: bool| {
        let field = def.find(name)?;
        Some(Predicate::Leaf(Leaf { path: Path::own(def.id, field.id), column: Column::Slot(field.slot()?), test, negated }))
    };
    let leaves = [leaf("roles", Test::Has(Value::text(ADMIN)), false), leaf("active", Test::Equal(Value::Bool(false)), true)];
    let predicate = Predicate::all(leaves.into_iter().flatten().collect());
    let limit = u32::try_from(but.len()).unwrap_or(u32::MAX).saturating_add(1);
    let query = Select { limit, slots: def.slot("id").into_iter().collect(), ..Select::of(def.id, predicate, Binned::Live) };
    let found = w.tx.select(&w.app.schema, &query)?;
    Ok(found.iter().any(|row| !id(def, &row.cells, "id").is_some_and(|id| but.contains(&id))))
}

/// Rights that were compiled under one revision, each with the facts that it was compiled from.
#[derive(Debug, Default)]
pub(crate) struct Compiled(parking_lot::Mutex<HashMap<Uuid, Rights>>);

/// A person as they were, and what they could do.
type Rights = (Arc<Person>, Arc<Grants>);

/// People whose rights are remembered.
const MOST: usize = 10_000;

/// The rights of a person. They are compiled once for the same facts: within a transaction, too, where the facts may be newer
/// than what others know.
pub(crate) fn rights_of(app: &Published, person: &Arc<Person>, now: chrono::DateTime<chrono::Utc>) -> Arc<Grants> {
    if person.admin {
        return Arc::clone(&app.all_grants);
    }
    if let Some((_, grants)) = app.rights.0.lock().get(&person.id).filter(|(known, _)| known == person) {
        return Arc::clone(grants);
    }
    let grants = Arc::new(grants(app, person, now));
    if !grants.uses_clock() {
        let mut known = app.rights.0.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(person.id, (Arc::clone(person), Arc::clone(&grants)));
    }
    grants
}

fn grants(app: &Published, person: &Person, now: chrono::DateTime<chrono::Utc>) -> Grants {
    let mut names: Vec<&str> = vec![EVERYONE];
    if !person.roles.is_empty() {
        names.push(COLLABORATOR);
    }
    names.extend(person.roles.iter().map(String::as_str));
    let roles: Vec<(&str, &model::doc::Role)> = names
        .into_iter()
        .filter_map(|name| {
            let (app_name, role) = name.split_once('.')?;
            Some((app_name, app.app(app_name)?.roles.get(role)?))
        })
        .collect();
    let params = Params {
        me: Some(person.id),
        me_cells: Some(&person.cells),
        departments_below: &person.departments_below,
        reports: &person.reports,
        now,
        zone: app.zone,
        record: None,
        settings: app.settings_of("core"),
        working: Some(app),
    };
    Grants::compile(&app.schema, app.graph.sources(), &roles, &params)
}
