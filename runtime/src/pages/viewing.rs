//! In charge of what all kinds of views share: where a view is found, the question that it asks, what stands around it.
//! Invariant: a view is shown to those alone whose role it names, over an entity that they see.

use engine::records::{ListAnswer, ListRequest, Shape};
use engine::{Ctx, Error};
use model::EntityDef;
use model::doc::View;
use serde::Serialize;
use serde_json::Value as Json;

use super::filters::{FilterBar, bar, filter};
use super::query::with;
use super::saved::{self, SavedViews};
use super::shell::{Missed, Shell, missed, shell};
use super::toast;
use crate::http::caller::Page;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// Records as somebody looks at them: through a view, or all of an entity.
pub(super) struct Viewing<'a> {
    pub(super) state: &'a RuntimeState,
    pub(super) page: &'a Page,
    pub(super) def: &'a EntityDef,
    pub(super) view: Option<&'a View>,
    pub(super) title: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a Query,
}

/// What stands around the records.
#[derive(Serialize)]
pub(super) struct Frame {
    shell: Shell,
    entity: String,
    path: String,
    bar: FilterBar,
    saved: SavedViews,
    may_create: bool,
}

/// Where the next page is, and the first one.
#[derive(Serialize)]
pub(super) struct Turning {
    next: Option<String>,
    first: Option<String>,
}

/// A view that the person may open, and its entity.
pub(super) fn find<'a>(cx: &'a Ctx, app: &str, name: &str) -> Option<(&'a View, &'a EntityDef)> {
    let view = cx.app.schema.apps.get(app)?.views.get(name).filter(|view| cx.has_role(app, &view.roles))?;
    let def = cx.app.schema.find_from(app, &view.entity).filter(|def| cx.grants.sees(def.id))?;
    Some((view, def))
}

impl<'a> Viewing<'a> {
    pub(super) fn cx(&self) -> &'a Ctx {
        &self.page.cx
    }

    /// The page that says what went wrong.
    pub(super) fn missed(&self, error: Error) -> Missed {
        missed(self.page)(error)
    }

    /// The view's own filter and those of the address.
    pub(super) fn filter(&self) -> Option<Json> {
        let own = self.view.and_then(|view| view.filter.as_ref()).and_then(|filter| serde_json::to_value(filter).ok());
        filter(self.cx(), self.def, own, self.query)
    }

    /// The question for a page of records with these fields and their title, in the view's order.
    pub(super) fn request(&self, fields: Vec<String>) -> ListRequest {
        ListRequest {
            filter: self.filter(),
            sort: self.view.map(|view| view.sort.join(",")).filter(|sort| !sort.is_empty()),
            after: self.query.filled("after").map(str::to_owned),
            q: self.query.filled("q").map(str::to_owned),
            pool: self.query.filled("pool").map(str::to_owned),
            shape: Shape { fields: Some(fields), titles: true, ..Shape::default() },
            ..ListRequest::of(self.def.id)
        }
    }

    pub(super) async fn list(&self, request: ListRequest) -> Result<ListAnswer, Missed> {
        self.state.engine().list(self.cx(), request).await.map_err(missed(self.page))
    }

    /// What stands around the records, with `quick` as the filters that are always there.
    pub(super) async fn frame(&self, quick: &[String]) -> Result<Frame, Missed> {
        let Self { state, page, def, path, query, .. } = *self;
        Ok(Frame {
            shell: toast::told(shell(page, self.title, path), Some(def), query),
            entity: def.name.to_string(),
            path: path.to_owned(),
            bar: bar(state, page, def, quick, path, query).await?,
            saved: saved::of_list(state, page, def, path, query).await?,
            may_create: !matches!(self.cx().grants.entity(def.id).create, rules::policy::Create::No) && def.line_of.is_none(),
        })
    }

    /// The address of this page with one thing different.
    pub(super) fn with(&self, key: &str, value: Option<&str>) -> String {
        with(self.path, self.query, key, value)
    }

    pub(super) fn turning(&self, found: &ListAnswer) -> Turning {
        Turning {
            next: found.next.as_deref().map(|next| self.with("after", Some(next))),
            first: self.query.filled("after").map(|_| self.with("after", None)),
        }
    }
}
