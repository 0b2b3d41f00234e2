//! In charge of `assign`: a record gets an owner, by rule, in turn, by load or by weight, or goes to a pool.
//! Invariant: whose turn it is, is a counter in the transaction: a step that is undone has not used a turn.

use model::{EntityId, Value};
use rules::condition::CompiledCondition;
use rules::query::{Column, Leaf, Path, Predicate, Test, TypedFilter};
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Map, Value as Json, json};
use store::Binned;
use uuid::Uuid;

use super::{Action, After, StepKind};
use crate::automations::compile::Compiling;
use crate::automations::people::Who;
use crate::automations::running::{Hand, Running, held, nothing_there};
use crate::error::Error;
use crate::records::accept::set_cells;
use crate::records::{Submission, Written};

/// `assign`.
pub(super) struct Assign;

#[derive(Debug)]
struct Assigning {
    /// The first that holds and leads to somebody.
    rules: Vec<Rule>,
    owner: model::FieldId,
}

/// `{"name": "large", "if": …, "to": {"role": "rep"}, "by": "least_loaded"}`.
#[derive(Debug)]
struct Rule {
    /// What the history of runs calls it: its name, or its place.
    name: String,
    condition: Option<CompiledCondition>,
    to: To,
    by: By,
    /// What counts as load; everything that is not over where absent.
    load: Option<TypedFilter>,
}

/// Where a record goes; closed.
#[derive(Debug)]
enum To {
    People(Vec<Who>),
    /// Nobody's: whoever may claims it from the pool.
    Pool(String),
}

/// How one of several is chosen; closed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum By {
    RoundRobin,
    LeastLoaded,
    /// In proportion to a number field of the person.
    Weighted(model::FieldId),
}

impl StepKind for Assign {
    fn name(&self) -> &'static str {
        "assign"
    }

    fn compile(&self, c: &mut Compiling<'_>, about: Option<EntityId>, settings: &Map<String, Json>, at: &str) -> Option<Box<dyn Action>> {
        let Some(owner) = about.and_then(|entity| c.def(entity).find("owner")).map(|field| field.id) else {
            c.fault(at, "only a record that has an owner can be assigned");
            return None;
        };
        let mut rules = Vec::new();
        for (index, rule) in settings.get("rules").and_then(Json::as_array).into_iter().flatten().enumerate() {
            let at = format!("{at}/rules/{index}");
            let condition = rule.get("if");
            let compiled = c.json_condition(about, condition, &format!("{at}/if"));
            if condition.is_some() && compiled.is_none() {
                continue;
            }
            if let Some(to) = to(c, rule.get("to"), &format!("{at}/to")) {
                let name = rule.get("name").and_then(Json::as_str).map_or_else(|| (index + 1).to_string(), str::to_owned);
                let own = rule.as_object().unwrap_or(settings);
                let (by, load) = chosen(c, about, own, settings, &at)?;
                rules.push(Rule { name, condition: compiled, to, by, load });
            }
        }
        for key in ["to", "else"] {
            if let Some(to) = to(c, settings.get(key), &format!("{at}/{key}")) {
                let (by, load) = chosen(c, about, settings, settings, at)?;
                rules.push(Rule { name: key.to_owned(), condition: None, to, by, load });
            }
        }
        Some(Box::new(Assigning { rules, owner }))
    }
}

/// How one of several is chosen: as the rule says, else as the step does.
fn chosen(
    c: &mut Compiling<'_>,
    about: Option<EntityId>,
    rule: &Map<String, Json>,
    step: &Map<String, Json>,
    at: &str,
) -> Option<(By, Option<TypedFilter>)> {
    let setting = |key: &str| rule.get(key).or_else(|| step.get(key));
    let by = match setting("by").and_then(Json::as_str) {
        None | Some("round_robin") => By::RoundRobin,
        Some("least_loaded") => By::LeastLoaded,
        Some("weighted") => {
            let field = setting("weight").and_then(Json::as_str).and_then(|name| c.def(c.nobody()).find(name)).map(|field| field.id);
            match field {
                Some(field) => By::Weighted(field),
                None => {
                    c.fault(format!("{at}/weight"), "`weight` names a number field of core.user");
                    return None;
                }
            }
        }
        Some(other) => {
            c.fault(format!("{at}/by"), format!("`{other}` is none of round_robin, least_loaded, weighted"));
            return None;
        }
    };
    let load = match (setting("load"), about) {
        (Some(filter), Some(entity)) => Some(c.filter(entity, filter, &format!("{at}/load"))?),
        _ => None,
    };
    Some((by, load))
}

