//! In charge of slowing down those who guess passwords.
//! Invariant: failures count per account and address together, so nobody locks anybody out from elsewhere.
//! Invariant: an account that does not exist is counted like one that does.
//! Invariant: memory is bounded; what is over is forgotten first.

use std::collections::HashMap;
use std::net::IpAddr;

use chrono::{DateTime, Duration, Utc};
use parking_lot::Mutex;

use crate::error::Error;

/// Failures of one account from one address that cost nothing yet.
const FREE_PER_PAIR: u32 = 5;
/// Failures from one address, whatever the account, that cost nothing yet.
const FREE_PER_ADDRESS: u32 = 50;
/// The longest wait, in seconds.
const LONGEST: i64 = 900;
/// After how many seconds without a failure all is forgotten.
const FORGET: i64 = 3_600;
/// How many accounts and addresses are remembered.
const REMEMBERED: usize = 50_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Pair(String, IpAddr),
    Address(IpAddr),
}

struct Failures {
    count: u32,
    last: DateTime<Utc>,
}

impl Failures {
    fn wait(&self, free: u32) -> Duration {
        let over = self.count.saturating_sub(free);
        if over == 0 { Duration::zero() } else { Duration::seconds((1_i64 << (over - 1).min(20)).min(LONGEST)) }
    }
}

/// Counts failures.
#[derive(Default)]
pub(super) struct Limits(Mutex<HashMap<Key, Failures>>);

impl Limits {
    /// Takes note of a try before it is known how it ends, so that many at once are no way around.
    pub(super) fn begin(&self, account: &str, address: IpAddr, now: DateTime<Utc>) -> Result<(), Error> {
        let address = network(address);
        let keys = [(Key::Pair(model::text::fold(account), address), FREE_PER_PAIR), (Key::Address(address), FREE_PER_ADDRESS)];
        let mut seen = self.0.lock();
        for (key, free) in &keys {
            if let Some(failures) = seen.get(key) {
                let until = failures.last + failures.wait(*free);
                if now < until {
                    return Err(Error::RateLimited { retry_after: u64::try_from((until - now).num_seconds().max(0)).unwrap_or_default() + 1 });
                }
            }
        }
        if seen.len() > REMEMBERED {
            forget(&mut seen, now);
        }
        for (key, _) in keys {
            let failures = seen.entry(key).or_insert(Failures { count: 0, last: now });
            if now - failures.last > Duration::seconds(FORGET) {
                failures.count = 0;
            }
            failures.count += 1;
            failures.last = now;
        }
        Ok(())
    }

    /// The try was a good one.
    pub(super) fn succeeded(&self, account: &str, address: IpAddr) {
        let address = network(address);
        let mut seen = self.0.lock();
        seen.remove(&Key::Pair(model::text::fold(account), address));
        if let Some(failures) = seen.get_mut(&Key::Address(address)) {
            failures.count = failures.count.saturating_sub(1);
        }
    }
}

/// Drops what is old, and if that is not enough the oldest half.
fn forget(seen: &mut HashMap<Key, Failures>, now: DateTime<Utc>) {
    seen.retain(|_, failures| now - failures.last <= Duration::seconds(FORGET));
    if seen.len() > REMEMBERED {
        let mut times: Vec<_> = seen.values().map(|failures| failures.last).collect();
        times.sort_unstable();
        if let Some(middle) = times.get(times.len() / 2).copied() {
            seen.retain(|_, failures| failures.last > middle);
        }
    }
}

/// The network that an address stands for: one household has 2^64 addresses of IPv6.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUESSER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9));
    const OWNER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 4));

    #[test]
    fn guessing_gets_slower_and_the_owner_is_not_locked_out() {
        let limits = Limits::default();
        let now = DateTime::UNIX_EPOCH;
        for _ in 0..=FREE_PER_PAIR {
            limits.begin("ann@example.com", GUESSER, now).expect("free");
        }
        assert!(matches!(limits.begin("Ann@example.com", GUESSER, now), Err(Error::RateLimited { retry_after: 2 })));
        limits.begin("ann@example.com", GUESSER, now + Duration::seconds(2)).expect("waited");
        assert!(limits.begin("ann@example.com", GUESSER, now + Duration::seconds(3)).is_err());
        limits.begin("ann@example.com", OWNER, now + Duration::seconds(3)).expect("another address");
        limits.begin("bob@example.com", GUESSER, now + Duration::seconds(3)).expect("another account");
    }

    #[test]
    fn one_address_cannot_try_many_accounts() {
        let limits = Limits::default();
        let now = DateTime::UNIX_EPOCH;
        for number in 0..=FREE_PER_ADDRESS {
            limits.begin(&format!("{number}@example.com"), GUESSER, now).expect("free");
        }
        assert!(limits.begin("next@example.com", GUESSER, now).is_err());
    }

    #[test]
    fn a_good_try_clears_the_pair() {
        let limits = Limits::default();
        let now = DateTime::UNIX_EPOCH;
        for _ in 0..100 {
            limits.begin("ann@example.com", OWNER, now).expect("never slowed");
            limits.succeeded("ann@example.com", OWNER);
        }
    }
}
