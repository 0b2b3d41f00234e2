//! In charge of the pages that people work in: rendered on the server, usable with a keyboard and on a phone.
//! Reading order: `shell` (what surrounds every page), `cell` (a value on a page), `control` (an input), then a file per page.
//! Invariant: a page shows what the API would answer to the same person, and nothing else.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::state::RuntimeState;

mod account;
mod acts;
mod agent;
mod approval;
mod assets;
mod automations;
mod bin;
mod board;
mod calendar;
mod cell;
mod control;
mod convert;
mod course;
mod deciders;
mod deeds;
mod env;
mod exchange;
mod filters;
mod form;
mod gallery;
mod happened;
mod inbox;
mod jobs;
mod linked_form;
mod list;
pub(crate) mod lost;
mod many;
mod merging;
mod notices;
mod people;
mod picker;
mod pools;
mod press;
mod print;
mod proxies;
mod query;
mod record;
mod related;
mod replay;
mod saved;
mod search;
mod shell;
mod sign;
mod submitting;
mod timeline;
mod titles;
mod toast;
mod viewing;
mod web_form;

/// The routes of all pages and their assets.
pub(crate) fn router() -> Router<RuntimeState> {
    Router::new()
        .route("/", get(list::home))
        .route("/login", get(sign::show).post(sign::sign_in))
        .route("/logout", post(sign::sign_out))
        .route("/reset/{secret}", get(sign::show_reset).post(sign::reset))
        .route("/search", get(search::show))
        .route("/bin", get(bin::show))
        .route("/assets/{*path}", get(assets::get))
        .route("/favicon.ico", get(assets::icon))
        .route("/f/{form}", get(web_form::show).post(web_form::send).options(web_form::preflight))
        .route("/f/{form}/thanks", get(web_form::thanks))
        .route("/f/{form}/choices/{field}", get(web_form::choices))
        .route("/f/{form}/{link}", get(linked_form::show).post(linked_form::send))
        .route("/a/{app}/view/{view}", get(list::view))
        .route("/a/{app}/view/{view}/place/{id}", post(calendar::place))
        .route("/views", post(saved::keep))
        .route("/views/{id}/forget", post(saved::forget))
        .merge(records())
        .merge(approvals())
        .merge(own())
        .merge(admin())
}

fn records() -> Router<RuntimeState> {
    Router::new()
        .route("/r/{entity}", get(list::entity))
        .route("/r/{entity}/new", get(form::show_new).post(form::create))
        .route("/r/{entity}/state", post(form::state))
        .route("/r/{entity}/choose/{field}", post(picker::choose))
        .route("/r/{entity}/{id}", get(record::show))
        .route("/r/{entity}/{id}/edit", get(form::show_edit).post(form::update))
        .route("/r/{entity}/{id}/related/{relation}", get(related::show))
        .route("/r/{entity}/{id}/move", post(deeds::move_to))
        .route("/choose/{entity}", post(picker::choose_any))
        .route("/r/{entity}/claim", post(pools::claim_many))
        .route("/r/{entity}/{id}/pool/{deed}", post(pools::act))
        .route("/r/{entity}/press", post(press::press_many))
        .route("/r/{entity}/many/{deed}", post(many::ask))
        .route("/r/{entity}/many/{deed}/begin", post(many::begin))
        .route("/r/{entity}/merge", post(merging::ask))
        .route("/r/{entity}/merge/into", post(merging::merge))
        .route("/r/{entity}/export", post(exchange::export))
        .route("/r/{entity}/import", get(exchange::show).post(exchange::import).layer(DefaultBodyLimit::disable()))
        .route("/jobs/{id}", get(jobs::show))
        .route("/jobs/{id}/{verb}", post(jobs::turn))
        .route("/change-sets/{set}/undo", post(jobs::undo_set))
        .route("/r/{entity}/{id}/press/{button}", get(press::show).post(press::press))
        .route("/r/{entity}/{id}/convert/{conversion}", get(convert::show).post(convert::convert))
        .route("/r/{entity}/{id}/print/{print}", get(print::show))
        .route("/r/{entity}/{id}/owner", post(deeds::give))
        .route("/r/{entity}/{id}/follow", post(deeds::follow))
        .route("/r/{entity}/{id}/add/{kind}", post(deeds::add))
        .route("/r/{entity}/{id}/tick/{task}", post(deeds::tick))
        .route("/r/{entity}/{id}/upload/{field}", post(deeds::upload).layer(DefaultBodyLimit::disable()))
        .route("/r/{entity}/{id}/delete", post(deeds::delete))
        .route("/r/{entity}/{id}/restore", post(deeds::restore))
}

fn approvals() -> Router<RuntimeState> {
    Router::new()
        .route("/inbox", get(inbox::show))
        .route("/inbox/approve", post(inbox::approve))
        .route("/approvals/people", post(deciders::choose))
        .route("/approvals/{id}", get(approval::show))
        .route("/approvals/{id}/do/{act}", post(acts::act))
        .route("/approvals/{id}/comment", post(acts::comment).layer(DefaultBodyLimit::disable()))
        .route("/r/{entity}/{id}/submit/{flow}", get(submitting::show).post(submitting::submit))
}

fn own() -> Router<RuntimeState> {
    Router::new()
        .route("/notices", get(notices::show))
        .route("/notices/read", post(notices::read))
        .route("/me", get(account::show))
        .route("/me/settings", post(account::settings))
        .route("/me/password", post(account::password))
        .route("/me/sessions/end", post(account::end_session))
        .route("/me/proxies", post(proxies::set))
        .route("/me/proxies/{id}/end", post(proxies::end))
        .route("/notices/{id}", get(notices::open))
        .route("/me/tokens", post(account::make_token))
        .route("/me/tokens/{id}/end", post(account::end_token))
}

fn admin() -> Router<RuntimeState> {
    Router::new()
        .route("/admin/users", get(people::show))
        .route("/admin/users/new", get(people::show_new).post(people::add))
        .route("/admin/users/{id}", get(people::show_one).post(people::change))
        .route("/admin/users/{id}/switch", post(people::switch))
        .route("/admin/users/{id}/reset", post(people::reset))
        .route("/admin/users/{id}/sessions/end", post(people::end_sessions))
        .route("/admin/automations", get(automations::show))
        .route("/admin/automations/{name}/switch", post(automations::switch))
        .route("/admin/automations/{name}/replay", get(replay::show))
        .route("/admin/automations/runs", get(automations::runs))
        .route("/admin/automations/runs/{id}", get(automations::run))
        .route("/admin/automations/runs/{id}/{verb}", post(automations::turn))
}
