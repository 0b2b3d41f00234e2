//! In charge of keeping machines off public forms: a sealed token that says when the page was shown, and how often one address sends.
//! Invariant: a person is never turned away for good: what comes too fast or too late is asked for once more.
//! Invariant: memory is bounded; what is over is forgotten first.

use std::collections::HashMap;
use std::net::IpAddr;

use chrono::{DateTime, Duration, Utc};
use parking_lot::Mutex;
use store::system::form_sender;

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

    /// Takes note that `address` sends a form; all servers of a workspace count together.
    ///
    /// # Errors
    /// `RateLimited` where it has done so too often within the hour.
    pub async fn form_sent_from(&self, form: &super::FormPlan, address: IpAddr) -> Result<(), Error> {
        let (now, sender) = (self.now(), crate::auth::network(address));
        let refused = |until: DateTime<Utc>| {
            let wait = (until - now).num_seconds().max(0);
            Error::RateLimited { retry_after: u64::try_from(wait).unwrap_or_default() + 1 }
        };
        // Who was turned away already costs the database nothing more.
        if let Some(until) = self.form_limits().refused(&form.name, sender, now) {
            return Err(refused(until));
        }
        let (name, most) = (form.name.clone(), form.per_hour());
        let told = self.store().write(move |tx| Ok::<_, Error>(form_sender::count(tx, &name, &sender.to_string(), most, now)?)).await?;
        match told {
            None => Ok(()),
            Some(until) => {
                self.form_limits().refuse(&form.name, sender, until);
                Err(refused(until))
            }
        }
    }
}

/// Who was turned away by this server, and until when.
#[derive(Default)]
pub(crate) struct Limits(Mutex<HashMap<(String, IpAddr), DateTime<Utc>>>);

impl Limits {
    fn refused(&self, form: &str, sender: IpAddr, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let until = self.0.lock().get(&(form.to_owned(), sender)).copied()?;
        // A clock that was set back does not lock anybody out for longer.
        (until > now && until - now <= Duration::hours(1)).then_some(until)
    }

    fn refuse(&self, form: &str, sender: IpAddr, until: DateTime<Utc>) {
        let mut refused = self.0.lock();
        if refused.len() >= REMEMBERED {
            refused.clear();
        }
        refused.insert((form.to_owned(), sender), until);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn who_is_turned_away_is_remembered_for_an_hour_at_most() {
        let limits = Limits::default();
        let (one, other) = (IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)), IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10)));
        let now = DateTime::UNIX_EPOCH + Duration::days(1);
        let until = now + Duration::minutes(40);
        limits.refuse("a.contact", one, until);
        assert_eq!(limits.refused("a.contact", one, now), Some(until));
        assert_eq!(limits.refused("a.contact", one, until), None);
        assert_eq!(limits.refused("a.contact", other, now), None);
        assert_eq!(limits.refused("a.other", one, now), None);
        assert_eq!(limits.refused("a.contact", one, now - Duration::hours(2)), None);
    }
}
