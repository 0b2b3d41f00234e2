//! In charge of public pools: records without an owner that people claim, hold within limits, give back and lose again.
//! Reading order: `PoolPlan` (a pool, compiled), `sight` (what its people see of it), `held` and `watch` (what follows from a
//! write); then `verbs` (claim, release, protect), `recycle` (what brings records back).
//! Invariant: a record is in a pool exactly while it has no owner and `belongs` covers it; nothing else is kept of that.
//! Invariant: a pool adds sight of what lies in it, never of what somebody owns, and takes none away that a role gives.
//! Invariant: owners change through the one write path, under the locks that bind everybody.

use std::sync::Arc;

use model::doc::{Pool, PoolPeople, PoolSight, ReleaseReason};
use model::{Cells, Diagnostic, EntityDef, EntityId, FieldDef, FieldId, Filter, Name, Schema, Value};
use rules::clock::ClockPlan;
use rules::expr::same_text;
use rules::query::{Column, Leaf, Path, Predicate, SystemView, Test, TypedFilter};
use serde_json::{Value as Json, json};
use store::Tx;
use store::system::holding::{self, Passing};
use uuid::Uuid;

use crate::ctx::{Caller, Ctx};
use crate::error::Error;
use crate::published::Published;
use crate::records::lookup::{Reader, is_live};
use crate::records::slice::Writer;

pub(crate) mod recycle;
mod verbs;

pub use verbs::{PoolAsk, PoolDeed};

/// Ways to reach somebody: masked until a record is claimed.
const REACHES: [&str; 4] = ["phone", "email", "address", "geo"];

/// A pool, compiled.
#[derive(Debug)]
pub struct PoolPlan {
    /// Its qualified name.
    pub name: String,
    /// The app that it is of.
    pub app: String,
    /// The document.
    pub doc: Pool,
    /// Its entity.
    pub entity: EntityId,
    belongs: Option<TypedFilter>,
    /// Of what a person owns, what counts.
    counted: Option<TypedFilter>,
    exempt: Option<TypedFilter>,
}

/// The pools of a workspace.
#[derive(Debug, Default)]
pub struct Pools(Vec<Arc<PoolPlan>>);

impl Pools {
    /// Compiles all pools.
    pub(crate) fn compile(schema: &Schema, faults: &mut Vec<Diagnostic>) -> Self {
        let mut pools = Vec::new();
        for (app, documents) in &schema.apps {
            for (name, doc) in &documents.pools {
                pools.extend(PoolPlan::compile(schema, app, name, doc, faults).map(Arc::new));
            }
        }
        Self(pools)
    }

    /// The pools of an entity.
    pub fn of(&self, entity: EntityId) -> impl Iterator<Item = &Arc<PoolPlan>> {
        self.0.iter().filter(move |pool| pool.entity == entity)
    }

    /// The pool of an entity called `name`, bare or qualified.
    #[must_use]
    pub fn named(&self, entity: EntityId, name: &str) -> Option<&Arc<PoolPlan>> {
        self.of(entity).find(|pool| pool.name == name || pool.name.split_once('.').is_some_and(|(_, bare)| bare == name))
    }

    fn has(&self, entity: EntityId) -> bool {
        self.of(entity).next().is_some()
    }
}

impl PoolPlan {
    fn compile(schema: &Schema, app: &Name, name: &Name, doc: &Pool, faults: &mut Vec<Diagnostic>) -> Option<Self> {
        let def = schema.find_from(app.as_str(), &doc.entity)?;
        let mut typed = |filter: Option<&Filter>, key: &str| -> Option<Option<TypedFilter>> {
            let Some(filter) = filter else { return Some(None) };
            match TypedFilter::compile(schema, def.id, filter, &SystemView, &format!("/{app}/pools/{name}/{key}")) {
                Ok(typed) => Some(Some(typed)),
                Err(found) => {
                    faults.extend(found.into_iter().map(|fault| Diagnostic::error(fault.pointer.clone(), fault.wording.text("en"))));
                    None
                }
            }
        };
        let counted = doc.not_counted.clone().map(|filter| Filter::Not { not: std::boxed::Box::new(filter) });
        Some(Self {
            name: format!("{app}.{name}"),
            app: app.to_string(),
            entity: def.id,
            belongs: typed(doc.belongs.as_ref(), "belongs")?,
            counted: typed(counted.as_ref(), "not_counted")?,
            exempt: typed(doc.exempt.as_ref(), "exempt")?,
            doc: doc.clone(),
        })
    }

