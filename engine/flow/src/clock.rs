//! In charge of one clock on one record: counting, standing still, being met or missed, and what it says on the way.
//! Reading order: `Kept` (what a record keeps), `Seen` (how the record stands), `Kept::go_on` (the one function that moves it),
//! `Kept::next` (when it has something to say by itself).
//! Invariant: pure; working time is asked of the trait `Time`.
//! Invariant: each warning and the miss are said once in every start; what is missed stays missed until it starts anew.

use chrono::{DateTime, Utc};

/// How a clock stands; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It counts.
    Running,
    /// It stands still.
    Paused,
    /// What it is for was done.
    Met,
    /// It was not done in time.
    Missed,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Running, Self::Paused, Self::Met, Self::Missed];

    /// The word that people and documents use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Met => "met",
            Self::Missed => "missed",
        }
    }
}

/// What a clock says; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Its limit comes near.
    Warning,
    /// Its limit is over.
    Missed,
}

impl Said {
    /// The word that documents use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Missed => "missed",
        }
    }
}

/// What a record keeps of a clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// How it stands; none where it does not run.
    pub state: Option<State>,
    /// By when it is to be met.
    pub due_at: Option<DateTime<Utc>>,
    /// From when it counts since its last start.
    pub since: Option<DateTime<Utc>>,
    /// The last moment at which something other than `from` started it.
    pub restarted_at: Option<DateTime<Utc>>,
    /// From when it counts since its last pause.
    pub resumed_at: Option<DateTime<Utc>>,
    /// The seconds that were counted before the last pause.
    pub used: i64,
    /// Warnings that were said since the last start; one more than there are once the miss was said.
    pub warned: usize,
}

/// How a record stands, as far as the clock looks at it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The moment that it counts from.
    pub from: Option<DateTime<Utc>>,
    /// A moment at which something starts it anew.
    pub restart: Option<DateTime<Utc>>,
    /// Whether it runs.
    pub runs: bool,
    /// Whether it stands still.
    pub paused: bool,
    /// Whether it is met.
    pub met: bool,
}

/// The time that a clock counts: its limit and its calendar, for the record as it is.
pub trait Time {
    /// The end of the limit where it begins at a moment; none where no limit fits the record.
    fn end(&self, since: DateTime<Utc>) -> Option<DateTime<Utc>>;
    /// The moment that lies so many counted seconds after another.
    fn after(&self, from: DateTime<Utc>, seconds: i64) -> DateTime<Utc>;
    /// The counted seconds between two moments.
    fn between(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> i64;
    /// The moments of the warnings of a limit that ends at `due`, in order.
    fn warnings(&self, due: DateTime<Utc>) -> Vec<DateTime<Utc>>;
}

impl Kept {
    /// How it stands `now`, and what it says: first of the time that went by, then of how the record stands.
    #[must_use]
    pub fn go_on(&self, seen: &Seen, time: &dyn Time, now: DateTime<Utc>) -> (Self, Vec<Said>) {
        let mut kept = self.clone();
        let mut said = Vec::new();
        // What it counts by may be another than before: of the time that went by, its old limit may be over, but no new warning is.
        if kept.due(time) == kept.due_at {
            kept.pass(time, now, &mut said);
        } else {
            kept.miss(time, now, &mut said);
        }
        kept.restarted_at = kept.restarted_at.max(seen.restart);
        let since = seen.from.map(|from| kept.restarted_at.map_or(from, |restarted| restarted.max(from)));
        let begins_anew = since.is_some() && since != kept.since;
        if begins_anew {
            kept = Self { since, restarted_at: kept.restarted_at, resumed_at: since, ..Self::default() };
        }
        let Some(total) = since.filter(|_| seen.runs).and_then(|since| Some(time.between(since, time.end(since)?))) else {
            kept.state = None;
            kept.due_at = None;
            return (kept, said);
        };
        if kept.state == Some(State::Missed) {
            return (kept, said);
        }
        if seen.met || seen.paused {
            // Met keeps the moment that it was met against; a pause has none.
            kept.due_at = if seen.met { kept.due(time).or_else(|| Some(time.after(now, total - kept.used))) } else { None };
            if let Some(resumed) = kept.resumed_at.take() {
                kept.used += time.between(resumed, now.max(resumed));
            }
            kept.state = Some(if seen.met { State::Met } else { State::Paused });
            return (kept, said);
        }
        if kept.resumed_at.is_none() {
            kept.resumed_at = Some(now);
        }
        kept.due_at = kept.due(time);
        kept.state = Some(State::Running);
        if begins_anew && let Some(due) = kept.due_at {
            // A limit shorter than its warning does not begin with it.
            kept.warned = time.warnings(due).iter().filter(|at| kept.since.is_some_and(|since| **at <= since)).count();
        }
        kept.pass(time, now, &mut said);
        (kept, said)
    }

    /// When it is due as its time is counted now; none while it does not count.
    fn due(&self, time: &dyn Time) -> Option<DateTime<Utc>> {
        let (since, resumed) = (self.since?, self.resumed_at?);
        let end = time.end(since)?;
        if resumed == since { Some(end) } else { Some(time.after(resumed, time.between(since, end) - self.used)) }
    }

    /// What the time that went by makes of it.
    fn pass(&mut self, time: &dyn Time, now: DateTime<Utc>, said: &mut Vec<Said>) {
        self.miss(time, now, said);
        self.warn(time, now, said);
    }

    /// Its limit may be over.
    fn miss(&mut self, time: &dyn Time, now: DateTime<Utc>, said: &mut Vec<Said>) {
        let (Some(State::Running), Some(due)) = (self.state, self.due_at) else { return };
        if due <= now {
            self.state = Some(State::Missed);
            let warnings = time.warnings(due).len();
            if self.warned <= warnings {
                self.warned = warnings + 1;
                said.push(Said::Missed);
            }
        }
    }

    /// Its limit may be near.
    fn warn(&mut self, time: &dyn Time, now: DateTime<Utc>, said: &mut Vec<Said>) {
        let (Some(State::Running), Some(due)) = (self.state, self.due_at) else { return };
        let behind = time.warnings(due).iter().filter(|at| **at <= now).count();
        // Several at once are one.
        if behind > self.warned {
            self.warned = behind;
            said.push(Said::Warning);
        }
    }

    /// The next moment at which it has something to say by itself.
    #[must_use]
    pub fn next(&self, time: &dyn Time) -> Option<DateTime<Utc>> {
        let (Some(State::Running), Some(due)) = (self.state, self.due_at) else { return None };
        let warning = time.warnings(due).get(self.warned).copied();
        Some(warning.map_or(due, |warning| warning.min(due)))
    }
}
