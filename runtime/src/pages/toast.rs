//! In charge of the line that says what just happened, with a way to take it back.
//! Invariant: an address says only which of the known words to show; taking back is a form of its own, with all checks.

use model::EntityDef;
use serde::Serialize;
use uuid::Uuid;

use super::env;
use super::shell::Shell;
use crate::http::query::Query;

/// What can have happened.
const DEEDS: &[&str] = &[
    "deleted",
    "moved",
    "awaits",
    "converted",
    "pressed",
    "saved",
    "restored",
    "noted",
    "uploaded",
    "disabled",
    "enabled",
    "submitted",
    "approved",
    "rejected",
    "returned",
    "asked",
    "taken",
    "withdrawn",
    "urged",
    "stepped_in",
    "retried",
    "cancelled",
    "claimed",
    "claimed_some",
    "claimed_none",
    "released",
    "merged",
];

/// What just happened.
#[derive(Debug, Serialize)]
pub(super) struct Toast {
    pub(super) text: String,
    pub(super) undo: Option<Undo>,
}

/// The form that takes it back.
#[derive(Debug, Serialize)]
pub(super) struct Undo {
    pub(super) action: String,
    pub(super) fields: Vec<(String, String)>,
}

/// A page that says what the address says has happened. What was deleted can be brought back at once.
pub(super) fn told(mut shell: Shell, def: Option<&EntityDef>, query: &Query) -> Shell {
    let Some(deed) = query.filled("done").filter(|deed| DEEDS.contains(deed)) else { return shell };
    let id = query.filled("id").and_then(|id| Uuid::try_parse(id).ok());
    let undo = match (deed, def, id) {
        ("deleted", Some(def), Some(id)) => Some(Undo { action: format!("/r/{}/{id}/restore", def.name), fields: Vec::new() }),
        ("merged", Some(def), Some(set)) => {
            Some(Undo { action: format!("/change-sets/{set}/undo"), fields: vec![("back".to_owned(), format!("/r/{}", def.name))] })
        }
        _ => None,
    };
    shell.toast = Some(Toast { text: env::text(&shell.locale, &format!("done_{deed}")), undo });
    shell
}
