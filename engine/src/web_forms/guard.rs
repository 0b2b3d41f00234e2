//! In charge of keeping machines off public forms: a sealed token that says when the page was shown, and how often one address sends.
//! Invariant: a person is never turned away for good: what comes too fast or too late is asked for once more.
//! Invariant: memory is bounded; what is over is forgotten first.

use std::collections::HashMap;
use std::net::IpAddr;

use chrono::{DateTime, Duration, Utc};
use parking_lot::Mutex;

use crate::Engine;
use crate::error::Error;
use crate::keys;

/// Nobody reads and fills a form in less.
const QUICKEST: Duration = Duration::seconds(2);
/// How long a page may lie open.
const LONGEST: Duration = Duration::hours(24);
/// What tokens are sealed for.
const PURPOSE: &str = "web form";
/// How many senders are remembered.
const REMEMBERED: usize = 50_000;

/// What a token said; it names one showing of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(pub [u8; 16]);

/// Why a token is not taken; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// It is none of this form's, or too old.
    Stale,
    /// It was shown a moment ago.
    TooFast,
}

impl Engine {
    /// A token for one showing of a form.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn form_token(&self, form: &str) -> Result<String, Error> {
        let once: [u8; 16] = keys::random()?;
        let shown = self.now().timestamp_millis().to_be_bytes();
        self.key().seal_text(PURPOSE, form.as_bytes(), &[&shown[..], &once[..]].concat())
    }

    /// What a token that came back says.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn open_form_token(&self, form: &str, token: &str) -> Result<Token, Trap> {
        let opened = self.key().open_text(PURPOSE, form.as_bytes(), token).ok_or(Trap::Stale)?;
        let (shown, once) = opened.split_first_chunk::<8>().ok_or(Trap::Stale)?;
        let shown = DateTime::from_timestamp_millis(i64::from_be_bytes(*shown)).ok_or(Trap::Stale)?;
        let since = self.now() - shown;
        if since > LONGEST || since < Duration::zero() {
            return Err(Trap::Stale);
        }
        if since < QUICKEST {
            return Err(Trap::TooFast);
        }
        once.try_into().map(Token).map_err(|_| Trap::Stale)
    }

    /// Takes note that `address` sends a form.
    ///
    /// # Errors
    /// `RateLimited` where it has done so too often within the hour.
    pub fn form_sent_from(&self, form: &super::FormPlan, address: IpAddr) -> Result<(), Error> {
        self.form_limits().count(&form.name, address, form.per_hour(), self.now())
    }
}

/// One sender of one form within an hour.
struct Window {
    count: u32,
    since: DateTime<Utc>,
}

/// Counts who sends which form.
#[derive(Default)]
pub(crate) struct Limits(Mutex<HashMap<(String, IpAddr), Window>>);

impl Limits {
    fn count(&self, form: &str, address: IpAddr, per_hour: u32, now: DateTime<Utc>) -> Result<(), Error> {
        let hour = Duration::hours(1);
        let mut seen = self.0.lock();
        if seen.len() > REMEMBERED {
            seen.retain(|_, window| now - window.since < hour);
            if seen.len() > REMEMBERED {
                seen.clear();
            }
        }
        let window = seen.entry((form.to_owned(), crate::auth::network(address))).or_insert(Window { count: 0, since: now });
        if now - window.since >= hour {
            *window = Window { count: 0, since: now };
        }
        if window.count >= per_hour {
            let wait = (window.since + hour - now).num_seconds().max(0);
            return Err(Error::RateLimited { retry_after: u64::try_from(wait).unwrap_or_default() + 1 });
        }
        window.count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn one_sender_is_slowed_and_others_are_not() {
        let limits = Limits::default();
        let (one, other) = (IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)), IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10)));
        let now = DateTime::UNIX_EPOCH;
        for _ in 0..3 {
            limits.count("a.contact", one, 3, now).expect("within the hour's share");
        }
        assert!(matches!(limits.count("a.contact", one, 3, now + Duration::minutes(20)), Err(Error::RateLimited { retry_after: 2_401 })));
        limits.count("a.contact", other, 3, now).expect("another sender");
        limits.count("a.other", one, 3, now).expect("another form");
        limits.count("a.contact", one, 3, now + Duration::hours(1)).expect("another hour");
    }
}
