//! In charge of the one read path: records and lists as a caller sees them.
//! Invariant: every question carries the caller's grant; names resolve against the caller's own view.
//! Invariant: what one may not see answers like what is not there.

use model::schema::InverseDef;
use model::{Code, EntityDef, EntityId, Filter, Message, Value, Violation};
use rules::keys::{QueryToken, found_by, query_tokens};
use rules::query::{Column, Leaf, Path, Predicate, Sort, Test, TypedFilter, parse_sort};
use store::{Binned, Row, Select, Tx};
use uuid::Uuid;

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::cursor;
use crate::records::lookup::Reader;
use crate::records::persist::tokens;
use crate::records::shape::{Plan, Shape};

/// The most rows of a page.
const MAX_LIMIT: u32 = 1_000;
/// Rows of a page that names no number.
const LIMIT: u32 = 50;

/// A record as it is answered.
#[derive(Clone, Debug)]
pub struct RecordAnswer {
    /// Its version.
    pub version: i64,
    /// Its title.
    pub title: String,
    /// It, as a JSON object.
    pub json: Vec<u8>,
    /// Whether it is in the bin.
    pub binned: bool,
}

/// How rows are counted; closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Total {
    /// Not at all.
    #[default]
    No,
    /// All of them.
    Exact,
}

/// A question for a list.
#[derive(Clone, Debug)]
pub struct ListRequest {
    /// The entity.
    pub entity: EntityId,
    /// Which records, as sent.
    pub filter: Option<serde_json::Value>,
    /// Their order, `-amount,name`.
    pub sort: Option<String>,
    /// Rows on the page.
    pub limit: Option<u32>,
    /// The marker of the page before.
    pub after: Option<String>,
    /// Words that they are found by.
    pub q: Option<String>,
    /// How they are counted.
    pub total: Total,
    /// What is shown of them.
    pub shape: Shape,
    /// Whether the bin is asked instead.
    pub bin: bool,
    /// The public pool that is asked instead.
    pub pool: Option<String>,
}

impl ListRequest {
    /// All records that the caller sees.
    #[must_use]
    pub fn of(entity: EntityId) -> Self {
        Self {
            entity,
            filter: None,
            sort: None,
            limit: None,
            after: None,
            q: None,
            total: Total::No,
            shape: Shape::default(),
            bin: false,
            pool: None,
        }
    }
}

/// A page of a list.
#[derive(Clone, Debug, Default)]
pub struct ListAnswer {
    /// The records, a JSON object each.
    pub rows: Vec<Vec<u8>>,
    /// Their ids and titles.
    pub titles: Vec<(Uuid, String)>,
    /// The marker of the next page.
    pub next: Option<String>,
    /// How many there are in all, where that was asked.
    pub total: Option<u64>,
}

impl ListAnswer {
    /// `{"data": […], "next": …}`.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.rows.iter().map(|row| row.len() + 1).sum::<usize>() + 64);
        out.extend_from_slice(b"{\"data\":[");
        for (index, row) in self.rows.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(row);
        }
        out.extend_from_slice(b"],\"next\":");
        match &self.next {
            Some(next) => model::json::write_text(next, &mut out),
            None => out.extend_from_slice(b"null"),
        }
        if let Some(total) = self.total {
            out.extend_from_slice(format!(",\"total\":{total}").as_bytes());
        }
        out.push(b'}');
        out
    }
}

impl Engine {
    /// One record.
    ///
    /// # Errors
    /// `NotFound` where it is not there or out of sight; faults of the shape.
    pub async fn get(&self, cx: &Ctx, entity: EntityId, id: Uuid, shape: &Shape) -> Result<RecordAnswer, Error> {
        let (cx, shape) = (cx.clone(), shape.clone());
        self.store()
            .read(move |tx| {
                let at_work = crate::approvals::at_work(&cx, tx, entity, id)?;
                if let Some(found) = one(at_work.as_ref().unwrap_or(&cx), tx, entity, id, &shape)? {
                    return Ok(found);
                }
                match crate::approvals::by_copy(&cx, tx, entity, id)? {
                    Some(wider) => one(&wider, tx, entity, id, &shape)?.ok_or(Error::NotFound),
                    None => match crate::pools::sight(&cx, tx, entity, id)? {
                        Some(wider) => one(&wider, tx, entity, id, &shape)?.ok_or(Error::NotFound),
                        None => Err(Error::NotFound),
                    },
                }
            })
            .await
    }

