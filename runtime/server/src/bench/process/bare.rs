//! In charge of the limit of processes: bare handlers that write what a decision and a run came to.
//! Invariant: the answer comes after the disk sync; what a run writes, it writes in a transaction behind that of its ticket.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use engine::clock::{Clock, SystemClock};
use rusqlite::Connection;
use uuid::{NoContext, Timestamp, Uuid};

use super::shadow::Shadow;
use crate::bench::bare::{Bare, send};
use crate::bench::child::Failure;
use crate::cli::BenchBare;

#[derive(Clone)]
struct Shadows {
    bare: Bare,
    decision: Arc<Shadow>,
    ticket: Arc<(Shadow, Shadow)>,
}

/// The routes, where there is something whose rows are written.
pub(in crate::bench) fn router(asked: &BenchBare, connection: &Connection, bare: &Bare) -> Result<Router, Failure> {
    let (Some(decision), Some(ticket)) = (asked.decision, asked.ticket) else { return Ok(Router::new()) };
    let shadows = Shadows {
        bare: bare.clone(),
        decision: Arc::new(Shadow::of_decision(connection, decision)?),
        ticket: Arc::new(Shadow::of_ticket(connection, ticket)?),
    };
    Ok(Router::new()
        .route("/api/v1/approvals/tasks/{id}/approve", post(approve))
        .route("/api/v1/records/work.ticket", post(create))
        .with_state(shadows))
}

/// An id that rises like the engine's: a random key would scatter the pages that a bare insert touches.
pub(super) fn rising() -> Uuid {
    let now = SystemClock.now();
    Uuid::new_v7(Timestamp::from_unix(NoContext, u64::try_from(now.timestamp()).unwrap_or_default(), now.timestamp_subsec_nanos()))
}

async fn approve(State(shadows): State<Shadows>, Path(task): Path<Uuid>) -> Response {
    let decision = Arc::clone(&shadows.decision);
    send(&shadows.bare.writer, StatusCode::OK, move |connection| {
        let (id, seat) = decision.decide(connection, task, SystemClock.now().timestamp_micros())?;
        Ok(format!("{{\"id\":\"{id}\",\"state\":\"running\",\"seq\":{seat}}}").into_bytes())
    })
    .await
}

async fn create(State(shadows): State<Shadows>) -> Response {
    let own = [rising(), rising()];
    let ticket = Arc::clone(&shadows.ticket);
    let response = send(&shadows.bare.writer, StatusCode::CREATED, move |connection| {
        ticket.0.write(connection, &own)?;
        Ok(format!("{{\"id\":\"{}\",\"version\":1}}", own[0]).into_bytes())
    })
    .await;
    tokio::spawn(async move {
        let ticket = Arc::clone(&shadows.ticket);
        // Whoever counts the rows misses what could not be written.
        let _written = send(&shadows.bare.writer, StatusCode::OK, move |connection| {
            ticket.1.write(connection, &own)?;
            Ok(Vec::new())
        })
        .await;
    });
    response
}
