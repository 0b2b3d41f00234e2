//! In charge of what the machine asks: people, departments, conditions, read over the open transaction.
//! Invariant: a fault of the store is kept and ends the command; the machine only hears that it cannot know.

use std::cell::RefCell;

use chrono::{DateTime, Duration, NaiveTime, Utc};
use flow::approval::{Department, Facts, Person, Proxy, Subject, Told, Trouble};
use model::field::Role;
use model::{Cells, EntityDef, EntityId, FieldId, Name, Value};
use rules::query::{Column, Leaf, Path, Predicate, SystemView, Test, resolve_path};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use store::system::Cond;
use store::system::approval::PROXY;
use store::{Binned, Select};
use uuid::Uuid;

use crate::approvals::plan::{FlowPlan, watched};
use crate::error::Error;
use crate::people::ADMIN;
use crate::records::lookup::is_live;
use crate::records::slice::Writer;
use crate::times::Span;

/// People or records of one question.
const MOST: u32 = 1_000;

/// What the machine asks of one instance.
pub(crate) struct Known<'a> {
    pub(crate) w: &'a Writer<'a>,
    pub(crate) plan: &'a FlowPlan,
    pub(crate) instance: Uuid,
    pub(crate) record: Uuid,
    /// What went wrong with the store.
    pub(crate) failed: RefCell<Option<Error>>,
}

impl<'a> Known<'a> {
    pub(crate) fn new(w: &'a Writer<'a>, plan: &'a FlowPlan, instance: Uuid, record: Uuid) -> Self {
        Self { w, plan, instance, record, failed: RefCell::default() }
    }

    fn told<T>(&self, result: Result<T, Error>) -> Told<T> {
        result.map_err(|error| {
            let trouble = Trouble(error.to_string());
            *self.failed.borrow_mut() = Some(error);
            trouble
        })
    }

    fn cells(&self) -> Told<std::sync::Arc<Cells>> {
        let read = self.told(self.w.reader.read(self.plan.entity, self.record).map_err(Error::from))?;
        read.ok_or_else(|| Trouble("the record is not there any more".to_owned()))
    }

    fn entity(&self, name: &str) -> Told<&'a EntityDef> {
        self.w.app.schema.find(name).ok_or_else(|| Trouble(format!("there is no entity `{name}`")))
    }

    /// The live records of an entity that fit, in the order of ids.
    fn ids(&self, def: &EntityDef, test: Predicate) -> Told<Vec<Uuid>> {
        let slot = def.slot("id").unwrap_or_default();
        let query = Select { limit: MOST + 1, slots: vec![slot], ..Select::of(def.id, test, Binned::Live) };
        let rows = self.told(self.w.tx.select(&self.w.app.schema, &query).map_err(Error::from))?;
        // What would be left out is not known: nobody goes on with a part.
        if rows.len() > MOST as usize {
            return Err(Trouble(format!("there are more than {MOST} of {}", def.name)));
        }
        let mut ids: Vec<Uuid> = rows.iter().filter_map(|row| row.cells.get(slot)).filter_map(Value::as_uuid).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    fn leaf(def: &EntityDef, field: FieldId, test: Test) -> Predicate {
        let slot = def.field(field).slot().unwrap_or_default();
        Predicate::Leaf(Leaf { path: Path::own(def.id, field), column: Column::Slot(slot), test, negated: false })
    }

    /// The role as people have it: qualified.
    fn qualified(&self, role: &str) -> String {
        if role.contains('.') {
            return role.to_owned();
        }
        let has = |app: &&model::doc::App| app.roles.contains_key(role);
        let apps = &self.w.app.schema.apps;
        if apps.get(self.plan.app.as_str()).is_some_and(|app| has(&app.as_ref())) {
            return format!("{}.{role}", self.plan.app);
        }
        let other = apps.iter().find(|(_, app)| app.roles.contains_key(role)).map(|(name, _)| name.as_str());
        format!("{}.{role}", other.unwrap_or(&self.plan.app))
    }

    fn subjects(&self, target: Option<EntityId>, values: &[Value]) -> Vec<Subject> {
        let name = target.map(|target| self.w.app.schema.entity(target).name.as_str());
        let subject = |id: Uuid| if name == Some("core.department") { Subject::Department(id) } else { Subject::Person(id) };
        let mut found = Vec::new();
        for value in values {
            match value {
                Value::Uuid(id) => found.push(subject(*id)),
                Value::List(items) => found.extend(items.iter().filter_map(Value::as_uuid).map(subject)),
                _ => {}
            }
        }
        found
    }

    /// The cells at the end of a path, with the entity that they point at.
    fn along(&self, path: &Path) -> Told<(Vec<Value>, Option<EntityId>)> {
        let cells = self.cells()?;
        let target = path.target(&self.w.app.schema).targets.first().copied();
        let values = self.told(crate::records::along(self.w, path, &cells))?;
        Ok((values, target))
    }

    /// The records at the end of a path: of a reference, of lines, of an inverse.
    pub(crate) fn records(&self, path: &str) -> Result<Vec<(EntityId, Uuid)>, String> {
        let def = self.w.app.schema.entity(self.plan.entity);
        if let Some(relation) = def.inverses.get(path) {
            let many = self.w.app.schema.entity(relation.entity);
            let ids = self.ids(many, Self::leaf(many, relation.by, Test::Equal(Value::Uuid(self.record)))).map_err(|trouble| trouble.0)?;
            return Ok(ids.into_iter().map(|id| (relation.entity, id)).collect());
        }
        let path = resolve_path(&self.w.app.schema, def.id, path, &SystemView, "").map_err(|fault| fault.wording.text("en"))?;
        let (values, target) = self.along(&path).map_err(|trouble| trouble.0)?;
        let target = target.ok_or_else(|| "the path does not lead to a record".to_owned())?;
        Ok(self
            .subjects(None, &values)
            .into_iter()
            .map(|subject| match subject {
                Subject::Person(id) | Subject::Department(id) => (target, id),
            })
            .collect())
    }

    fn calendar_of(&self, person: Option<Uuid>) -> Told<Option<String>> {
        let Some(department) = person.map(|person| self.person(person)).transpose()?.flatten().and_then(|person| person.department) else {
            return Ok(None);
        };
        self.told(crate::times::calendar_of_department(self.w, department))
    }
}

