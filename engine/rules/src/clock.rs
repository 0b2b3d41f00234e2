//! In charge of clocks, compiled: what is asked of a record to know how each of its clocks stands.
//! Invariant: compiled once with the schema; every name and condition in it resolves.

use model::doc::{Clock, RestartOn, TimeSpan};
use model::field::Role;
use model::schema::{ClockDef, Via};
use model::{Diagnostic, EntityDef, EntityId, FieldId, Name, Schema};

use crate::condition::CompiledCondition;
use crate::expr::{Place, Use};
use crate::query::{Path, SystemView, resolve_path};

/// A clock of an entity.
#[derive(Clone, Debug)]
pub struct ClockPlan {
    /// Its name.
    pub name: Name,
    /// Where a record keeps its state.
    pub kept: ClockDef,
    /// The date or moment at which it starts.
    pub from: Path,
    /// When it runs; always where there is none.
    pub runs_if: Option<CompiledCondition>,
    /// When it stands still; never where there is none.
    pub pause_if: Option<CompiledCondition>,
    /// When it is met; never where there is none.
    pub met_if: Option<CompiledCondition>,
    /// How long it may take: the first that fits.
    pub limits: Vec<(Option<CompiledCondition>, TimeSpan)>,
    /// How long before its limit it warns.
    pub warn_before: Vec<TimeSpan>,
    /// The calendar that it names.
    pub calendar: Option<String>,
    /// The fields whose change starts it anew.
    pub restarted_by: Vec<FieldId>,
}

/// That records of one entity start a clock of another's anew.
#[derive(Clone, Debug)]
pub struct Restart {
    /// The entity that has the clock.
    pub entity: EntityId,
    /// Which of its clocks.
    pub clock: usize,
    /// The field that points at the record with the clock.
    pub by: FieldId,
    /// How it points.
    pub via: Via,
    /// Which records do it.
    pub which: RestartWhich,
}

/// Which records start a clock anew; closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestartWhich {
    /// Those that are added.
    Added,
    /// Activities of these types, all where there are none, at their own moment.
    Activities(Vec<String>),
    /// Tasks that are closed with a result.
    ClosedTasks,
}

/// A clock as documents say it, and where.
struct Compiling<'a> {
    schema: &'a Schema,
    def: &'a EntityDef,
    at: String,
    faults: &'a mut Vec<Diagnostic>,
}

impl ClockPlan {
    /// The clocks of an entity, in the order of its `clocks`.
    pub(crate) fn all(schema: &Schema, def: &EntityDef, faults: &mut Vec<Diagnostic>) -> Vec<Self> {
        let mut plans = Vec::new();
        for kept in &def.clocks {
            let Some(clock) = def.doc.clocks.get(&kept.name) else { continue };
            let at = format!("/{}/entities/{}/clocks/{}", def.name.app(), def.name.bare(), kept.name);
            plans.extend(Compiling { schema, def, at, faults }.clock(kept, clock));
        }
        plans
    }

    /// Whether it counts, in some limit at least, by the calendar of the owner's department.
    #[must_use]
    pub fn follows_owner(&self) -> bool {
        self.calendar.is_none() && self.limits.iter().any(|(_, within)| within.calendar().is_none())
    }

    /// What its state is made from.
    pub fn reads(&self) -> impl Iterator<Item = &Path> {
        let conditions = [&self.runs_if, &self.pause_if, &self.met_if].into_iter().flatten();
        let conditions = conditions.chain(self.limits.iter().filter_map(|(condition, _)| condition.as_ref()));
        std::iter::once(&self.from).chain(conditions.flat_map(CompiledCondition::reads))
    }
}

impl Compiling<'_> {
    fn clock(&mut self, kept: &ClockDef, clock: &Clock) -> Option<ClockPlan> {
        let from = match resolve_path(self.schema, self.def.id, &clock.from, &SystemView, "") {
            Ok(path) if path.target(self.schema).slot().is_some() => path,
            Ok(_) => {
                self.faults.push(Diagnostic::error(format!("{}/from", self.at), format!("`{}` holds no value that is kept", clock.from)));
                return None;
            }
            Err(fault) => {
                self.faults.push(Diagnostic::error(format!("{}/from", self.at), fault.wording.text("en")));
                return None;
            }
        };
        let mut limits = Vec::new();
        for (index, limit) in clock.limits.iter().enumerate() {
            let condition = match &limit.condition {
                None => None,
                Some(condition) => Some(self.condition(Some(condition), &format!("limits/{index}/if"))?),
            };
            limits.push((condition, limit.within.clone()));
        }
        let restarted_by = clock.restart_on.iter().flat_map(|event| match event {
            RestartOn::Changed(event) => event.changed.as_slice(),
            RestartOn::Activity(_) | RestartOn::Created(_) => &[],
        });
        Some(ClockPlan {
            name: kept.name.clone(),
            kept: kept.clone(),
            from,
            runs_if: self.condition(clock.runs_if.as_ref(), "runs_if"),
            pause_if: self.condition(clock.pause_if.as_ref(), "pause_if"),
            met_if: self.condition(clock.met_if.as_ref(), "met_if"),
            limits,
            warn_before: clock.warn_before.clone(),
            calendar: clock.calendar.clone(),
            restarted_by: restarted_by.filter_map(|name| self.def.find(name.as_str())).map(|field| field.id).collect(),
        })
    }

    fn condition(&mut self, condition: Option<&model::doc::Condition>, key: &str) -> Option<CompiledCondition> {
        let place = Place { app: self.def.name.app(), ..Place::of(self.schema, self.def.id, Use::Condition) };
        match CompiledCondition::compile(place, condition?) {
            Ok(compiled) => Some(compiled),
            Err(faults) => {
                let at = format!("{}/{key}", self.at);
                self.faults.extend(faults.into_iter().map(|(message, hint)| Diagnostic::error(&at, message).with_hint(hint)));
                None
            }
        }
    }
}

/// What starts the clocks of `def` anew from elsewhere: the entity of those records, and how.
pub(crate) fn restarts(schema: &Schema, def: &EntityDef) -> Vec<(EntityId, Restart)> {
    let mut found = Vec::new();
    for (clock, kept) in def.clocks.iter().enumerate() {
        let Some(doc) = def.doc.clocks.get(&kept.name) else { continue };
        for event in &doc.restart_on {
            match event {
                RestartOn::Changed(_) => {}
                RestartOn::Created(event) => {
                    if let Some(inverse) = def.inverses.get(&event.created) {
                        let restart = Restart { entity: def.id, clock, by: inverse.by, via: inverse.via, which: RestartWhich::Added };
                        found.push((inverse.entity, restart));
                    }
                }
                RestartOn::Activity(event) => {
                    let all = event.activity.iter().any(|kind| kind == "any");
                    let kinds = if all { Vec::new() } else { event.activity.clone() };
                    let sources = [("core.activity", RestartWhich::Activities(kinds)), ("core.task", RestartWhich::ClosedTasks)];
                    for (name, which) in sources.into_iter().take(if all { 2 } else { 1 }) {
                        let Some(source) = schema.find(name) else { continue };
                        let about = source.find("about").filter(|field| matches!(field.role, Role::AnyReference { .. }));
                        if let Some(about) = about {
                            found.push((source.id, Restart { entity: def.id, clock, by: about.id, via: Via::AnyColumn, which }));
                        }
                    }
                }
            }
        }
    }
    found
}
