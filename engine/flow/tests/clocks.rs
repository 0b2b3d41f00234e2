//! In charge of clocks against a plain model: counting second by second what counts.
#![allow(clippy::expect_used, reason = "a test ends where what it expects is not so")]

use chrono::{DateTime, Duration, Utc};
use flow::clock::{Kept, Said, Seen, State, Time};
use proptest::prelude::*;

/// A calendar whose hours alternate: the even ones count, or all of them.
struct Hours {
    limit: i64,
    warn_before: Vec<i64>,
    all: bool,
}

impl Hours {
    fn counts(&self, second: i64) -> bool {
        self.all || second.div_euclid(3_600) % 2 == 0
    }

    fn walk(&self, from: i64, seconds: i64) -> i64 {
        let (mut at, mut left) = (from, seconds);
        while left > 0 {
            left -= i64::from(self.counts(at));
            at += 1;
        }
        at
    }

    fn back(&self, until: i64, seconds: i64) -> i64 {
        let (mut at, mut left) = (until, seconds);
        while left > 0 {
            at -= 1;
            left -= i64::from(self.counts(at));
        }
        at
    }
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).expect("a moment")
}

impl Time for Hours {
    fn end(&self, since: DateTime<Utc>) -> Option<DateTime<Utc>> {
        Some(at(self.walk(since.timestamp(), self.limit)))
    }

    fn after(&self, from: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
        at(self.walk(from.timestamp(), seconds))
    }

    fn between(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> i64 {
        (from.timestamp()..until.timestamp()).filter(|second| self.counts(*second)).count().try_into().expect("a count")
    }

    fn warnings(&self, due: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let mut moments: Vec<DateTime<Utc>> = self.warn_before.iter().map(|span| at(self.back(due.timestamp(), *span))).collect();
        moments.sort_unstable();
        moments
    }
}

/// What happens to a record; the number is the seconds until then.
#[derive(Clone, Debug)]
enum Deed {
    Nothing(i64),
    Pause(i64),
    Resume(i64),
    Meet(i64),
    Open(i64),
    Restart(i64),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let wait = 1_i64..7_000;
    prop::collection::vec(
        prop_oneof![
            wait.clone().prop_map(Deed::Nothing),
            wait.clone().prop_map(Deed::Pause),
            wait.clone().prop_map(Deed::Resume),
            wait.clone().prop_map(Deed::Meet),
            wait.clone().prop_map(Deed::Open),
            wait.prop_map(Deed::Restart),
        ],
        1..12,
    )
}

/// The plain model: it counts every second by itself.
struct Model {
    counted: i64,
    missed: bool,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_clock_counts_what_counts(deeds in deeds(), limit in 600_i64..9_000, all in any::<bool>(), lazy in any::<bool>()) {
        let time = Hours { limit, warn_before: vec![300], all };
        let start = 1_000_000_i64;
        let mut seen = Seen { from: Some(at(start)), runs: true, ..Seen::default() };
        let (mut kept, said) = Kept::default().go_on(&seen, &time, at(start));
        prop_assert!(said.is_empty());
        let mut model = Model { counted: 0, missed: false };
        let mut now = start;
        let (mut missed, mut warned) = (0, 0);
        for deed in deeds {
            let wait = match &deed {
                Deed::Nothing(wait) | Deed::Pause(wait) | Deed::Resume(wait) | Deed::Meet(wait) | Deed::Open(wait) | Deed::Restart(wait) => *wait,
            };
            let until = now + wait;
            // Timers act on the way, or late where nobody was there to act.
            while let Some(next) = kept.next(&time).filter(|next| !lazy && *next <= at(until)) {
                let (after, said) = kept.go_on(&seen, &time, next);
                prop_assert_ne!(&after, &kept, "a timer that is due has something to say");
                kept = after;
                missed += said.iter().filter(|said| **said == Said::Missed).count();
                warned += said.iter().filter(|said| **said == Said::Warning).count();
            }
            for second in now..until {
                model.missed |= model.counted >= limit && !seen.met && !seen.paused;
                model.counted += i64::from(!seen.paused && !seen.met && time.counts(second));
            }
            model.missed |= model.counted >= limit && !seen.met && !seen.paused;
            now = until;
            seen.restart = None;
            match deed {
                Deed::Nothing(_) => {}
                Deed::Pause(_) => seen.paused = true,
                Deed::Resume(_) => seen.paused = false,
                Deed::Meet(_) => seen.met = true,
                Deed::Open(_) => seen.met = false,
                Deed::Restart(_) => {
                    // It says what was, and begins again.
                    let (after, said) = kept.go_on(&seen, &time, at(now));
                    missed += said.iter().filter(|said| **said == Said::Missed).count();
                    kept = after;
                    prop_assert_eq!(missed, usize::from(model.missed));
                    model = Model { counted: 0, missed: false };
                    (missed, warned) = (0, 0);
                    seen.restart = Some(at(now));
                }
            }
            let (after, said) = kept.go_on(&seen, &time, at(now));
            kept = after;
            missed += said.iter().filter(|said| **said == Said::Missed).count();
            warned += said.iter().filter(|said| **said == Said::Warning).count();
            prop_assert_eq!(missed, usize::from(model.missed), "missed once, and only where the model says so");
            prop_assert!(warned <= 1);
            let expected = if model.missed { State::Missed } else if seen.met { State::Met } else if seen.paused { State::Paused } else { State::Running };
            prop_assert_eq!(kept.state, Some(expected));
            if expected == State::Running {
                prop_assert_eq!(kept.due_at.map(|due| time.between(at(now), due)), Some(limit - model.counted));
            }
            // Looking again changes nothing.
            seen.restart = None;
            let (again, said) = kept.go_on(&seen, &time, at(now));
            prop_assert_eq!(&again, &kept);
            prop_assert!(said.is_empty());
        }
    }
}

#[test]
fn a_limit_shorter_than_its_warning_does_not_begin_with_it() {
    let time = Hours { limit: 600, warn_before: vec![900, 300], all: true };
    let seen = Seen { from: Some(at(0)), runs: true, ..Seen::default() };
    let (kept, said) = Kept::default().go_on(&seen, &time, at(0));
    assert_eq!((said.len(), kept.next(&time)), (0, Some(at(300))));
    let (kept, said) = kept.go_on(&seen, &time, at(300));
    assert_eq!((said, kept.next(&time)), (vec![Said::Warning], Some(at(600))));
}

#[test]
fn what_does_not_run_says_nothing_and_counts_on_from_where_it_began() {
    let time = Hours { limit: 600, warn_before: Vec::new(), all: true };
    let off = Seen { from: Some(at(0)), runs: false, ..Seen::default() };
    let on = Seen { runs: true, ..off.clone() };
    let (kept, _) = Kept::default().go_on(&on, &time, at(0));
    let (kept, _) = kept.go_on(&off, &time, at(100));
    assert_eq!((kept.state, kept.due_at, kept.next(&time)), (None, None, None));
    let (kept, _) = kept.go_on(&on, &time, at(200));
    assert_eq!((kept.state, kept.due_at), (Some(State::Running), Some(at(600))));
    let (kept, said) = kept.go_on(&on, &time, at(600) + Duration::seconds(1));
    assert_eq!((kept.state, said), (Some(State::Missed), vec![Said::Missed]));
    let (kept, _) = kept.go_on(&off, &time, at(700));
    let (kept, said) = kept.go_on(&on, &time, at(800));
    assert_eq!((kept.state, said.len()), (Some(State::Missed), 0), "what was said once is not said again");
}
