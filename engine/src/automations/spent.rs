//! In charge of what scripts that run inside a save cost: they have no run of their own in which that would be kept.
//! Invariant: counts only, of this process since the revision began; counting never makes a save wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rules::script::Cost;
use serde_json::{Value as Json, json};

/// What the scripts of one automation cost so far.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    times: AtomicU64,
    failed: AtomicU64,
    micros: AtomicU64,
    longest: AtomicU64,
    operations: AtomicU64,
}

impl Spent {
    /// Counts one more.
    pub(crate) fn add(&self, cost: Cost, took: Duration, failed: bool) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.times.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(failed), Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        self.longest.fetch_max(micros, Ordering::Relaxed);
        self.operations.fetch_add(cost.operations, Ordering::Relaxed);
    }

    /// `{"times", "failed", "milliseconds", "longest", "operations"}`: how often, how often it refused, and on average; `null`
    /// where none ran.
    pub(crate) fn told(&self) -> Json {
        let times = self.times.load(Ordering::Relaxed);
        if times == 0 {
            return Json::Null;
        }
        let each = |sum: &AtomicU64| sum.load(Ordering::Relaxed) as f64 / times as f64;
        json!({
            "times": times,
            "failed": self.failed.load(Ordering::Relaxed),
            "milliseconds": each(&self.micros) / 1_000.0,
            "longest": self.longest.load(Ordering::Relaxed) as f64 / 1_000.0,
            "operations": each(&self.operations),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_told_on_average() {
        let spent = Spent::default();
        assert_eq!(spent.told(), Json::Null);
        spent.add(Cost { operations: 10, ..Cost::default() }, Duration::from_millis(1), false);
        spent.add(Cost { operations: 30, ..Cost::default() }, Duration::from_millis(3), true);
        assert_eq!(spent.told(), json!({"times": 2, "failed": 1, "milliseconds": 2.0, "longest": 3.0, "operations": 20.0}));
    }
}
