//! In charge of flows that are drawn, and of what the machine is told beside the workspace: as little as these flows ask about.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use flow::approval::{Department, Facts, Person, Proxy, Subject, Told};
use model::Name;
use serde_json::{Map, Value as Json, json};
use tests::chance::Chance;
use uuid::Uuid;

/// A flow as a document; `people` are named by id.
pub(super) fn flow(chance: &mut Chance, people: &[Uuid]) -> Json {
    let mut steps = Map::new();
    let root = block(chance, people, &mut steps, 0);
    let lock = *chance.of(&["locked", "editable", "restart_on_change"]);
    json!({"entity": "thing", "steps": steps, "root": root, "settings": {
        "dedupe": chance.of(&["none", "consecutive", "global"]), "withdraw": chance.of(&["before_first_decision", "any_time_running"]),
        "watched": ["amount"], "revoke_within": "P30D", "lock": {"mode": lock}}})
}

fn block(chance: &mut Chance, people: &[Uuid], steps: &mut Map<String, Json>, depth: usize) -> Vec<String> {
    let count = if depth == 0 { 1 + chance.below(4) } else { chance.below(3) };
    (0..count)
        .map(|_| {
            let name = format!("s{}", steps.len());
            steps.insert(name.clone(), Json::Null);
            let step = match chance.below(if depth == 0 { 12 } else { 8 }) {
                0..=4 => asks(chance, people),
                5 => json!({"kind": "handle", "approvers": some(chance, people)}),
                6 => json!({"kind": "auto_approve"}),
                7 => json!({"kind": "delay", "for": "PT6H"}),
                _ => split(chance, people, steps, depth),
            };
            steps.insert(name.clone(), step);
            name
        })
        .collect()
}

fn some(chance: &mut Chance, people: &[Uuid]) -> Json {
    let users: Vec<Uuid> = (0..chance.below(4)).map(|_| *chance.of(people)).collect();
    json!([{"by": "user", "users": users}])
}

fn asks(chance: &mut Chance, people: &[Uuid]) -> Json {
    let mode = match chance.below(8) {
        0 => json!({"kind": "any"}),
        1 => json!({"kind": "sequential"}),
        2 => json!({"kind": "percent", "percent": 1 + chance.below(100)}),
        3 => json!({"kind": "count", "approvals": 1 + chance.below(3)}),
        4 => json!({"kind": "count", "rejections": 1 + chance.below(3)}),
        5 => json!({"kind": "claim"}),
        _ => json!({"kind": "all"}),
    };
    let timeouts = match chance.below(6) {
        0 => json!([{"after": "P1D", "do": "remind", "most": 2}]),
        1 => json!([{"after": "P2D", "do": "escalate"}]),
        2 => json!([{"after": "P2D", "do": "escalate", "replace": true}]),
        3 => json!([{"after": "P3D", "do": "approve"}]),
        _ => json!([]),
    };
    json!({"kind": "approve", "approvers": some(chance, people), "mode": mode, "timeouts": timeouts,
        "if_empty": chance.of(&["pass", "reject", "to_admin", "suspend"]), "if_initiator": chance.of(&["self", "skip", "manager", "forbid"]),
        "reject_counts": chance.of(&["first", "wait_all", "all"]), "on_reject": {"then": chance.of(&["end", "to_initiator", "to_previous"])},
        "return": {"to": ["any_visited", "initiator", "previous"], "resubmit": chance.of(&["replay", "straight", "ask"])}})
}

fn split(chance: &mut Chance, people: &[Uuid], steps: &mut Map<String, Json>, depth: usize) -> Json {
    let kind = *chance.of(&["exclusive", "parallel", "inclusive"]);
    let mut branches = Map::new();
    let last = 1 + chance.below(2);
    for index in 0..=last {
        let inner = block(chance, people, steps, depth + 1);
        let branch = if kind == "parallel" {
            json!({"steps": inner})
        } else if index == last {
            json!({"steps": inner, "default": true})
        } else {
            json!({"steps": inner, "when": {"field": "amount", "op": ">", "value": index}})
        };
        // Names in an order that no database would sort them into.
        branches.insert(format!("{}{index}", "z".repeat(last + 1 - index)), branch);
    }
    json!({"kind": kind, "branches": branches})
}

/// The facts.
pub(super) struct World {
    pub(super) people: BTreeMap<Uuid, Person>,
    pub(super) admin: Uuid,
    pub(super) amount: i64,
    /// Who stands in for whom, until when.
    pub(super) proxies: BTreeMap<Uuid, Proxy>,
    pub(super) now: DateTime<Utc>,
    /// What each condition asks for at least.
    conditions: BTreeMap<String, i64>,
}

impl World {
    pub(super) fn of(doc: &Json, people: &BTreeMap<Uuid, Person>, admin: Uuid, amount: i64) -> Self {
        let mut conditions = BTreeMap::new();
        for (step, json) in doc["steps"].as_object().expect("steps") {
            for (branch, json) in json["branches"].as_object().into_iter().flatten() {
                if let Some(least) = json["when"]["value"].as_i64() {
                    conditions.insert(format!("steps/{step}/branches/{branch}/when"), least);
                }
            }
        }
        Self { people: people.clone(), admin, amount, proxies: BTreeMap::new(), now: DateTime::default(), conditions }
    }
}

impl Facts for World {
    fn person(&self, id: Uuid) -> Told<Option<Person>> {
        Ok(self.people.get(&id).cloned())
    }

    fn person_named(&self, name: &str) -> Told<Option<Uuid>> {
        Ok(name.parse().ok())
    }

    fn department(&self, _: Uuid) -> Told<Option<Department>> {
        Ok(None)
    }

    fn department_named(&self, _: &str) -> Told<Option<Uuid>> {
        Ok(None)
    }

    fn in_role(&self, _: &str) -> Told<Vec<Uuid>> {
        Ok(Vec::new())
    }

    fn in_department(&self, _: Uuid, _: bool) -> Told<Vec<Uuid>> {
        Ok(Vec::new())
    }

    fn admins(&self) -> Told<Vec<Uuid>> {
        Ok(vec![self.admin])
    }

    fn at_path(&self, _: &str) -> Told<Vec<Subject>> {
        Ok(Vec::new())
    }

    fn expression(&self, _: &str) -> Told<Vec<Subject>> {
        Ok(Vec::new())
    }

    fn holds(&self, pointer: &str) -> Told<bool> {
        Ok(self.amount > self.conditions.get(pointer).copied().unwrap_or_default())
    }

    fn moment(&self, _: &str) -> Told<Option<DateTime<Utc>>> {
        Ok(None)
    }

    fn watched(&self) -> Told<Json> {
        // Digits stay exact: numbers are kept as texts.
        Ok(json!({"amount": self.amount.to_string()}))
    }

    fn proxy(&self, principal: Uuid) -> Told<Option<Proxy>> {
        let proxy = self.proxies.get(&principal);
        Ok(proxy.filter(|proxy| proxy.until.is_none_or(|until| until > self.now)).cloned())
    }

    fn deadline(&self, from: DateTime<Utc>, span: &str, _: Option<&str>, _: Option<Uuid>) -> Told<DateTime<Utc>> {
        Ok(from + Duration::seconds(model::field::scalar::read_duration(span).expect("a duration")))
    }

    fn lot(&self, _: &Name, _: u32) -> u64 {
        0
    }
}