    /// Whether the caller rules it.
    #[must_use]
    pub fn is_admin(&self, cx: &Ctx) -> bool {
        cx.caller.is_admin() || self.is_one_of(cx, &self.doc.admins)
    }

    /// Whether the caller may take records of it.
    #[must_use]
    pub fn is_member(&self, cx: &Ctx) -> bool {
        self.is_admin(cx) || (self.doc.see != Some(PoolSight::None) && self.is_one_of(cx, &self.doc.members))
    }

    fn is_one_of(&self, cx: &Ctx, people: &[PoolPeople]) -> bool {
        people.iter().any(|there| match (there, &cx.caller) {
            (PoolPeople::Role(there), _) => cx.has_role(&self.app, std::slice::from_ref(&there.role)),
            (_, Caller::System) => true,
            (PoolPeople::Department(there), Caller::Person(person)) => {
                let is = |id: &Uuid, name: &str| same_text(name, &there.department) || Uuid::try_parse(&there.department) == Ok(*id);
                person.departments_above.iter().any(|(id, name)| is(id, name))
            }
            (PoolPeople::User(there), Caller::Person(person)) => {
                let email = cx.app.schema.find("core.user").and_then(|def| person.cells.get(def.slot("email")?)).and_then(Value::as_text);
                email.is_some_and(|email| same_text(email, &there.user)) || Uuid::try_parse(&there.user) == Ok(person.id)
            }
        })
    }

    /// Whether nothing is given back without saying why.
    fn asks_reason(&self) -> bool {
        self.doc.release.is_some_and(|release| release.reason == ReleaseReason::Required)
    }

    /// The records that it is about, with an owner or without.
    fn covers(&self, cx: &Ctx) -> Predicate {
        self.bound(cx, self.belongs.as_ref())
    }

    fn bound(&self, cx: &Ctx, filter: Option<&TypedFilter>) -> Predicate {
        filter.map_or(Predicate::True, |filter| filter.bind(&cx.app.schema, &cx.params(&self.app, None)))
    }

    /// The records that lie in it.
    fn free(&self, cx: &Ctx) -> Predicate {
        Predicate::all(vec![owner_leaf(cx.app.schema.entity(self.entity), Test::Empty), self.covers(cx)])
    }

    /// The records of it that count for a person.
    fn held_by(&self, cx: &Ctx, person: Uuid) -> Predicate {
        let own = owner_leaf(cx.app.schema.entity(self.entity), Test::Equal(Value::Uuid(person)));
        Predicate::all(vec![own, self.covers(cx), self.bound(cx, self.counted.as_ref())])
    }

    /// The same caller with what lies in it in sight.
    fn seen_by(&self, cx: &Ctx) -> Ctx {
        let def = cx.app.schema.entity(self.entity);
        let is_masked = !self.is_admin(cx) && self.doc.see == Some(PoolSight::Masked);
        let personal: Vec<&str> = def
            .doc
            .privacy
            .as_ref()
            .and_then(|privacy| privacy.get("person"))
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .collect();
        let reaches =
            |field: &&FieldDef| REACHES.contains(&field.doc.kind.as_str()) || field.doc.common.sensitive || personal.contains(&field.name.as_str());
        let masked: Vec<FieldId> = def.fields.iter().filter(|field| is_masked && !field.system).filter(reaches).map(|field| field.id).collect();
        let grants = cx.grants.with_sight(&cx.app.schema, cx.app.graph.sources(), self.entity, self.free(cx), &masked);
        Ctx { grants: Arc::new(grants), ..cx.clone() }
    }

    /// What people call it.
    #[must_use]
    pub fn label(&self, locale: &str) -> String {
        self.doc.label.as_ref().map_or_else(|| self.name.clone(), |label| label.get(locale).to_owned())
    }
}

fn owner_leaf(def: &EntityDef, test: Test) -> Predicate {
    match def.find("owner").and_then(|field| Some((field.id, field.slot()?))) {
        Some((field, slot)) => Predicate::Leaf(Leaf { path: Path::own(def.id, field), column: Column::Slot(slot), test, negated: false }),
        None => Predicate::False,
    }
}

