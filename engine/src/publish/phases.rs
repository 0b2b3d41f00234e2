//! In charge of the three phases of a publish: expand, fill, switch.
//! Reading order: `Engine::switch_over`; then `Expanding` (what is added), `Engine::fill_beside` (slices), `switch`.
//! Invariant: nobody waits longer than for one slice; what is small is done in the one transaction of the switch.
//! Invariant: until the switch the former revision is whole; a publish that stops halfway leaves a note of what it added.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use model::{Diagnostic, EntityId, FieldId, Value};
use rules::query::Predicate;
use serde_json::Value as Json;
use store::system::change;
use store::system::revision::{PUBLISHING, SETTING};
use store::{Binned, Fault, Leftover, Plan, Step, Tx};
use uuid::Uuid;

use super::fill::Fillings;
use super::follow::follow;
use super::places::{self, Moving, Targets};
use super::{Apps, Wishes, documents, newest_revision, record, settings_of};
use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::published::Published;
use crate::records::slice::Writer;

/// Records that are filled in the transaction of the switch: what fits in a tenth of a second.
const FEW: u64 = 250;
/// How long a slice goes on looking for more: with its last page and its commit it takes no longer than 20 ms.
const SLICE: Duration = Duration::from_millis(12);
/// Changes that are followed in one slice.
const FOLLOWED: u32 = 20;
/// Changes that may be left for the switch.
const LEFT: usize = 10;
/// Rounds of following; a workspace that changes faster than it can be followed is switched with what is left.
const ROUNDS: usize = 500;
/// Chains of roll-ups are 8 long at most, with formulas between.
const PASSES: usize = 10;

/// One publish on its way.
struct Going {
    id: Uuid,
    context: Ctx,
    old: Arc<Published>,
    new: Arc<Published>,
    fillings: Arc<Fillings>,
    /// The change log's end before anything was filled.
    mark: i64,
}

/// Values that could not be converted: how many, by field.
type Lost = BTreeMap<(EntityId, FieldId), u64>;

/// Approvals that run keep what they began with, to their end.
fn nothing_taken_away(tx: &Tx, old: &Published, new: &Published) -> Result<(), Error> {
    let faults = crate::approvals::taken_away(tx, old, new)?;
    if faults.is_empty() { Ok(()) } else { Err(Error::Documents(faults)) }
}

/// What the switch does beside filling what is left.
struct Ending {
    is_filled: bool,
    now: DateTime<Utc>,
    by: Option<Uuid>,
    note: String,
    moving: Vec<Moving>,
}

impl Engine {
    /// Makes `apps` the current revision: its number, and what became of values.
    pub(super) async fn switch_over(&self, cx: &Ctx, base: &Arc<Published>, apps: Apps, wishes: &Wishes) -> Result<(i64, Vec<Diagnostic>), Error> {
        let (newest, settings) =
            self.store().read(|tx| Ok::<_, Error>((newest_revision(tx)?, settings_of(&tx.find(&SETTING, &[], &[], 10_000)?)))).await?;
        let documents = documents(&apps.packages);
        let mut layout = model::schema::next_layout(&documents, &base.layout, &rules::expr::is_on_read).map_err(Error::Documents)?;
        let key = self.sealing();
        let compiled = |layout| {
            let published = Published::compile(newest + 1, &documents, layout, &settings, &key).map_err(Error::Documents)?;
            Ok::<_, Error>(Arc::new(published.with_apps(apps.clone())))
        };
        let mut new = compiled(layout.clone())?;
        let mut fillings = Arc::new(Fillings::between(base, &new));
        let (was, is) = (Arc::clone(base), Arc::clone(&new));
        self.store().read(move |tx| nothing_taken_away(tx, &was, &is)).await?;
        let moving = self.moving(base, &new, &wishes.targets).await?;
        self.sweep_leftovers().await?;
        let is_much = self.is_much(base, &new, &fillings).await?;
        if is_much {
            let renewed: Vec<(String, String)> =
                fillings.in_use(base, &new).map(|(def, field)| (def.name.to_string(), field.name.to_string())).collect();
            for (entity, field) in &renewed {
                layout.renew(entity, field);
            }
            new = compiled(layout)?;
            fillings = Arc::new(Fillings::between(base, &new));
        }
        let context = Ctx { app: Arc::clone(&new), grants: Arc::clone(&new.all_grants), caller: cx.caller.clone(), ..self.system() };
        let mut going = Going { id: context.new_id(), context, old: Arc::clone(base), new, fillings, mark: 0 };
        going.mark = self.expand(&going, &wishes.note).await?;
        let mut lost = if is_much { self.fill_beside(&mut going).await? } else { Lost::new() };
        let ending = Ending { is_filled: is_much, now: self.now(), by: cx.caller.user(), note: wishes.note.clone(), moving };
        let going = Arc::new(going);
        let last = Arc::clone(&going);
        lost.extend(self.store().restructure(move |tx| switch(tx, &last, &ending)).await?);
        self.take_up().await?;
        self.store().write(|tx| Ok::<_, Error>(tx.analyse()?)).await?;
        Ok((going.new.revision, lost_values(&going.new, &lost)))
    }