    /// A page of a list.
    ///
    /// # Errors
    /// Every fault of the question.
    pub async fn list(&self, cx: &Ctx, request: ListRequest) -> Result<ListAnswer, Error> {
        let (cx, key) = (cx.clone(), self.key().clone());
        let cx = match &request.pool {
            Some(pool) => crate::pools::sight_of(&cx, request.entity, pool)?,
            None => cx,
        };
        self.store().read(move |tx| list(&cx, tx, &key, &request)).await
    }

    /// The records that a relation leads to from one record.
    ///
    /// # Errors
    /// `NotFound` where the record or the relation is not there or out of sight; faults of the question.
    pub async fn related(&self, cx: &Ctx, entity: EntityId, id: Uuid, inverse: &str, request: ListRequest) -> Result<ListAnswer, Error> {
        let (cx, key, inverse) = (cx.clone(), self.key().clone(), inverse.to_owned());
        self.store()
            .read(move |tx| {
                let def = cx.app.schema.entity(entity);
                one(&cx, tx, entity, id, &Shape { fields: Some(Vec::new()), ..Shape::default() })?.ok_or(Error::NotFound)?;
                let relation = def.inverses.get(inverse.as_str()).filter(|relation| is_in_sight(&cx, relation)).ok_or(Error::NotFound)?;
                let many = cx.app.schema.entity(relation.entity);
                let by = many.field(relation.by);
                let slot = by.slot().unwrap_or_default();
                let leaf = |slot, test| Predicate::Leaf(Leaf { path: Path::own(many.id, by.id), column: Column::Slot(slot), test, negated: false });
                let mut parts = vec![match relation.via {
                    model::schema::Via::Link => leaf(slot, Test::Has(Value::Uuid(id))),
                    model::schema::Via::Column | model::schema::Via::AnyColumn => leaf(slot, Test::Equal(Value::Uuid(id))),
                }];
                if relation.via == model::schema::Via::AnyColumn {
                    parts.push(leaf(slot + 1, Test::Equal(Value::text(def.name.as_str()))));
                }
                let request = ListRequest { entity: many.id, ..request.clone() };
                list_with(&cx, tx, &key, &request, Predicate::all(parts))
            })
            .await
    }
}

/// A relation is there for who may see the far entity and the reference that makes it.
fn is_in_sight(cx: &Ctx, relation: &InverseDef) -> bool {
    let many = cx.app.schema.entity(relation.entity);
    cx.grants.sees(relation.entity) && cx.grants.entity(many.id).comparable(relation.by)
}

/// The caller's facts as they hold on one live record: by role, with a task before them, by a copy, through a pool.
pub(crate) fn sight_on(cx: &Ctx, tx: &Tx, entity: EntityId, id: Uuid) -> Result<Ctx, Error> {
    let sees = |cx: &Ctx| Reader::new(tx, &cx.app.schema).in_sight(cx, entity, id);
    if !cx.grants.sees(entity) {
        return Err(Error::NotFound);
    }
    let at_work = crate::approvals::at_work(cx, tx, entity, id)?.unwrap_or_else(|| cx.clone());
    if sees(&at_work)? {
        return Ok(at_work);
    }
    if let Some(wider) = crate::approvals::by_copy(cx, tx, entity, id)?
        && sees(&wider)?
    {
        return Ok(wider);
    }
    match crate::pools::sight(cx, tx, entity, id)? {
        Some(wider) if sees(&wider)? => Ok(wider),
        Some(_) | None => Err(Error::NotFound),
    }
}

fn id_leaf(def: &EntityDef, test: Test) -> Predicate {
    match (def.find("id"), def.slot("id")) {
        (Some(field), Some(slot)) => Predicate::Leaf(Leaf { path: Path::own(def.id, field.id), column: Column::Slot(slot), test, negated: false }),
        _ => Predicate::False,
    }
}

