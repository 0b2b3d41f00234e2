//! In charge of the page of a paper: the paper, and above it what a screen needs and a printer does not.
//! Invariant: one script may run, the one that is here, known to the browser by its hash; nothing that a paper holds does.

use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::prints::OfferedPrint;
use engine::{Ctx, Error};
use model::EntityDef;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::env;
use super::shell::{Missed, missed};
use crate::api::prints::{POLICY, page as answer};
use crate::http::caller::Page;
use crate::state::RuntimeState;

/// What the button does.
const SCRIPT: &str = "document.querySelector('[data-print]').addEventListener('click', () => window.print());";

static PAGE_POLICY: LazyLock<String> =
    LazyLock::new(|| format!("{POLICY}; script-src 'sha256-{}'", STANDARD.encode(Sha256::digest(SCRIPT.as_bytes()))));

/// Shows a paper of a record.
pub(super) async fn show(
    State(state): State<RuntimeState>,
    page: Page,
    Path((entity, id, print)): Path<(String, Uuid, String)>,
) -> Result<Response, Missed> {
    let cx = &page.cx;
    let def = state.engine().entity(cx, &entity).map_err(missed(&page))?;
    let printed = state.engine().print(cx, def.id, id, &print).await.map_err(missed(&page))?;
    Ok(answer(&printed, &bar(cx, def, id), &PAGE_POLICY))
}

/// What stands above the paper: the button, the hint, the way back. All of it is ours.
fn bar(cx: &Ctx, def: &EntityDef, id: Uuid) -> String {
    let word = |key: &str| env::text(&cx.locale, key);
    format!(
        "<div class=\"print-bar\" lang=\"{}\"><button type=\"button\" data-print>{}</button><a href=\"/r/{}/{id}\">{}</a><span>{}</span></div><script>{SCRIPT}</script>\n",
        cx.locale,
        word("print"),
        def.name,
        word("back_to_record"),
        word("print_hint"),
    )
}

/// The papers that a record offers.
pub(super) async fn offered(state: &RuntimeState, page: &Page, def: &EntityDef, id: Uuid) -> Result<Vec<OfferedPrint>, Missed> {
    match state.engine().prints(&page.cx, def.id, id).await {
        Ok(offered) => Ok(offered),
        Err(Error::NotFound) => Ok(Vec::new()),
        Err(error) => Err(missed(page)(error)),
    }
}