fn owner_of(def: &EntityDef, cells: &Cells) -> Option<Uuid> {
    def.slot("owner").and_then(|slot| cells.get(slot)).and_then(Value::as_uuid)
}

/// The caller's facts over what lies in a pool.
///
/// # Errors
/// `NotFound` where there is no such pool for the caller.
pub(crate) fn sight_of(cx: &Ctx, entity: EntityId, pool: &str) -> Result<Ctx, Error> {
    let pool = cx.app.pools.named(entity, pool).filter(|pool| pool.is_member(cx)).ok_or(Error::NotFound)?;
    Ok(pool.seen_by(cx))
}

/// The caller's facts over a record that lies in one of their pools; none where it does not.
pub(crate) fn sight(cx: &Ctx, tx: &Tx, entity: EntityId, id: Uuid) -> Result<Option<Ctx>, Error> {
    if !cx.app.pools.has(entity) {
        return Ok(None);
    }
    let reader = Reader::new(tx, &cx.app.schema);
    let Some(cells) = reader.read(entity, id)?.filter(|cells| is_live(cx.app.schema.entity(entity), cells)) else { return Ok(None) };
    for pool in cx.app.pools.of(entity).filter(|pool| pool.is_member(cx)) {
        if rules::eval::matches(&pool.free(cx), &cx.app.schema, entity, &cells, &reader)? {
            return Ok(Some(pool.seen_by(cx)));
        }
    }
    Ok(None)
}

/// Keeps who held a record, where its owner is another now.
pub(crate) fn held(w: &Writer<'_>, def: &EntityDef, id: Uuid, before: Option<&Cells>, after: &Cells) -> Result<(), Error> {
    if !w.app.pools.has(def.id) {
        return Ok(());
    }
    let (was, is) = (before.and_then(|before| owner_of(def, before)), owner_of(def, after));
    if was == is {
        return Ok(());
    }
    let from = was.map(|owner| (owner, before.map(|before| held_since(w, def, before)).unwrap_or(w.cx.now)));
    let passing = Passing { id: w.cx.new_id(), entity: def.name.as_str(), record: id, from, to: is, at: w.cx.now };
    Ok(holding::pass(w.tx, passing, w.cx.new_id())?)
}

fn held_since(w: &Writer<'_>, def: &EntityDef, cells: &Cells) -> chrono::DateTime<chrono::Utc> {
    def.slot("owner_since").and_then(|slot| cells.get(slot)).and_then(Value::as_timestamp).unwrap_or(w.cx.now)
}

/// The pools of an entity that the caller has to do with, as an app's client sees them.
pub(crate) fn told(cx: &Ctx, entity: EntityId) -> Vec<Json> {
    let pools = cx.app.pools.of(entity).filter(|pool| pool.is_member(cx));
    pools
        .map(|pool| {
            json!({
                "name": pool.name,
                "label": pool.label(&cx.locale),
                "admin": pool.is_admin(cx),
                "see": pool.doc.see.unwrap_or(PoolSight::Read),
                "claim": pool.doc.claim,
                "protect": pool.doc.protect,
            })
        })
        .collect()
}

/// The clocks of a pool that bring records back.
fn recycling<'p>(app: &'p Published, pool: &'p PoolPlan) -> impl Iterator<Item = &'p ClockPlan> {
    let clocks = app.graph.clocks(pool.entity).iter();
    clocks.filter(|clock| pool.doc.recycle.iter().any(|rule| rule.clock == clock.name))
}

/// Whether a record is won: it stands in a stage that counts as such.
fn is_won(app: &Published, def: &EntityDef, cells: &Cells) -> bool {
    use model::doc::StageKind;
    app.plan(def.id).stages.iter().any(|stages| {
        let stage = def.field(stages.field).cells(cells).first().and_then(Value::as_text);
        let kind = stage.and_then(|stage| stages.pipeline(def, cells)?.1.doc.stages.get(stage).map(|stage| stage.kind));
        matches!(kind, Some(StageKind::Won | StageKind::Done))
    })
}

/// Whether the person is active, so that records may be given to them.
fn person_of(cx: &Ctx, tx: &Tx, id: Uuid) -> Result<Option<Ctx>, Error> {
    match &cx.caller {
        Caller::Person(person) if person.id == id => Ok(Some(cx.clone())),
        Caller::Person(_) | Caller::System => crate::people::context_in(cx, tx, id),
    }
}
