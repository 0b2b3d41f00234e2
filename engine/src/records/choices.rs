//! In charge of what a reference may point at while a form is filled in: the target's records that its filter lets through.
//! Invariant: the filter is bound to the record as it would be, and the rows are those of the caller's own read path.

use indexmap::IndexMap;
use model::field::Role;
use model::{EntityId, Input};
use rules::query::Predicate;
use uuid::Uuid;

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::records::preview::drafted;
use crate::records::read::{ListAnswer, ListRequest, list_with};
use crate::records::slice::Writer;

/// A reference of a record that is being written: of a new one, or of one that is there.
#[derive(Clone, Debug)]
pub struct Choosing {
    /// The entity of the record.
    pub entity: EntityId,
    /// The reference.
    pub field: String,
    /// The record, where it is there already.
    pub id: Option<Uuid>,
    /// What was entered so far.
    pub values: IndexMap<String, Input>,
}

impl Engine {
    /// A page of the records that a reference may point at; `request` says which target, order and words.
    ///
    /// # Errors
    /// `NotFound` where there is no such reference or it does not lead to that target; faults of the question.
    pub async fn choices(&self, cx: &Ctx, choosing: Choosing, request: ListRequest) -> Result<ListAnswer, Error> {
        let (cx, key) = (cx.clone(), self.key().clone());
        self.store()
            .read(move |tx| {
                let w = Writer::preview(&cx, tx);
                let def = w.def(choosing.entity);
                let field = cx.grants.field(def, &choosing.field).ok_or(Error::NotFound)?;
                let leads = match &field.role {
                    Role::Reference(_) | Role::References(_) => field.targets.contains(&request.entity),
                    Role::AnyReference { .. } => field.targets.is_empty() || field.targets.contains(&request.entity),
                    _ => false,
                };
                if !leads || !cx.grants.sees(request.entity) {
                    return Err(Error::NotFound);
                }
                let fits = match &w.plan(def.id).field(field.id).choices {
                    None => Predicate::True,
                    Some(choices) => {
                        let (row, _) = drafted(&w, def, choosing.id, &choosing.values)?;
                        choices.filter.bind(&w.app.schema, &w.params(field.app.as_str(), def.id, &row.after))
                    }
                };
                list_with(&cx, tx, &key, &request, fits)
            })
            .await
    }
}