fn to(c: &mut Compiling<'_>, json: Option<&Json>, at: &str) -> Option<To> {
    let json = json?;
    match json.get("pool").and_then(Json::as_str) {
        Some(pool) => Some(To::Pool(pool.to_owned())),
        None => Some(To::People(c.people(Some(json), at))),
    }
}

impl Action for Assigning {
    fn run(&self, running: &Running<'_>, about: Option<Hand>) -> Result<After, Error> {
        let hand = about.ok_or_else(nothing_there)?;
        for rule in &self.rules {
            let holds = match &rule.condition {
                None => true,
                Some(condition) => {
                    running.on_scope(Some(&hand), |scope| condition.holds(scope))?.map_err(|fault| Error::Internal(fault.to_string()))?
                }
            };
            if !holds {
                continue;
            }
            let chosen = match &rule.to {
                To::Pool(pool) => {
                    self.give(running, &hand, None)?;
                    return Ok(After::next(json!({"rule": rule.name, "pool": pool})));
                }
                To::People(people) => {
                    let found = running.find_people(people)?.people;
                    self.choose(running, rule, &hand, active(running, found)?)?
                }
            };
            // A rule that leads to nobody passes the record on to the next.
            if let Some(person) = chosen {
                self.give(running, &hand, Some(person))?;
                let user = running.cx.app.schema.find("core.user").map_or(EntityId(0), |def| def.id);
                return Ok(After::next(json!({"rule": rule.name, "owner": person})).saving(held(running.cx, user, person)));
            }
        }
        Ok(After::next(json!({"owner": null})))
    }
}

fn active(running: &Running<'_>, people: Vec<Uuid>) -> Result<Vec<Uuid>, Error> {
    let mut kept = Vec::new();
    for id in people {
        if !kept.contains(&id) && crate::people::person_in(running.tx, &running.cx.app, id)?.is_some() {
            kept.push(id);
        }
    }
    Ok(kept)
}

impl Assigning {
    fn give(&self, running: &Running<'_>, hand: &Hand, person: Option<Uuid>) -> Result<Option<Written>, Error> {
        if let Some(in_hand) = running.in_hand.filter(|_| running.record.as_ref().is_some_and(|own| own.id == hand.id)) {
            let def = running.cx.app.schema.entity(hand.entity);
            let mut in_hand = in_hand.borrow_mut();
            set_cells(def, def.field(self.owner), person.map(Value::Uuid).into_iter().collect(), &mut in_hand.cells);
            in_hand.set.insert(self.owner);
            return Ok(None);
        }
        let owner = person.map_or(model::Input::Null, |id| model::Input::Text(id.to_string()));
        let values = [("owner".to_owned(), owner)].into_iter().collect();
        running.write(hand.entity, Submission::Update { id: hand.id, version: None, values }).map(Some)
    }

    fn choose(&self, running: &Running<'_>, rule: &Rule, hand: &Hand, people: Vec<Uuid>) -> Result<Option<Uuid>, Error> {
        if people.len() < 2 {
            return Ok(people.first().copied());
        }
        // Whose turn it is, each rule counts for itself.
        let key = format!("turn:{}:{}:{}", running.plan.name, running.step, rule.name);
        match &rule.by {
            By::RoundRobin => in_turn(running, &key, &people),
            By::LeastLoaded => {
                let mut least: Option<(u64, Uuid)> = None;
                for person in people {
                    let load = self.load_of(running, rule, hand.entity, person)?;
                    if least.is_none_or(|(there, _)| load < there) {
                        least = Some((load, person));
                    }
                }
                Ok(least.map(|(_, person)| person))
            }
            By::Weighted(field) => {
                let mut weighted = Vec::new();
                for person in people {
                    let cells = running.writer.reader.read(running.cx.app.schema.find("core.user").map_or(EntityId(0), |def| def.id), person)?;
                    let weight = cells.and_then(|cells| {
                        let def = running.cx.app.schema.find("core.user")?;
                        def.field(*field).cells(&cells).first().and_then(Value::as_decimal).and_then(|number| number.to_u32())
                    });
                    weighted.push((person, u64::from(weight.unwrap_or_default()).min(HEAVIEST)));
                }
                by_weight(running, &key, &weighted)
            }
        }
    }