/// One record within a transaction; none where it is not there or out of sight.
pub(crate) fn one(cx: &Ctx, tx: &Tx, entity: EntityId, id: Uuid, shape: &Shape) -> Result<Option<RecordAnswer>, Error> {
    let def = cx.app.schema.entity(entity);
    let plan = Plan::new(cx, def, shape)?;
    let grant = cx.grants.entity(entity);
    let in_bin = Predicate::any(vec![
        Predicate::all(vec![live(def), Predicate::clone(&grant.read)]),
        Predicate::all(vec![Predicate::clone(&grant.read), Predicate::clone(&grant.delete)]),
    ]);
    let (filter, binned) = if *grant.delete == Predicate::False { (Predicate::clone(&grant.read), Binned::Live) } else { (in_bin, Binned::Any) };
    let query = Select {
        limit: 1,
        slots: plan.slots.iter().copied().chain(def.slot("deleted_at")).collect(),
        paths: plan.paths.clone(),
        ..Select::of(entity, Predicate::all(vec![id_leaf(def, Test::Equal(Value::Uuid(id))), filter]), binned)
    };
    let rows = tx.select(&cx.app.schema, &query)?;
    let Some(row) = rows.first() else { return Ok(None) };
    let reader = Reader::new(tx, &cx.app.schema);
    let expanded = expand(cx, tx, def, std::slice::from_ref(row), shape)?;
    let mut json = Vec::with_capacity(512);
    plan.write(row, &reader, expanded.first().map(Vec::as_slice), &mut json)?;
    let version = def.slot("version").and_then(|slot| row.cells.get(slot)).and_then(Value::as_int).unwrap_or_default();
    let binned = def.slot("deleted_at").and_then(|slot| row.cells.get(slot)).is_some_and(|at| !at.is_null());
    Ok(Some(RecordAnswer { version, title: plan.own_title(row), json, binned }))
}

fn live(def: &EntityDef) -> Predicate {
    match (def.find("deleted_at"), def.slot("deleted_at")) {
        (Some(field), Some(slot)) => {
            Predicate::Leaf(Leaf { path: Path::own(def.id, field.id), column: Column::Slot(slot), test: Test::Empty, negated: false })
        }
        _ => Predicate::True,
    }
}

/// A page within a transaction.
pub(crate) fn list(cx: &Ctx, tx: &Tx, key: &crate::keys::MasterKey, request: &ListRequest) -> Result<ListAnswer, Error> {
    list_with(cx, tx, key, request, Predicate::True)
}

/// What a request asks, with its names resolved.
struct Asked {
    filter: Predicate,
    sort: Vec<Sort>,
    limit: u32,
    after: Option<Vec<Value>>,
    search: Option<Vec<QueryToken>>,
    context: String,
}

fn asked(cx: &Ctx, key: &crate::keys::MasterKey, def: &EntityDef, request: &ListRequest) -> Result<Asked, Error> {
    let schema = &cx.app.schema;
    let mut faults: Vec<Violation> = Vec::new();
    let filter = filter_of(cx, def.id, request.filter.as_ref(), "/filter").unwrap_or_else(|more| {
        faults.extend(more);
        Predicate::False
    });
    let text = request.sort.as_deref().unwrap_or_default();
    let sort = parse_sort(schema, def.id, text, &*cx.grants, cx.moment(), "/sort").unwrap_or_else(|more| {
        faults.extend(more);
        Vec::new()
    });
    let limit = request.limit.unwrap_or(LIMIT);
    if limit == 0 || limit > MAX_LIMIT {
        faults.push(Violation::at("/limit", Code::Malformed, Message::new("limit_range")));
    }
    let context = format!("{} {text} {}", def.name, cx.caller.user().map(|id| id.to_string()).unwrap_or_default());
    let after = match &request.after {
        Some(marker) => match cursor::open(key, &context, marker) {
            Ok(values) if values.len() == sort.len() + 1 => Some(values),
            Ok(_) | Err(_) => {
                faults.push(Violation::at("/after", Code::Malformed, Message::new("bad_cursor")));
                None
            }
        },
        None => None,
    };
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let search = request.q.as_deref().map(str::trim).filter(|words| !words.is_empty()).map(query_tokens);
    Ok(Asked { filter, sort, limit, after, search, context })
}

/// A filter as sent, for this caller.
pub(crate) fn filter_of(cx: &Ctx, entity: EntityId, json: Option<&serde_json::Value>, at: &str) -> Result<Predicate, Vec<Violation>> {
    let Some(json) = json else { return Ok(Predicate::True) };
    let filter = Filter::parse(json, at)?;
    let typed = TypedFilter::compile_with_record(&cx.app.schema, entity, &filter, &*cx.grants, at, None)?;
    let app = cx.app.schema.entity(entity).name.app();
    Ok(typed.bind(&cx.app.schema, &cx.params(app, None)))
}

