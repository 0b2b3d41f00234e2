//! In charge of the members of a record: people who may see it, or change it, beside its owner.
//! Invariant: nobody gives more than he has: who may only see it lets others see it, who may change it lets others change it.
//! Invariant: every change of a member stands in the change log; the feed's readers hear of the record.

use model::doc::MemberRight;
use model::{Cells, Code, EntityDef, EntityId, Message, Value, Violation};
use serde_json::{Value as Json, json};
use store::system::Cond;
use store::system::member::MEMBER;
use store::{Lock, Tx};
use uuid::Uuid;

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::history::Op;
use crate::records::lookup::is_live;
use crate::records::slice::Writer;
use crate::records::{ChangeNote, notes_of};

/// The most members of a record.
const MOST: u32 = 1_000;

/// A member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The person.
    pub user: Uuid,
    /// Whether the person may change the record.
    pub may_write: bool,
}

impl Member {
    /// `{"user", "right": "read" or "write"}`.
    #[must_use]
    pub fn to_json(self) -> Json {
        json!({"user": self.user, "right": if self.may_write { "write" } else { "read" }})
    }
}

impl Engine {
    /// The members of a record.
    ///
    /// # Errors
    /// `NotFound` where the caller does not see it.
    pub async fn members(&self, cx: &Ctx, entity: EntityId, id: Uuid) -> Result<Vec<Member>, Error> {
        let cx = cx.clone();
        self.store()
            .read(move |tx| {
                let writer = Writer::new(&cx, tx);
                seen(&writer, entity, id, Lock::None)?;
                of(tx, cx.app.schema.entity(entity), id)
            })
            .await
    }

    /// Makes a person a member, or changes what a member may.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` where the caller does not have the right that is given; that records of this entity have no
    /// such members; that there is no such person.
    pub async fn set_member(&self, cx: &Ctx, entity: EntityId, id: Uuid, member: Member) -> Result<(), Error> {
        self.change_member(cx, entity, id, member.user, Some(member.may_write)).await
    }

    /// Ends a membership; anybody may end the own.
    ///
    /// # Errors
    /// `NotFound` where there is none; `Forbidden` where the caller may not change the record.
    pub async fn end_member(&self, cx: &Ctx, entity: EntityId, id: Uuid, user: Uuid) -> Result<(), Error> {
        self.change_member(cx, entity, id, user, None).await
    }

    async fn change_member(&self, cx: &Ctx, entity: EntityId, id: Uuid, user: Uuid, right: Option<bool>) -> Result<(), Error> {
        let name = cx.app.schema.entity(entity).name.clone();
        self.transact(cx, move |cx, tx| Ok(((), change(cx, tx, cx.entity_named(name.as_str())?, id, user, right)?))).await
    }
}

/// The record, where the caller sees it.
fn seen(w: &Writer<'_>, entity: EntityId, id: Uuid, lock: Lock) -> Result<std::sync::Arc<Cells>, Error> {
    let def = w.def(entity);
    w.reader.preload(entity, &[id], lock)?;
    let cells = w.reader.read(entity, id)?.filter(|cells| is_live(def, cells)).ok_or(Error::NotFound)?;
    let read = &w.cx.grants.entity(entity).read;
    if rules::eval::matches(read, &w.app.schema, entity, &cells, &w.reader)? { Ok(cells) } else { Err(Error::NotFound) }
}

fn of(tx: &Tx, def: &EntityDef, id: Uuid) -> Result<Vec<Member>, Error> {
    let fit = [Cond::Eq("entity", Value::text(def.name.as_str())), Cond::Eq("record", Value::Uuid(id))];
    let rows = tx.find(&MEMBER, &fit, &[("user", false)], MOST)?;
    let member = |row: &Vec<Value>| Some(Member { user: row.get(2)?.as_uuid()?, may_write: row.get(3)?.as_bool()? });
    Ok(rows.iter().filter_map(member).collect())
}

fn change(cx: &Ctx, tx: &Tx, entity: EntityId, id: Uuid, user: Uuid, right: Option<bool>) -> Result<Vec<ChangeNote>, Error> {
    let writer = Writer::new(cx, tx);
    let cells = seen(&writer, entity, id, Lock::Update)?;
    let def = cx.app.schema.entity(entity);
    let update = &cx.grants.entity(entity).update;
    let may_write = rules::eval::matches(update, &cx.app.schema, entity, &cells, &writer.reader)?;
    let before = of(tx, def, id)?;
    let was = before.iter().find(|member| member.user == user).map(|member| member.may_write);
    let fit = [Cond::Eq("entity", Value::text(def.name.as_str())), Cond::Eq("record", Value::Uuid(id)), Cond::Eq("user", Value::Uuid(user))];
    match right {
        None => {
            was.ok_or(Error::NotFound)?;
            if !may_write && cx.caller.user() != Some(user) {
                return Err(Error::Forbidden);
            }
            tx.remove(&MEMBER, &fit)?;
        }
        Some(right) => {
            // Who may only see it gives sight, and takes nothing from those who have more.
            if !may_write && (right || was == Some(true)) {
                return Err(Error::Forbidden);
            }
            let wanted = if right { MemberRight::Write } else { MemberRight::Read };
            // Those who may write see, too.
            let given = [wanted, MemberRight::Write];
            if !given.iter().any(|right| def.members.contains(right)) {
                return Err(Violation::of_field("right", Code::BadFormat, Message::new("no_such_members")).into());
            }
            if crate::people::person_in(tx, &cx.app, user)?.is_none() {
                return Err(Violation::of_field("user", Code::BadReference, Message::new("bad_reference")).into());
            }
            if was.is_none() && before.len() >= MOST as usize {
                return Err(Violation::of_field("user", Code::Limit, Message::new("too_many").with("max", MOST)).into());
            }
            tx.put_over(&MEMBER, vec![Value::text(def.name.as_str()), Value::Uuid(id), Value::Uuid(user), Value::Bool(right)])?;
        }
    }
    if was != right {
        let told = |right: Option<bool>| right.map(|may_write| Member { user, may_write }.to_json());
        writer.log.borrow_mut().note(cx, def, Op::Updated, &cells, &json!({"members": [told(was), told(right)]}));
    }
    notes_of(&writer)
}
