//! In charge of the limit over a database server: the same questions answered by prepared statements behind a bare handler.
//! Invariant: the same schema, the same driver, as many connections, the same rows written in one transaction each.
//! Invariant: no rights, no checks of values: what the engine adds is what the ratio shows.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, NaiveDate, Utc};
use engine::clock::{Clock, SystemClock};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sea_orm::sqlx::types::Decimal;
use sea_orm::sqlx::{self, AssertSqlSafe, Row};
use uuid::Uuid;

use super::bare::{Asked, COLUMNS, NewDeal, id_at};
use super::child::Failure;

/// As many as the store has.
const CONNECTIONS: u32 = 16;

type Answer = Result<Vec<u8>, sqlx::Error>;

#[derive(Clone)]
struct Bare {
    pool: PgPool,
    /// Places in the change log: below all that the engine gives, so that it has none of these to number.
    places: Arc<AtomicI64>,
}

/// Serves until the process ends.
pub(super) async fn serve(url: &str, listen: SocketAddr) -> Result<(), Failure> {
    let options: PgConnectOptions = url.parse()?;
    let options = options.statement_cache_capacity(512).options([("timezone", "UTC")]);
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false).connect_with(options).await?;
    let router = Router::new()
        .route("/readyz", get(async || "ready"))
        .route("/api/v1/records/bench.deal", get(page).post(create))
        .route("/api/v1/records/bench.deal/{id}", get(one))
        .route("/api/v1/records/bench.deal/aggregate", post(group))
        .with_state(Bare { pool, places: Arc::new(AtomicI64::new(i64::MIN)) });
    let listener = tokio::net::TcpListener::bind(listen).await?;
    Ok(axum::serve(listener, router).await?)
}

