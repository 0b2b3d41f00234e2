//! In charge of what happens, as it happens: server-sent events, resumable where they broke off.
//! Invariant: an event is a line of the feed, a job's progress or how much waits for the caller; it is read with the caller's
//! rights of that moment.
//! Invariant: a stream ends when its session ends, when the server stops, and when there are too many.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use engine::auth::Verified;
use engine::{Ctx, Error};
use futures_util::stream::{self, Stream};
use model::Message;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use crate::http::Caller;
use crate::http::metrics::OpenStream;
use crate::http::problem::Problem;
use crate::http::query::{Query, wrong};
use crate::state::RuntimeState;

/// The most streams of one server.
const MOST: i64 = 4_000;
/// How long changes are gathered before they are read.
const GATHER: Duration = Duration::from_millis(50);
/// How often the feed is looked at although nothing was heard: another process may have written.
const LOOK: Duration = Duration::from_secs(15);
/// Changes that are read at once.
const PAGE: u32 = 500;

pub(super) fn router() -> Router<RuntimeState> {
    Router::new().route("/events", get(events))
}

async fn events(State(state): State<RuntimeState>, caller: Caller, query: Query, headers: HeaderMap) -> Result<Response, Problem> {
    query.only(&["after", "topics"])?;
    let topics = Topics::read(query.filled("topics"))?;
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()).or_else(|| query.filled("after"));
    let after = match resumed {
        Some(seq) => seq.to_owned(),
        None => state.engine().store().read::<_, Error, _>(|tx| Ok(tx.newest_change()?)).await?.to_string(),
    };
    let Some(open) = state.metrics().open_stream(MOST) else {
        return Err(Problem::http(StatusCode::SERVICE_UNAVAILABLE, "busy", Message::new("busy")));
    };
    // A cursor that is none is told now, not within the stream.
    state.engine().changes(&caller.cx, Some(&after), 1).await.map_err(super::lists::asked)?;
    let listener = Listener {
        live: state.engine().live(),
        jobs: state.engine().jobs().notes(),
        stopping: state.stopping(),
        epoch: engine::records::epoch(&caller.cx),
        locale: caller.cx.locale,
        verified: caller.verified,
        waiting: Vec::new(),
        after,
        topics,
        tasks: None,
        notices: None,
        state,
        _open: open,
        first: true,
    };
    let mut response = Sse::new(stream_of(listener)).into_response();
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What a stream tells of.
#[derive(Clone, Copy, Debug)]
struct Topics {
    changes: bool,
    jobs: bool,
    tasks: bool,
    notices: bool,
}

impl Topics {
    /// `changes,jobs,tasks,notices`; all where nothing is said.
    fn read(words: Option<&str>) -> Result<Self, Problem> {
        let Some(words) = words else { return Ok(Self { changes: true, jobs: true, tasks: true, notices: true }) };
        let mut topics = Self { changes: false, jobs: false, tasks: false, notices: false };
        for word in words.split(',') {
            match word {
                "changes" => topics.changes = true,
                "jobs" => topics.jobs = true,
                "tasks" => topics.tasks = true,
                "notices" => topics.notices = true,
                _ => return Err(wrong("topics", "changes, jobs, tasks or notices")),
            }
        }
        Ok(topics)
    }
}

struct Listener {
    state: RuntimeState,
    live: broadcast::Receiver<Arc<engine::records::ChangeNote>>,
    jobs: broadcast::Receiver<engine::jobs::JobNote>,
    stopping: watch::Receiver<bool>,
    verified: Arc<Verified>,
    locale: String,
    after: String,
    topics: Topics,
    /// How many tasks were told last.
    tasks: Option<u64>,
    /// How many unread notices were told last.
    notices: Option<u64>,
    epoch: String,
    /// Events that were read and not sent yet, last first.
    waiting: Vec<Event>,
    first: bool,
    _open: OpenStream,
}

fn stream_of(listener: Listener) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(listener, |mut listener| async move {
        loop {
            if let Some(event) = listener.waiting.pop() {
                return Some((Ok(event), listener));
            }
            let woken = if std::mem::take(&mut listener.first) { Woken::Heard } else { listener.woken().await };
            if woken == Woken::Job {
                continue;
            }
            if woken == Woken::Stopped || listener.read().await.is_err() {
                return None;
            }
            // Only the clock makes a line without a change: what somebody else may see must not even be felt.
            if woken == Woken::Clock && listener.waiting.is_empty() {
                return Some((Ok(Event::default().comment("")), listener));
            }
        }
    })
}

/// What ended a wait; closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Woken {
    Heard,
    Job,
    Clock,
    Stopped,
}

impl Listener {
    /// Waits for something to read.
    async fn woken(&mut self) -> Woken {
        let woken = tokio::select! {
            heard = self.live.recv() => match heard {
                Ok(_) | Err(RecvError::Lagged(_)) => Woken::Heard,
                Err(RecvError::Closed) => Woken::Stopped,
            },
            told = self.jobs.recv() => {
                // Progress is for who began the job; what was missed is followed by more.
                if let Ok(note) = told && self.topics.jobs && note.by == Some(self.verified.user) {
                    self.waiting.push(Event::default().event("job").data(note.view.json.to_string()));
                }
                return Woken::Job;
            }
            // A sender that is gone has stopped too.
            _ = self.stopping.changed() => Woken::Stopped,
            () = tokio::time::sleep(LOOK) => Woken::Clock,
        };
        if woken == Woken::Heard {
            tokio::time::sleep(GATHER).await;
            self.live = self.live.resubscribe();
        }
        woken
    }

    /// The caller's rights now; an error where the session has ended.
    async fn context(&self) -> Result<Ctx, Error> {
        self.state.auth().still_good(&self.verified).await?;
        self.state.engine().context(self.verified.user, Some(&self.locale)).await
    }

    async fn read(&mut self) -> Result<(), Error> {
        let cx = self.context().await?;
        let mut events = Vec::new();
        if self.topics.changes {
            self.read_changes(&cx, &mut events).await?;
        }
        if self.topics.tasks {
            let tasks = self.state.engine().approval_count(&cx).await?;
            if self.tasks.replace(tasks) != Some(tasks) {
                events.push(Event::default().event("tasks").data(tasks.to_string()));
            }
        }
        if self.topics.notices {
            let unread = self.state.engine().unread(&cx).await?;
            if self.notices.replace(unread) != Some(unread) {
                events.push(Event::default().event("notices").data(unread.to_string()));
            }
        }
        events.reverse();
        self.waiting = events;
        Ok(())
    }

    async fn read_changes(&mut self, cx: &Ctx, events: &mut Vec<Event>) -> Result<(), Error> {
        let page = self.state.engine().changes(cx, Some(&self.after), PAGE).await?;
        if let Some(epoch) = page["epoch"].as_str().filter(|epoch| *epoch != self.epoch) {
            epoch.clone_into(&mut self.epoch);
            events.push(Event::default().event("epoch").data(epoch));
        }
        for change in page["data"].as_array().into_iter().flatten() {
            let seq = change["seq"].as_str().unwrap_or_default();
            events.push(Event::default().id(seq).event("change").data(change.to_string()));
        }
        if let Some(next) = page["next"].as_str() {
            next.clone_into(&mut self.after);
        }
        Ok(())
    }
}
