//! In charge of counting what the server does, for Prometheus.
//! Invariant: counts only; no name of a person, a record or a field is ever in a metric.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;

/// The upper ends of the histogram's buckets, in microseconds.
const BUCKETS: [u64; 10] = [500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000];

/// The counts.
#[derive(Debug, Default)]
pub struct Metrics {
    running: AtomicI64,
    by_class: [AtomicU64; 5],
    buckets: [AtomicU64; BUCKETS.len()],
    micros: AtomicU64,
    streams: Arc<AtomicI64>,
}

/// Something that is running until this is dropped.
#[derive(Debug)]
pub struct Running<'a>(&'a AtomicI64);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An open event stream, until this is dropped.
#[derive(Debug)]
pub struct OpenStream(Arc<AtomicI64>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// A request begins.
    pub fn begin(&self) -> Running<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(&self.running)
    }

    /// A request was answered.
    pub fn end(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        if let Some(count) = self.by_class.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        if let Some(bucket) = BUCKETS.iter().position(|end| micros <= *end).and_then(|place| self.buckets.get(place)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// An event stream begins; none where `most` are open already.
    pub fn open_stream(&self, most: i64) -> Option<OpenStream> {
        let stream = OpenStream(Arc::clone(&self.streams));
        (self.streams.fetch_add(1, Ordering::Relaxed) < most).then_some(stream)
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn text(&self, revision: i64) -> String {
        let mut out = String::new();
        let mut line = |text: std::fmt::Arguments<'_>| {
            // Writing to a String cannot fail.
            let _infallible = out.write_fmt(format_args!("{text}\n"));
        };
        line(format_args!("# HELP trellis_requests_total Requests answered, by class of status.\n# TYPE trellis_requests_total counter"));
        let mut all = 0;
        for (place, count) in self.by_class.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            all += count;
            line(format_args!("trellis_requests_total{{class=\"{}xx\"}} {count}", place + 1));
        }
        line(format_args!("# HELP trellis_request_seconds How long requests took.\n# TYPE trellis_request_seconds histogram"));
        let mut below = 0;
        for (end, count) in BUCKETS.iter().zip(&self.buckets) {
            below += count.load(Ordering::Relaxed);
            line(format_args!("trellis_request_seconds_bucket{{le=\"{}\"}} {below}", seconds(*end)));
        }
        line(format_args!("trellis_request_seconds_bucket{{le=\"+Inf\"}} {all}"));
        line(format_args!("trellis_request_seconds_sum {}\ntrellis_request_seconds_count {all}", seconds(self.micros.load(Ordering::Relaxed))));
        line(format_args!("# HELP trellis_requests_running Requests being worked on.\n# TYPE trellis_requests_running gauge"));
        line(format_args!("trellis_requests_running {}", self.running.load(Ordering::Relaxed)));
        line(format_args!("# HELP trellis_event_streams Open event streams.\n# TYPE trellis_event_streams gauge"));
        line(format_args!("trellis_event_streams {}", self.streams.load(Ordering::Relaxed)));
        line(format_args!("# HELP trellis_revision The published revision.\n# TYPE trellis_revision gauge\ntrellis_revision {revision}"));
        out
    }
}

/// Microseconds as a decimal number of seconds.
fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up() {
        let metrics = Metrics::default();
        metrics.end(StatusCode::OK, Duration::from_micros(400));
        metrics.end(StatusCode::NOT_FOUND, Duration::from_secs(60));
        let text = metrics.text(3);
        assert!(text.contains("trellis_requests_total{class=\"2xx\"} 1\n"), "{text}");
        assert!(text.contains("trellis_request_seconds_bucket{le=\"0.000500\"} 1\n"), "{text}");
        assert!(text.contains("trellis_request_seconds_bucket{le=\"+Inf\"} 2\n"), "{text}");
        assert!(metrics.open_stream(0).is_none());
        assert!(text.contains("trellis_revision 3\n"));
    }
}