    /// Where records go whose stage or option goes.
    async fn moving(&self, base: &Arc<Published>, new: &Arc<Published>, targets: &Targets) -> Result<Vec<Moving>, Error> {
        let (old, new, targets) = (Arc::clone(base), Arc::clone(new), targets.clone());
        self.store().read(move |tx| places::plan(tx, &old, &new, &targets)).await
    }

    /// Whether there is more to do than one transaction should hold.
    async fn is_much(&self, base: &Arc<Published>, new: &Arc<Published>, fillings: &Arc<Fillings>) -> Result<bool, Error> {
        let (old, new, fillings) = (Arc::clone(base), Arc::clone(new), Arc::clone(fillings));
        self.store()
            .read(move |tx| {
                let indexed: Vec<String> = Plan::of(tx, &new.schema)?.indexes.iter().filter_map(table_of).map(str::to_owned).collect();
                let mut rows = 0;
                for def in &new.schema.entities {
                    let Some(was) = old.schema.find(def.name.as_str()) else { continue };
                    if indexed.contains(&def.table) || fillings.of.iter().any(|filling| filling.entity == def.id) {
                        rows += tx.count(&old.schema, was.id, &Predicate::True, Binned::Any, None)?;
                    }
                }
                Ok::<_, Error>(rows > FEW)
            })
            .await
    }

    /// Adds tables and columns beside running work, which does not see them; the end of the change log before.
    async fn expand(&self, going: &Going, note: &str) -> Result<i64, Error> {
        let (id, new, now, note) = (going.id, Arc::clone(&going.new), self.now(), note.to_owned());
        self.store()
            .restructure(move |tx| {
                tx.lock_key("publish")?;
                let plan = Plan::of(tx, &new.schema)?;
                let added: Vec<Leftover> = plan.expand.iter().chain(&plan.indexes).filter_map(Step::adds).collect();
                for step in &plan.expand {
                    tx.apply(step)?;
                }
                let added = serde_json::to_value(added).map_err(|error| Error::Internal(error.to_string()))?;
                tx.put(&PUBLISHING, &[vec![Value::Uuid(id), Value::Timestamp(now), Value::text(&note), Value::Json(Arc::new(added))]])?;
                Ok::<_, Error>(tx.newest_change()?)
            })
            .await
    }

    /// Fills slice by slice while others write, then follows what they wrote; the values that could not be converted.
    async fn fill_beside(&self, going: &mut Going) -> Result<Lost, Error> {
        let mut lost = Lost::new();
        for pass in 0..PASSES {
            let mut changed = false;
            for place in 0..going.fillings.of.len() {
                changed |= self.fill_entity(going, place, (pass == 0).then_some(&mut lost)).await?;
            }
            if !changed || !going.fillings.chained {
                break;
            }
        }
        for step in self.missing_indexes(going).await? {
            self.store().build_index(&step).await.map_err(|fault| not_unique(&going.new, &step, fault))?;
        }
        for _ in 0..ROUNDS {
            let (mark, followed) = self.slice(going, |w, going| follow(w, &going.old, &going.fillings, going.mark, FOLLOWED)).await?;
            going.mark = mark;
            if followed <= LEFT {
                break;
            }
        }
        Ok(lost)
    }