impl Facts for Known<'_> {
    fn person(&self, id: Uuid) -> Told<Option<Person>> {
        let def = self.entity("core.user")?;
        let Some(cells) = self.told(self.w.reader.read(def.id, id).map_err(Error::from))? else { return Ok(None) };
        let get = |name: &str| def.slot(name).and_then(|slot| cells.get(slot));
        Ok(Some(Person {
            active: is_live(def, &cells) && get("active").and_then(Value::as_bool) != Some(false),
            manager: get("manager").and_then(Value::as_uuid),
            department: get("department").and_then(Value::as_uuid),
            successor: get("successor").and_then(Value::as_uuid),
        }))
    }

    fn person_named(&self, name: &str) -> Told<Option<Uuid>> {
        if let Ok(id) = Uuid::try_parse(name) {
            return Ok(Some(id));
        }
        let def = self.entity("core.user")?;
        let Some(email) = def.find("email") else { return Ok(None) };
        Ok(self.ids(def, Self::leaf(def, email.id, Test::Equal(Value::text(&name.to_lowercase()))))?.into_iter().next())
    }

    fn department(&self, id: Uuid) -> Told<Option<Department>> {
        let def = self.entity("core.department")?;
        let Some(cells) = self.told(self.w.reader.read(def.id, id).map_err(Error::from))?.filter(|cells| is_live(def, cells)) else {
            return Ok(None);
        };
        let get = |name: &str| def.slot(name).and_then(|slot| cells.get(slot)).and_then(Value::as_uuid);
        Ok(Some(Department { parent: get("parent"), head: get("head") }))
    }

    fn department_named(&self, name: &str) -> Told<Option<Uuid>> {
        if let Ok(id) = Uuid::try_parse(name) {
            return Ok(Some(id));
        }
        let def = self.entity("core.department")?;
        let Some(field) = def.find("name") else { return Ok(None) };
        Ok(self.ids(def, Self::leaf(def, field.id, Test::Equal(Value::text(name))))?.into_iter().next())
    }

    fn in_role(&self, role: &str) -> Told<Vec<Uuid>> {
        let def = self.entity("core.user")?;
        let Some(roles) = def.find("roles") else { return Ok(Vec::new()) };
        self.ids(def, Self::leaf(def, roles.id, Test::Has(Value::text(&self.qualified(role)))))
    }

    fn in_department(&self, id: Uuid, below: bool) -> Told<Vec<Uuid>> {
        let (def, departments) = (self.entity("core.user")?, self.entity("core.department")?);
        let Some(field) = def.find("department") else { return Ok(Vec::new()) };
        let mut ids = vec![Value::Uuid(id)];
        if let (true, Some(tree)) = (below, departments.tree) {
            let found = self.told(self.w.tx.descendants(departments, tree, id).map_err(Error::from))?;
            ids.extend(found.into_iter().map(Value::Uuid));
        }
        self.ids(def, Self::leaf(def, field.id, Test::In(ids)))
    }

    fn admins(&self) -> Told<Vec<Uuid>> {
        self.in_role(ADMIN)
    }

    fn at_path(&self, path: &str) -> Told<Vec<Subject>> {
        let path = resolve_path(&self.w.app.schema, self.plan.entity, path, &SystemView, "").map_err(|fault| Trouble(fault.wording.text("en")))?;
        let (values, target) = self.along(&path)?;
        match path.target(&self.w.app.schema).role {
            Role::Reference(_) | Role::References(_) | Role::AnyReference { .. } => Ok(self.subjects(target, &values)),
            _ => Ok(self.subjects(None, &values)),
        }
    }

    fn expression(&self, pointer: &str) -> Told<Vec<Subject>> {
        let expression = self.plan.expressions.get(pointer).ok_or_else(|| Trouble("the expression is not there".to_owned()))?;
        let cells = self.cells()?;
        let value = self.w.on_scope(&self.plan.app, self.plan.entity, &cells, None, |scope| expression.eval(scope));
        let target = match expression.kind() {
            rules::expr::Kind::Record(entity) => Some(entity),
            _ => None,
        };
        match value.map_err(|fault| Trouble(fault.to_string()))? {
            Value::Null => Ok(Vec::new()),
            value => {
                let found = self.subjects(target, &[value]);
                if found.is_empty() { Err(Trouble("the expression gives no people".to_owned())) } else { Ok(found) }
            }
        }
    }

    fn holds(&self, pointer: &str) -> Told<bool> {
        let condition = self.plan.conditions.get(pointer).ok_or_else(|| Trouble("the condition is not there".to_owned()))?;
        let cells = self.cells()?;
        let held = self.w.on_scope(&self.plan.app, self.plan.entity, &cells, None, |scope| condition.holds(scope));
        held.map_err(|fault| Trouble(fault.to_string()))
    }

    fn moment(&self, pointer: &str) -> Told<Option<DateTime<Utc>>> {
        let zone = self.w.cx.workspace_zone();
        let of_day = |day: chrono::NaiveDate| crate::times::moment(zone, day, NaiveTime::MIN);
        if let Some(path) = self.plan.untils.get(pointer) {
            let (values, _) = self.along(path)?;
            return Ok(match values.first() {
                Some(Value::Timestamp(at)) => Some(*at),
                Some(Value::Date(day)) => Some(of_day(*day)),
                _ => None,
            });
        }
        let step = pointer.strip_prefix("steps/").and_then(|rest| rest.strip_suffix("/until"));
        let written = step.and_then(|step| self.plan.doc.steps.get(step)).and_then(|step| step.settings.get("until")).and_then(Json::as_str);
        let Some(text) = written else { return Ok(None) };
        Ok(text.parse::<DateTime<Utc>>().ok().or_else(|| text.parse().ok().map(of_day)))
    }

    fn watched(&self) -> Told<Json> {
        Ok(watched(self.plan, self.w.def(self.plan.entity), &*self.cells()?))
    }

    fn proxy(&self, principal: Uuid) -> Told<Option<Proxy>> {
        let fit = [Cond::Eq("principal", Value::Uuid(principal))];
        let rows = self.told(self.w.tx.find(&PROXY, &fit, &[("at", true)], 100).map_err(Error::from))?;
        let now = self.w.cx.now;
        let mut found: Vec<(bool, Proxy)> = Vec::new();
        for row in &rows {
            let [_, _, proxy, from, until, flow, _] = row.as_slice() else { continue };
            let begun = from.as_timestamp().is_none_or(|from| from <= now);
            let over = until.as_timestamp().is_some_and(|until| until <= now);
            let fits = flow.as_text().is_none_or(|flow| flow == self.plan.name);
            if let (true, false, true, Some(person)) = (begun, over, fits, proxy.as_uuid()) {
                found.push((flow.is_null(), Proxy { person, until: until.as_timestamp() }));
            }
        }
        // The narrower rule first, then the newer: rows come newest first.
        found.sort_by_key(|(wide, _)| *wide);
        Ok(found.into_iter().next().map(|(_, proxy)| proxy))
    }

    fn deadline(&self, from: DateTime<Utc>, span: &str, calendar: Option<&str>, person: Option<Uuid>) -> Told<DateTime<Utc>> {
        let span = Span::read(&Json::from(span)).ok_or_else(|| Trouble(format!("`{span}` is no duration")))?;
        let natural = from.checked_add_signed(Duration::days(span.days)).and_then(|at| at.checked_add_signed(span.rest));
        let natural = natural.ok_or_else(|| Trouble("the span is too long".to_owned()));
        let name = match calendar {
            Some("natural") => return natural,
            Some(name) => Some(name.to_owned()),
            None => self.calendar_of(person)?,
        };
        let name = name.or_else(|| self.w.app.settings_of("core").get("calendar").and_then(Json::as_str).map(str::to_owned));
        let Some(name) = name else { return natural };
        let calendar = self.w.app.calendar(&self.plan.app, &name).ok_or_else(|| Trouble(format!("there is no calendar `{name}`")))?;
        Ok(calendar.after(from, span.days, span.rest))
    }

    fn lot(&self, node: &Name, salt: u32) -> u64 {
        let digest = Sha256::digest(format!("{} {node} {salt}", self.instance).as_bytes());
        digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}