fn answer(status: StatusCode, answer: Answer) -> Response {
    match answer {
        Ok(bytes) => (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn one(State(bare): State<Bare>, Path(id): Path<Uuid>) -> Response {
    let sql = format!("SELECT {COLUMNS}, NULL FROM bench__deal d WHERE d.id = $1 AND d.deleted_at IS NULL");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_one(&bare.pool).await;
    answer(StatusCode::OK, row.and_then(|row| written(|out| write_row(&row, out))))
}

async fn page(State(bare): State<Bare>, Query(asked): Query<Asked>) -> Response {
    if let Some(words) = &asked.q {
        return search(&bare, words).await;
    }
    let (status, least) = asked.wanted();
    let sql = format!(
        "SELECT {COLUMNS}, a.name FROM bench__deal d LEFT JOIN bench__account a ON a.id = d.account AND a.deleted_at IS NULL
         WHERE d.deleted_at IS NULL AND d.status = $1 AND d.probability >= $2 ORDER BY d.close_date DESC NULLS LAST, d.id DESC NULLS LAST LIMIT 50"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(status).bind(Decimal::from(least)).fetch_all(&bare.pool).await;
    answer(StatusCode::OK, rows.and_then(|rows| written(|out| list(&rows, out))))
}

async fn search(bare: &Bare, words: &str) -> Response {
    let question: Vec<String> = words.split(' ').map(|word| format!("'{word}':*")).collect();
    let sql = format!(
        "SELECT {COLUMNS}, NULL FROM bench__deal d WHERE d.deleted_at IS NULL AND (d.status <> 'lost' OR d.status IS NULL) AND d.id IN
           (SELECT s.record FROM sys_search s WHERE s.entity = 'bench.deal' AND s.tokens @@ CAST($1 AS tsquery))
         ORDER BY d.id LIMIT 20"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(question.join(" & ")).fetch_all(&bare.pool).await;
    answer(StatusCode::OK, rows.and_then(|rows| written(|out| list(&rows, out))))
}

async fn group(State(bare): State<Bare>) -> Response {
    let rows = sqlx::query(
        "SELECT d.status, sum(d.amount), count(*) FROM bench__deal d
         WHERE d.deleted_at IS NULL AND (d.status <> 'lost' OR d.status IS NULL) GROUP BY d.status ORDER BY d.status",
    );
    let rows = rows.fetch_all(&bare.pool).await;
    answer(
        StatusCode::OK,
        rows.and_then(|rows| {
            written(|out| {
                out.extend_from_slice(b"{\"data\":[");
                for row in &rows {
                    let (status, sum, count): (String, Decimal, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                    write!(out, "{{\"status\":\"{status}\",\"sum_amount\":{sum},\"count\":{count}}},")?;
                }
                out.extend_from_slice(b"]}");
                Ok(())
            })
        }),
    )
}

/// The bytes that `write` writes.
fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<(), sqlx::Error>) -> Answer {
    let mut out = Vec::with_capacity(1_000);
    write(&mut out)?;
    Ok(out)
}

fn list(rows: &[PgRow], out: &mut Vec<u8>) -> Result<(), sqlx::Error> {
    out.extend_from_slice(b"{\"data\":[");
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_row(row, out)?;
    }
    out.extend_from_slice(b"],\"next\":null}");
    Ok(())
}

/// Writes a row of [`COLUMNS`] and an account's name.
fn write_row(row: &PgRow, out: &mut Vec<u8>) -> Result<(), sqlx::Error> {
    let text = |out: &mut Vec<u8>, text: Option<&str>| match text {
        Some(text) => serde_json::to_writer(out, text).unwrap_or_default(),
        None => out.extend_from_slice(b"null"),
    };
    let id = |index: usize| -> Result<Option<String>, sqlx::Error> { Ok(row.try_get::<Option<Uuid>, usize>(index)?.map(|id| id.to_string())) };
    out.extend_from_slice(b"{\"id\":");
    text(out, id(0)?.as_deref());
    write!(out, ",\"version\":{}", row.try_get::<i64, usize>(1)?)?;
    for (index, name) in [(2, "code"), (3, "name"), (5, "status"), (12, "contact"), (13, "note"), (19, "account.name")] {
        write!(out, ",\"{name}\":")?;
        text(out, row.try_get::<Option<&str>, usize>(index)?);
    }
    for (index, name) in [(4, "account"), (16, "created_by"), (17, "updated_by"), (18, "owner")] {
        write!(out, ",\"{name}\":")?;
        text(out, id(index)?.as_deref());
    }
    for (index, name) in [(6, "amount"), (7, "probability")] {
        match row.try_get::<Option<Decimal>, usize>(index)? {
            Some(number) => write!(out, ",\"{name}\":{number}")?,
            None => write!(out, ",\"{name}\":null")?,
        }
    }
    write!(out, ",\"quantity\":{}", row.try_get::<Option<i64>, usize>(8)?.unwrap_or_default())?;
    match row.try_get::<Option<NaiveDate>, usize>(9)? {
        Some(day) => write!(out, ",\"close_date\":\"{day}\"")?,
        None => write!(out, ",\"close_date\":null")?,
    }
    for (index, name) in [(10, "seen_at"), (14, "created_at"), (15, "updated_at")] {
        match row.try_get::<Option<DateTime<Utc>>, usize>(index)? {
            Some(moment) => write!(out, ",\"{name}\":\"{}\"", moment.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))?,
            None => write!(out, ",\"{name}\":null")?,
        }
    }
    write!(out, ",\"active\":{}}}", row.try_get::<Option<bool>, usize>(11)?.unwrap_or_default())?;
    Ok(())
}

async fn create(State(bare): State<Bare>, body: Bytes) -> Response {
    let Ok(deal) = serde_json::from_slice::<NewDeal>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    answer(StatusCode::CREATED, insert(&bare, &deal).await)
}

/// The rows that the engine writes for a new deal: record, change, search, the parent and its change.
async fn insert(bare: &Bare, deal: &NewDeal) -> Answer {
    let now = SystemClock.now();
    let id = id_at(now);
    let mut transaction = bare.pool.begin().await?;
    sqlx::query(
        "INSERT INTO bench__deal (id, version, code, name, account, status, amount, probability, quantity, close_date, seen_at, active, note, created_at, updated_at,
           code__fold, code__sort, name__fold, name__sort, note__fold)
         VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $2, $14, $3, $15, $12)",
    )
    .bind(id)
    .bind(&deal.code)
    .bind(&deal.name)
    .bind(deal.account)
    .bind(&deal.status)
    .bind(Decimal::from(deal.amount))
    .bind(Decimal::from(deal.probability))
    .bind(deal.quantity)
    .bind(deal.close_date)
    .bind(deal.seen_at)
    .bind(deal.active)
    .bind(&deal.note)
    .bind(now)
    .bind(deal.code.as_bytes())
    .bind(deal.name.as_bytes())
    .execute(&mut *transaction)
    .await?;
    let change = "INSERT INTO sys_change (seq, entity, record, op, version, at, by, cause, change_set, depth, patch) VALUES ($1, $2, $3, $4, 1, $5, NULL, $6, NULL, 0, CAST($7 AS jsonb))";
    let place = || bare.places.fetch_add(1, Ordering::Relaxed);
    let record = sqlx::query(change).bind(place()).bind("bench.deal").bind(id).bind("created").bind(now).bind("request").bind(deal.patch());
    record.execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO sys_search (entity, record, tokens) VALUES ('bench.deal', $1, array_to_tsvector(string_to_array($2, ' ')))")
        .bind(id)
        .bind(&deal.name)
        .execute(&mut *transaction)
        .await?;
    if deal.is_open() {
        sqlx::query("UPDATE bench__account SET open_amount = open_amount + $1 WHERE id = $2")
            .bind(Decimal::from(deal.amount))
            .bind(deal.account)
            .execute(&mut *transaction)
            .await?;
        let parent = sqlx::query(change).bind(place()).bind("bench.account").bind(deal.account).bind("updated").bind(now).bind("computed");
        parent.bind("{\"open_amount\": [1, 2]}").execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(format!("{{\"id\":\"{id}\",\"version\":1,\"name\":\"{}\"}}", deal.name).into_bytes())
}
