//! In charge of how conversions are called: what a record offers, a preview, the deed, where a record came from.

use std::sync::Arc;

use model::{EntityId, Input};
use rules::policy::Create;
use serde_json::{Value as Json, json};
use store::Tx;
use uuid::Uuid;

use super::act::{answer, preview_in};
use super::plan::ConversionPlan;
use super::{Asked, convert_in, origins};
use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::check::holds;
use crate::records::lookup::is_live;
use crate::records::slice::Writer;
use crate::records::{Idempotency, known, remember_answer};

/// What is asked of a conversion, as it was sent.
#[derive(Clone, Debug)]
pub struct ConversionAsked {
    /// Its name, bare or qualified.
    pub conversion: String,
    /// Values by target, in place of the document's.
    pub values: Input,
    /// A list of the optional targets that are wanted, or by name: true, false, `create`, `skip`, the id of a record.
    pub targets: Input,
    /// By target and lines field: which lines of the source, by id, and with which values.
    pub lines: Input,
    /// Whether it is only looked at.
    pub dry_run: bool,
    /// The key under which the request may be sent again.
    pub idempotency: Option<Idempotency>,
}

impl ConversionAsked {
    /// A conversion as the document says it.
    #[must_use]
    pub fn of(conversion: &str) -> Self {
        Self { conversion: conversion.to_owned(), values: Input::Null, targets: Input::Null, lines: Input::Null, dry_run: false, idempotency: None }
    }
}

/// A conversion that a record offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Its qualified name.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// Whether it is looked at first.
    pub ask: bool,
    /// What it makes.
    pub targets: Vec<OfferedTarget>,
}

/// What a conversion makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedTarget {
    /// Its name.
    pub name: String,
    /// Its entity.
    pub entity: String,
    /// What people call that.
    pub label: String,
    /// Whether it may be left out.
    pub optional: bool,
}

impl Offered {
    fn of(cx: &Ctx, plan: &ConversionPlan) -> Self {
        let targets = plan.targets.iter().filter(|target| cx.grants.sees(target.entity)).map(|target| {
            let def = cx.app.schema.entity(target.entity);
            OfferedTarget {
                name: target.name.to_string(),
                entity: def.name.to_string(),
                label: def.label(&cx.locale).to_owned(),
                optional: target.optional,
            }
        });
        Self { name: plan.name.clone(), label: plan.label(&cx.locale), ask: plan.ask, targets: targets.collect() }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let targets: Vec<Json> = self
            .targets
            .iter()
            .map(|target| json!({"name": target.name, "entity": target.entity, "label": target.label, "optional": target.optional}))
            .collect();
        json!({"name": self.name, "label": self.label, "ask": self.ask, "targets": targets})
    }
}

/// The conversions of an entity's records that the caller may make of some.
pub(crate) fn of_entity(cx: &Ctx, entity: EntityId) -> Vec<Offered> {
    cx.app.conversions.of(entity).iter().filter(|plan| is_allowed(cx, plan)).map(|plan| Offered::of(cx, plan)).collect()
}

/// Whether the caller may make or find everything that must come of it.
fn is_allowed(cx: &Ctx, plan: &ConversionPlan) -> bool {
    plan.targets.iter().filter(|target| !target.optional).all(|target| {
        let creates = !matches!(cx.grants.entity(target.entity).create, Create::No);
        cx.grants.sees(target.entity) && (creates || !target.matches.is_empty())
    })
}

impl Engine {
    /// Converts a record, or says what would come of it.
    ///
    /// # Errors
    /// `NotFound` where record or conversion are out of sight; `already_converted`, `nothing_left`; every fault of what would be
    /// written, with pointers below `/values/{target}` and `/lines/{target}`.
    pub async fn convert(&self, cx: &Ctx, entity: EntityId, record: Uuid, asked: ConversionAsked) -> Result<Json, Error> {
        if asked.dry_run {
            let cx = cx.clone();
            return self
                .store()
                .read(move |tx| {
                    let (plan, read) = read(&cx, entity, &asked)?;
                    preview_in(&cx, tx, &plan, record, &read)
                })
                .await;
        }
        let name = cx.app.schema.entity(entity).name.clone();
        let convert = move |cx: &Ctx, tx: &Tx| {
            if let Some(key) = &asked.idempotency
                && let Some(made) = known(cx, tx, key)?
            {
                let made = made.as_str().and_then(|id| Uuid::try_parse(id).ok()).unwrap_or_default();
                return Ok((answer(cx, tx, made)?, Vec::new()));
            }
            let (plan, read) = read(cx, cx.entity_named(name.as_str())?, &asked)?;
            let made = convert_in(cx, tx, &plan, record, &read)?;
            if let Some(key) = &asked.idempotency {
                remember_answer(cx, tx, key, made.id.to_string().into())?;
            }
            Ok((answer(cx, tx, made.id)?, made.notes))
        };
        self.transact(cx, convert).await
    }

    /// The conversions that a record offers to the caller now.
    ///
    /// # Errors
    /// `NotFound` where the record is out of sight.
    pub async fn conversions(&self, cx: &Ctx, entity: EntityId, record: Uuid) -> Result<Vec<Offered>, Error> {
        let cx = cx.clone();
        self.store()
            .read(move |tx| {
                let w = Writer::preview(&cx, tx);
                let def = w.def(entity);
                if !w.reader.in_sight(&cx, entity, record)? {
                    return Err(Error::NotFound);
                }
                let cells = w.reader.read(entity, record)?.filter(|cells| is_live(def, cells)).ok_or(Error::NotFound)?;
                let mut offered = Vec::new();
                for plan in cx.app.conversions.of(entity).iter().filter(|plan| is_allowed(&cx, plan)) {
                    let fits = plan.condition.as_ref().is_none_or(|condition| holds(&w, &plan.app, def, condition, None, &cells));
                    let again = plan.repeat != model::doc::Repeat::Once || !origins::is_converted(&w, plan, record)?;
                    let moves =
                        plan.moves.is_none() || rules::eval::matches(&cx.grants.entity(entity).update, &w.app.schema, entity, &cells, &w.reader)?;
                    if fits && again && moves {
                        offered.push(Offered::of(&cx, plan));
                    }
                }
                Ok(offered)
            })
            .await
    }

    /// What a record came of and what it became, as far as the caller sees it: `{"from": […], "became": […]}`.
    ///
    /// # Errors
    /// `NotFound` where the record is out of sight.
    pub async fn origins(&self, cx: &Ctx, entity: EntityId, record: Uuid) -> Result<Json, Error> {
        let cx = cx.clone();
        self.store()
            .read(move |tx| {
                let w = Writer::preview(&cx, tx);
                if !w.reader.in_sight(&cx, entity, record)? {
                    return Err(Error::NotFound);
                }
                let (from, became) = origins::both_ways(&cx, tx, record)?;
                Ok(json!({"from": from, "became": became}))
            })
            .await
    }
}

/// The conversion that is meant, and what is wanted of it.
fn read(cx: &Ctx, entity: EntityId, asked: &ConversionAsked) -> Result<(Arc<ConversionPlan>, Asked), Error> {
    let plan = cx.app.conversions.named(entity, &asked.conversion).filter(|plan| is_allowed(cx, plan)).ok_or(Error::NotFound)?;
    let read = Asked::read(plan, &asked.values, &asked.targets, &asked.lines).map_err(Error::Invalid)?;
    Ok((Arc::clone(plan), read))
}