pub(crate) fn list_with(cx: &Ctx, tx: &Tx, key: &crate::keys::MasterKey, request: &ListRequest, more: Predicate) -> Result<ListAnswer, Error> {
    let def = cx.app.schema.entity(request.entity);
    if !cx.grants.sees(def.id) {
        return Err(Error::unknown_entity(def.name.as_str()));
    }
    let plan = Plan::new(cx, def, &request.shape)?;
    let asked = asked(cx, key, def, request)?;
    let grant = cx.grants.entity(def.id);
    let mut parts = vec![Predicate::clone(&grant.read), more, asked.filter];
    let mut binned = Binned::Live;
    if request.bin {
        parts.push(Predicate::clone(&grant.delete));
        binned = Binned::Only;
    }
    let mut search = asked.search;
    if let Some(words) = search.as_ref().filter(|_| !sees_all_searched(cx, def)) {
        // Some of what search looks at is hidden: what was found is looked at again with what the caller sees.
        parts.push(id_leaf(def, Test::In(found_in_sight(cx, tx, def, words)?)));
        search = None;
    }
    let filter = Predicate::all(parts);
    let query = Select {
        sort: asked.sort,
        after: asked.after,
        limit: asked.limit + 1,
        slots: plan.slots.clone(),
        paths: plan.paths.clone(),
        search,
        ..Select::of(def.id, filter, binned)
    };
    let mut rows = tx.select(&cx.app.schema, &query)?;
    let has_more = rows.len() > asked.limit as usize;
    rows.truncate(asked.limit as usize);
    let next = match rows.last().filter(|_| has_more) {
        Some(last) => Some(cursor::seal(key, &asked.context, &last.keys)?),
        None => None,
    };
    let total = match request.total {
        Total::No => None,
        Total::Exact => Some(tx.count(&cx.app.schema, def.id, &query.filter, binned, query.search.as_deref())?),
    };
    let reader = Reader::new(tx, &cx.app.schema);
    let expanded = expand(cx, tx, def, &rows, &request.shape)?;
    let (mut written, mut titles) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for (index, row) in rows.iter().enumerate() {
        let mut json = Vec::with_capacity(512);
        plan.write(row, &reader, expanded.get(index).map(Vec::as_slice), &mut json)?;
        written.push(json);
        let id = def.slot("id").and_then(|slot| row.cells.get(slot)).and_then(Value::as_uuid).unwrap_or_default();
        titles.push((id, plan.own_title(row)));
    }
    Ok(ListAnswer { rows: written, titles, next, total })
}

fn sees_all_searched(cx: &Ctx, def: &EntityDef) -> bool {
    let grant = cx.grants.entity(def.id);
    cx.app.plan(def.id).search.iter().all(|field| grant.comparable(*field))
}

/// The ids of records that the words find in what the caller sees of them.
fn found_in_sight(cx: &Ctx, tx: &Tx, def: &EntityDef, words: &[QueryToken]) -> Result<Vec<Value>, Error> {
    const MOST: u32 = 1_000;
    let grant = cx.grants.entity(def.id);
    let query = Select {
        limit: MOST,
        slots: (0..def.columns.len()).collect(),
        search: Some(words.to_vec()),
        ..Select::of(def.id, Predicate::clone(&grant.read), Binned::Live)
    };
    let plan = cx.app.plan(def.id);
    let rows = tx.select(&cx.app.schema, &query)?;
    Ok(rows
        .iter()
        .filter(|row| found_by(&tokens(def, plan, &row.cells, |field| grant.comparable(field.id)), words))
        .filter_map(|row| def.slot("id").and_then(|slot| row.cells.get(slot)).cloned())
        .collect())
}

/// The `expanded` object of each row; nothing where nothing is expanded. One question per reference and relation.
fn expand(cx: &Ctx, tx: &Tx, def: &EntityDef, rows: &[Row], shape: &Shape) -> Result<Vec<Vec<u8>>, Error> {
    if shape.expand.is_empty() {
        return Ok(Vec::new());
    }
    let mut faults = Vec::new();
    let mut out: Vec<Vec<u8>> = rows.iter().map(|_| vec![b'{']).collect();
    for name in &shape.expand {
        let parts = if let Some(relation) = def.inverses.get(name.as_str()).filter(|relation| is_in_sight(cx, relation)) {
            expand_many(cx, tx, def, rows, relation)?
        } else if let Some((field, target)) = cx
            .grants
            .field(def, name)
            .and_then(|field| Some((field, *field.targets.first()?)))
            .filter(|(field, _)| matches!(field.role, model::field::Role::Reference(_)))
        {
            expand_one(cx, tx, rows, def, field, target)?
        } else {
            faults.push(crate::records::accept::unknown_field(cx, def, name));
            continue;
        };
        for (out, part) in out.iter_mut().zip(parts) {
            if out.len() > 1 {
                out.push(b',');
            }
            model::json::write_text(name, out);
            out.push(b':');
            out.extend_from_slice(&part);
        }
    }
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    out.iter_mut().for_each(|object| object.push(b'}'));
    Ok(out)
}