    fn load_of(&self, running: &Running<'_>, rule: &Rule, entity: EntityId, person: Uuid) -> Result<u64, Error> {
        let schema = &running.cx.app.schema;
        let def = schema.entity(entity);
        let Some(slot) = def.field(self.owner).slot() else { return Ok(0) };
        let own = Leaf { path: Path::own(entity, self.owner), column: Column::Slot(slot), test: Test::Equal(Value::Uuid(person)), negated: false };
        let open = match &rule.load {
            Some(filter) => running.on_scope(None, |scope| filter.bind(schema, &scope.placeholders()))?,
            None => open(running, entity),
        };
        Ok(running.tx.count(schema, entity, &Predicate::all(vec![Predicate::Leaf(own), open]), Binned::Live, None)?)
    }
}

/// The records that are not over: in a stage that is open or waits; all where there are no stages.
fn open(running: &Running<'_>, entity: EntityId) -> Predicate {
    use model::doc::StageKind;
    let plan = running.cx.app.plan(entity);
    let def = running.cx.app.schema.entity(entity);
    let parts = plan.stages.iter().filter_map(|stages| {
        let names = stages.pipelines.values().flat_map(|pipeline| pipeline.doc.stages.iter());
        let open = names.filter(|(_, stage)| matches!(stage.kind, StageKind::Open | StageKind::Waiting));
        let open = open.map(|(name, _)| Value::text(name.as_str())).collect();
        let leaf = Leaf {
            path: Path::own(entity, stages.field),
            column: Column::Slot(def.field(stages.field).slot()?),
            test: Test::In(open),
            negated: false,
        };
        Some(Predicate::Leaf(leaf))
    });
    Predicate::all(parts.collect())
}

/// The next of several whose turn it is.
pub(crate) fn in_turn(running: &Running<'_>, key: &str, people: &[Uuid]) -> Result<Option<Uuid>, Error> {
    let turn = running.tx.next_number(key)?;
    let index = usize::try_from(turn - 1).unwrap_or_default() % people.len().max(1);
    Ok(people.get(index).copied())
}

/// The largest weight: a round has as many turns as all weights together.
const HEAVIEST: u64 = 1_000;

/// The next of several, each as often as its weight says, spread as evenly as may be.
fn by_weight(running: &Running<'_>, key: &str, people: &[(Uuid, u64)]) -> Result<Option<Uuid>, Error> {
    let total: u64 = people.iter().map(|(_, weight)| weight).sum();
    if total == 0 {
        return in_turn(running, key, &people.iter().map(|(person, _)| *person).collect::<Vec<_>>());
    }
    let turn = u64::try_from(running.tx.next_number(key)? - 1).unwrap_or_default() % total;
    Ok(spread(people, turn))
}

/// Who has the turn of this number in a round: whoever is furthest behind their share goes first.
fn spread(people: &[(Uuid, u64)], turn: u64) -> Option<Uuid> {
    let total: i128 = people.iter().map(|(_, weight)| i128::from(*weight)).sum();
    let mut behind: Vec<i128> = vec![0; people.len()];
    let mut chosen = None;
    for _ in 0..=turn {
        for (share, (_, weight)) in behind.iter_mut().zip(people) {
            *share += i128::from(*weight);
        }
        let index = (0..behind.len()).max_by_key(|index| (behind.get(*index).copied(), std::cmp::Reverse(*index)))?;
        if let Some(share) = behind.get_mut(index) {
            *share -= total;
        }
        chosen = people.get(index).map(|(person, _)| *person);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_kept_and_spread() {
        let people = [(Uuid::from_u128(1), 3), (Uuid::from_u128(2), 1), (Uuid::from_u128(3), 0)];
        let round: Vec<u128> = (0..4).filter_map(|turn| spread(&people, turn)).map(|id| id.as_u128()).collect();
        assert_eq!(round, [1, 1, 2, 1]);
    }
}