    async fn fill_entity(&self, going: &Going, place: usize, mut lost: Option<&mut Lost>) -> Result<bool, Error> {
        let (mut after, mut changed) = (None, false);
        loop {
            let begin: Option<Vec<Value>> = after.take();
            let (pages, next) = self
                .slice(going, move |w, going| {
                    let began = Instant::now();
                    let (mut pages, mut after) = (Vec::new(), begin.clone());
                    loop {
                        let Some(filling) = going.fillings.of.get(place) else { return Ok((pages, None)) };
                        let mut page = filling.page(w, &going.old, after)?;
                        after = page.next.take();
                        pages.push((filling.entity, page));
                        if after.is_none() || began.elapsed() >= SLICE {
                            return Ok((pages, after));
                        }
                    }
                })
                .await?;
            for (entity, page) in pages {
                changed |= page.changed;
                if let Some(lost) = &mut lost {
                    note_lost(lost, entity, page.lost);
                }
            }
            if next.is_none() {
                return Ok(changed);
            }
            after = next;
        }
    }

    /// One slice of filling; it ends where another publish took over.
    async fn slice<T: Send + 'static>(
        &self,
        going: &Going,
        work: impl Fn(&Writer<'_>, &Going) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let going = going.share();
        self.store()
            .write(move |tx| {
                tx.share_key("publish")?;
                own(tx, going.id)?;
                let writer = Writer::filling(&going.context, tx, &going.fillings.fresh);
                work(&writer, &going)
            })
            .await
    }

    /// The indexes that are not there, those that refuse something last.
    async fn missing_indexes(&self, going: &Going) -> Result<Vec<Step>, Error> {
        let new = Arc::clone(&going.new);
        let mut steps = self.store().read(move |tx| Ok::<_, Error>(Plan::of(tx, &new.schema)?.indexes)).await?;
        steps.retain(|step| matches!(step, Step::CreateIndex { .. }));
        steps.sort_by_key(|step| matches!(step, Step::CreateIndex { unique: true, .. }));
        Ok(steps)
    }

    /// Removes what unfinished publishes left; what it was.
    ///
    /// # Errors
    /// Where the store could not.
    pub async fn sweep_leftovers(&self) -> Result<Vec<String>, Error> {
        if self.leftovers().await?.is_empty() {
            return Ok(Vec::new());
        }
        self.store()
            .restructure(|tx| {
                tx.lock_key("publish")?;
                let mut swept = Vec::new();
                for row in tx.find(&PUBLISHING, &[], &[("id", false)], 1_000)? {
                    let mut added = added_by(&row);
                    // An index goes before the column that it is on.
                    added.sort_by_key(|leftover| !matches!(leftover, Leftover::Index(_)));
                    for leftover in &added {
                        tx.remove_leftover(leftover)?;
                        swept.push(leftover.to_string());
                    }
                }
                tx.remove(&PUBLISHING, &[])?;
                Ok::<_, Error>(swept)
            })
            .await
    }

    /// What unfinished publishes left, each with when it began.
    ///
    /// # Errors
    /// Where the store could not.
    pub async fn leftovers(&self) -> Result<Vec<(DateTime<Utc>, Vec<String>)>, Error> {
        let rows = self.store().read(|tx| Ok::<_, Error>(tx.find(&PUBLISHING, &[], &[("id", false)], 1_000)?)).await?;
        let read = |row: &Vec<Value>| Some((row.get(1)?.as_timestamp()?, added_by(row).iter().map(ToString::to_string).collect()));
        Ok(rows.iter().filter_map(read).collect())
    }
}

impl Going {
    fn share(&self) -> Arc<Self> {
        Arc::new(Self {
            id: self.id,
            context: self.context.clone(),
            old: Arc::clone(&self.old),
            new: Arc::clone(&self.new),
            fillings: Arc::clone(&self.fillings),
            mark: self.mark,
        })
    }
}