fn own_id(def: &EntityDef, row: &Row) -> Uuid {
    def.slot("id").and_then(|slot| row.cells.get(slot)).and_then(Value::as_uuid).unwrap_or_default()
}

fn expand_one(cx: &Ctx, tx: &Tx, rows: &[Row], def: &EntityDef, field: &model::FieldDef, target: EntityId) -> Result<Vec<Vec<u8>>, Error> {
    let far = cx.app.schema.entity(target);
    let plan = Plan::new(cx, far, &Shape::default())?;
    // The reference itself may not be among what is shown: it is read with the rows' own ids.
    let ids: Vec<Uuid> = rows.iter().map(|row| own_id(def, row)).collect();
    let loaded = tx.load(def, &ids, store::Lock::None)?;
    let wanted: Vec<Option<Uuid>> =
        loaded.iter().map(|cells| cells.as_ref().and_then(|cells| field.cells(cells).first().and_then(Value::as_uuid))).collect();
    let mut distinct: Vec<Value> = wanted.iter().flatten().copied().map(Value::Uuid).collect();
    distinct.sort_unstable_by_key(|value| value.as_uuid());
    distinct.dedup();
    let filter = Predicate::all(vec![id_leaf(far, Test::In(distinct)), Predicate::clone(&cx.grants.entity(target).read)]);
    let query = Select { limit: MAX_LIMIT, slots: plan.slots.clone(), paths: plan.paths.clone(), ..Select::of(target, filter, Binned::Live) };
    let found = tx.select(&cx.app.schema, &query)?;
    let reader = Reader::new(tx, &cx.app.schema);
    let mut by_id = std::collections::HashMap::new();
    for row in &found {
        let mut json = Vec::new();
        plan.write(row, &reader, None, &mut json)?;
        by_id.insert(own_id(far, row), json);
    }
    Ok(wanted.iter().map(|id| id.and_then(|id| by_id.get(&id).cloned()).unwrap_or_else(|| b"null".to_vec())).collect())
}

fn expand_many(cx: &Ctx, tx: &Tx, def: &EntityDef, rows: &[Row], relation: &InverseDef) -> Result<Vec<Vec<u8>>, Error> {
    /// Related records that are given with each record.
    const EACH: usize = 100;
    let many = cx.app.schema.entity(relation.entity);
    let by = many.field(relation.by);
    let plan = Plan::new(cx, many, &Shape::default())?;
    let ids: Vec<Value> = rows.iter().map(|row| Value::Uuid(own_id(def, row))).collect();
    let slot = by.slot().unwrap_or_default();
    let leaf = |test| Predicate::Leaf(Leaf { path: Path::own(many.id, by.id), column: Column::Slot(slot), test, negated: false });
    let points = match relation.via {
        model::schema::Via::Link => Predicate::any(ids.iter().map(|id| leaf(Test::Has(id.clone()))).collect()),
        model::schema::Via::Column | model::schema::Via::AnyColumn => leaf(Test::In(ids)),
    };
    let mut slots = plan.slots.clone();
    slots.extend(by.slots.clone());
    let position = if many.line_of.is_some() { "position" } else { "id" };
    let sort = parse_sort(&cx.app.schema, many.id, position, &rules::query::SystemView, cx.moment(), "").map_err(Error::Invalid)?;
    let filter = Predicate::all(vec![points, Predicate::clone(&cx.grants.entity(many.id).read)]);
    let query = Select { sort, limit: 10_000, slots, paths: plan.paths.clone(), ..Select::of(many.id, filter, Binned::Live) };
    let found = tx.select(&cx.app.schema, &query)?;
    let reader = Reader::new(tx, &cx.app.schema);
    let mut out = Vec::new();
    for row in rows {
        let id = own_id(def, row);
        let mine = found.iter().filter(|far| match by.cells(&far.cells).first() {
            Some(Value::Uuid(there)) => *there == id,
            Some(Value::List(items)) => items.iter().any(|item| item.as_uuid() == Some(id)),
            _ => false,
        });
        let mut json = b"{\"data\":[".to_vec();
        let mut count = 0;
        for far in mine {
            if count == EACH {
                count += 1;
                break;
            }
            if count > 0 {
                json.push(b',');
            }
            plan.write(far, &reader, None, &mut json)?;
            count += 1;
        }
        json.extend_from_slice(if count > EACH { b"],\"next\":\"related\"}" } else { b"],\"next\":null}" });
        out.push(json);
    }
    Ok(out)
}