fn added_by(row: &[Value]) -> Vec<Leftover> {
    match row.get(3) {
        Some(Value::Json(json)) => serde_json::from_value(Json::clone(json)).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// That the publish is still the one that is under way.
fn own(tx: &Tx, id: Uuid) -> Result<(), Error> {
    let rows = tx.find(&PUBLISHING, &[store::system::Cond::Eq("id", Value::Uuid(id))], &[], 1)?;
    if rows.is_empty() { Err(Error::Store(Fault::Busy)) } else { Ok(()) }
}

fn table_of(step: &Step) -> Option<&str> {
    match step {
        Step::CreateIndex { table, .. } => Some(table),
        Step::CreateTable { .. } | Step::AddColumn { .. } | Step::CreateLinks { .. } | Step::DropIndex { .. } => None,
    }
}

/// What is left to fill, the revision and the pointer: all or nothing.
fn switch(tx: &Tx, going: &Going, ending: &Ending) -> Result<Lost, Error> {
    tx.lock_key("publish")?;
    tx.lock_revision(true)?;
    own(tx, going.id)?;
    if tx.revision()? != going.old.revision {
        return Err(Error::Store(Fault::Busy));
    }
    // Nobody writes now: one that began meanwhile is seen.
    nothing_taken_away(tx, &going.old, &going.new)?;
    let writer = Writer::filling(&going.context, tx, &going.fillings.fresh);
    let mut lost = Lost::new();
    if ending.is_filled {
        // Nobody writes now: what was committed gets its number, and all of it is followed.
        change::number(tx)?;
        let mut mark = going.mark;
        loop {
            let (next, followed) = follow(&writer, &going.old, &going.fillings, mark, 1_000)?;
            mark = next;
            if followed == 0 {
                break;
            }
        }
    } else if !going.fillings.is_empty() {
        lost = fill_all(&writer, going)?;
    }
    for def in &going.new.schema.entities {
        // What was there before its flow was not submitted.
        let Some(was) = going.old.schema.find(def.name.as_str()) else { continue };
        let of_flows = def.fields.iter().filter(|field| field.system && (field.flow.is_some() || field.name.as_str() == "approval_state"));
        for field in of_flows.filter(|field| was.find(field.name.as_str()).is_none()) {
            tx.fill_empty(def, field.name.as_str(), &Value::text("none"))?;
        }
    }
    for step in &Plan::of(tx, &going.new.schema)?.indexes {
        tx.apply(step).map_err(|fault| not_unique(&going.new, step, fault))?;
    }
    for moving in &ending.moving {
        moving.run(&going.context, tx)?;
    }
    super::retired::published(&going.context, tx, &going.old, &going.new)?;
    crate::clocks::timers::published(&going.context, tx, &going.old, &going.new)?;
    crate::automations::schedule::published(&going.context, tx, &going.new)?;
    record(tx, &going.new, ending.now, ending.by, &ending.note)?;
    tx.remove(&PUBLISHING, &[])?;
    Ok(lost)
}

fn fill_all(w: &Writer<'_>, going: &Going) -> Result<Lost, Error> {
    let mut lost = Lost::new();
    for pass in 0..PASSES {
        let mut changed = false;
        for filling in &going.fillings.of {
            let mut after = None;
            loop {
                let page = filling.page(w, &going.old, after)?;
                changed |= page.changed;
                if pass == 0 {
                    note_lost(&mut lost, filling.entity, page.lost);
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        if !changed || !going.fillings.chained {
            break;
        }
    }
    Ok(lost)
}

fn note_lost(lost: &mut Lost, entity: EntityId, fields: Vec<FieldId>) {
    for field in fields {
        *lost.entry((entity, field)).or_default() += 1;
    }
}

/// Records that agree in what is to be unique are a fault of the document that asks for it, not of the database.
fn not_unique(new: &Published, step: &Step, fault: Fault) -> Error {
    let (Step::CreateIndex { table, columns, .. }, Fault::Unique(_)) = (step, &fault) else { return Error::Store(fault) };
    let Some(def) = new.schema.entities.iter().find(|def| def.table == *table) else { return Error::Store(fault) };
    let column = columns.first().and_then(|(name, _)| def.columns.iter().find(|column| column.name == *name));
    let Some(field) = column.map(|column| def.field(column.field)) else { return Error::Store(fault) };
    let at = format!("/{}/entities/{}/fields/{}/unique", field.app, def.name.bare(), field.name);
    let message = format!("records of `{}` that are there already agree in `{}`: make them differ first", def.name, field.name);
    Error::Documents(vec![Diagnostic::error(at, message)])
}

fn lost_values(new: &Published, lost: &Lost) -> Vec<Diagnostic> {
    let told = lost.iter().map(|((entity, field), count)| {
        let def = new.schema.entity(*entity);
        let field = def.field(*field);
        let at = format!("/{}/entities/{}/fields/{}/kind", field.app, def.name.bare(), field.name);
        Diagnostic::warning(at, format!("{count} values could not be converted and are empty now; a roll-back brings them back"))
    });
    told.collect()
}
