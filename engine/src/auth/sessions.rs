//! In charge of sessions: begun by a password, ended by the person, by time, or with the person's activity.
//! Invariant: a session slides by 12 hours and never outlives 30 days; its token never outlives it.
//! Invariant: what is remembered here is only what the store holds, and only where no other process writes it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use model::{Code, Message, Value};
use store::system::Cond;
use store::system::access::{API_TOKEN, CREDENTIAL, SESSION};
use uuid::Uuid;

use super::secret::{self, Hash, Opens, stored};
use super::tokens::Scope;
use super::{Auth, Inner};
use crate::error::Error;

/// How long a session lives without use.
const IDLE: Duration = Duration::hours(12);
/// How long a session lives at most.
const LIFE: Duration = Duration::days(30);
/// How often use is noted: a request must not be a write.
const NOTED: Duration = Duration::minutes(5);
/// How many secrets are remembered.
const REMEMBERED: usize = 10_000;

/// Secrets that were found good.
pub(super) type Known = HashMap<Hash, Arc<Verified>>;

/// Where a request comes from.
#[derive(Clone, Debug)]
pub struct Client {
    /// The address, of the client itself where a trusted proxy told it.
    pub address: IpAddr,
    /// What the client calls itself.
    pub agent: String,
}

/// What a good secret stands for.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The person.
    pub user: Uuid,
    /// The session or token, by the name that its owner sees.
    pub id: Uuid,
    /// What it opens.
    pub opens: Opens,
    /// What it may be used for; everything where it is no token with scopes.
    pub scopes: Vec<Scope>,
    /// When it ends, if nothing happens.
    pub expires_at: Option<DateTime<Utc>>,
    /// Its hash as it is stored.
    pub(super) key: Value,
    /// The session that it is, or that it ends with.
    pub(super) session: Option<Value>,
    created_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
}

/// What a good password gives.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The person.
    pub user: Uuid,
    /// The session.
    pub session: Uuid,
    /// The secret for the cookie.
    pub secret: String,
    /// The secret for programs, where one was asked for.
    pub token: Option<String>,
    /// How long the cookie may be kept.
    pub lives: std::time::Duration,
}

/// A session as its owner sees it.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// Its name.
    pub id: Uuid,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to five minutes.
    pub seen_at: DateTime<Utc>,
    /// When it ends, if it is not used.
    pub expires_at: DateTime<Utc>,
    /// The address that it began from.
    pub address: String,
    /// What the client calls itself.
    pub agent: String,
}

impl Auth {
    /// Begins a session for who knows the password.
    ///
    /// # Errors
    /// `unauthenticated`, the same for an unknown account, a wrong password and a person who is not active; or a wait.
    pub async fn sign_in(&self, email: &str, password: &str, client: &Client, with_token: bool) -> Result<SignedIn, Error> {
        let now = self.0.engine.now();
        self.0.limits.begin(email, client.address, now)?;
        let user = self.find_user(email).await?;
        let known = match user {
            Some(user) => self.credential(user).await?,
            None => None,
        };
        let good = self.0.hasher.verify(known, password.to_owned()).await?;
        let active = match user {
            Some(user) if good => self.0.engine.person(user).await?.is_some(),
            Some(_) | None => false,
        };
        match user {
            Some(user) if active => {
                self.0.limits.succeeded(email, client.address);
                self.begin(user, client, with_token).await
            }
            Some(_) | None => Err(Error::of(Code::Unauthenticated, Message::new("wrong_credentials"))),
        }
    }

    pub(super) async fn credential(&self, user: Uuid) -> Result<Option<String>, Error> {
        let rows = self.0.engine.store().read::<_, Error, _>(move |tx| Ok(tx.find(&CREDENTIAL, &[Cond::Eq("user", user.into())], &[], 1)?)).await?;
        Ok(rows.first().and_then(|row| row.get(1)).and_then(Value::as_text).map(str::to_owned))
    }

    /// Begins a session.
    ///
    /// # Errors
    /// Where the store cannot.
    pub async fn begin(&self, user: Uuid, client: &Client, with_token: bool) -> Result<SignedIn, Error> {
        let now = self.0.engine.now();
        let (secret, session) = (secret::make(Opens::Session)?, self.0.engine.system().new_id());
        let agent: String = client.agent.chars().filter(|character| !character.is_control()).take(200).collect();
        let key = stored(&secret::hash(&secret));
        let row = vec![
            key.clone(),
            Value::Uuid(session),
            Value::Uuid(user),
            Value::text(&secret::csrf(&secret)),
            Value::Timestamp(now),
            Value::Timestamp(now),
            Value::Timestamp(now + IDLE),
            Value::text(&client.address.to_string()),
            Value::text(&agent),
        ];
        let token = if with_token { Some(secret::make(Opens::SessionToken)?) } else { None };
        let beside = token.as_deref().map(|token| super::tokens::row_of_session(token, user, key, now, now + IDLE));
        self.0
            .engine
            .store()
            .write::<_, Error, _>(move |tx| {
                tx.remove(&SESSION, &[Cond::Lt("expires_at", Value::Timestamp(now))])?;
                tx.put(&SESSION, std::slice::from_ref(&row))?;
                Ok(tx.put(&API_TOKEN, beside.as_slice())?)
            })
            .await?;
        Ok(SignedIn { user, session, secret, token, lives: LIFE.to_std().unwrap_or_default() })
    }

    /// What `secret` stands for now.
    ///
    /// # Errors
    /// `unauthenticated` where it stands for nothing, not any more, or its person is not active.
    pub async fn verify(&self, secret: &str) -> Result<Arc<Verified>, Error> {
        let Some(opens) = Opens::of(secret) else { return Err(Error::Unauthenticated) };
        let (hash, now) = (secret::hash(secret), self.0.engine.now());
        let known = self.0.known.read().get(&hash).cloned();
        let verified = match known {
            Some(verified) => verified,
            None => self.look_up(hash, opens, now).await?,
        };
        // A clock that jumped back leaves `created_at` in the future; such a session ends at its idle time.
        if verified.expires_at.is_some_and(|end| end <= now) || verified.opens == Opens::Password {
            self.0.known.write().remove(&hash);
            return Err(Error::Unauthenticated);
        }
        if self.0.engine.person(verified.user).await?.is_none() {
            self.end_all(verified.user, None).await?;
            self.end_tokens(verified.user).await?;
            return Err(Error::Unauthenticated);
        }
        if verified.opens == Opens::Session && now - verified.seen_at > NOTED {
            return self.note_use(hash, &verified, now).await;
        }
        Ok(verified)
    }

    async fn look_up(&self, hash: Hash, opens: Opens, now: DateTime<Utc>) -> Result<Arc<Verified>, Error> {
        let rows = self
            .0
            .engine
            .store()
            .read::<_, Error, _>(move |tx| {
                let table = if opens == Opens::Session { &SESSION } else { &API_TOKEN };
                Ok(tx.find(table, &[Cond::Eq("id", stored(&hash))], &[], 1)?)
            })
            .await?;
        let row = rows.first().ok_or(Error::Unauthenticated)?;
        let verified = match opens {
            Opens::ApiToken | Opens::SessionToken => super::tokens::verified(row, opens, now),
            Opens::Session => verified(row),
            Opens::Password | Opens::Form => None,
        };
        let verified = Arc::new(verified.ok_or(Error::Unauthenticated)?);
        self.0.remember(hash, &verified);
        Ok(verified)
    }

    /// Lets a session slide, and the token that came with it.
    async fn note_use(&self, hash: Hash, verified: &Verified, now: DateTime<Utc>) -> Result<Arc<Verified>, Error> {
        let until = (now + IDLE).min(verified.created_at + LIFE);
        let done = self
            .0
            .engine
            .store()
            .write::<_, Error, _>(move |tx| {
                Ok(tx.change(
                    &SESSION,
                    &[("seen_at", Value::Timestamp(now)), ("expires_at", Value::Timestamp(until))],
                    &[Cond::Eq("id", stored(&hash))],
                )?)
            })
            .await?;
        if done == 0 {
            self.0.known.write().remove(&hash);
            return Err(Error::Unauthenticated);
        }
        let verified = Arc::new(Verified { seen_at: now, expires_at: Some(until), ..verified.clone() });
        self.0.remember(hash, &verified);
        Ok(verified)
    }

    /// That what was verified before still holds: for answers that never end by themselves.
    ///
    /// # Errors
    /// `unauthenticated` where it does not.
    pub async fn still_good(&self, verified: &Verified) -> Result<(), Error> {
        let (key, opens, now) = (verified.key.clone(), verified.opens, self.0.engine.now());
        let find = move |tx: &store::Tx| {
            let table = if opens == Opens::Session { &SESSION } else { &API_TOKEN };
            Ok(tx.find(table, &[Cond::Eq("id", key.clone())], &[], 1)?)
        };
        let rows = self.0.engine.store().read::<_, Error, _>(find).await?;
        let row = rows.first().ok_or(Error::Unauthenticated)?;
        let found = if opens == Opens::Session { self::verified(row) } else { super::tokens::verified(row, opens, now) };
        let alive = found.is_some_and(|found| found.expires_at.is_none_or(|end| end > now));
        if alive && self.0.engine.person(verified.user).await?.is_some() { Ok(()) } else { Err(Error::Unauthenticated) }
    }

    /// The sessions of a person, newest first.
    ///
    /// # Errors
    /// Where the store cannot.
    pub async fn sessions(&self, user: Uuid) -> Result<Vec<SessionInfo>, Error> {
        let now = self.0.engine.now();
        let rows = self
            .0
            .engine
            .store()
            .read::<_, Error, _>(move |tx| {
                let fit = [Cond::Eq("user", user.into()), Cond::Gt("expires_at", Value::Timestamp(now))];
                Ok(tx.find(&SESSION, &fit, &[("seen_at", true)], 200)?)
            })
            .await?;
        Ok(rows.iter().filter_map(|row| info(row)).collect())
    }

    /// Ends one session of a person, with its token.
    ///
    /// # Errors
    /// Not found where they have no such session.
    pub async fn end(&self, user: Uuid, session: Uuid) -> Result<(), Error> {
        let done = self
            .0
            .engine
            .store()
            .write::<_, Error, _>(move |tx| {
                let rows = tx.find(&SESSION, &[Cond::Eq("user", user.into()), Cond::Eq("handle", session.into())], &[], 1)?;
                remove(tx, &rows)
            })
            .await?;
        self.0.forget(user);
        if done == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    /// Ends the session that a request was made in, whether by its cookie or by its token; a token of its own ends too.
    ///
    /// # Errors
    /// Where the store cannot.
    pub async fn end_own(&self, verified: &Verified) -> Result<(), Error> {
        let Some(key) = verified.session.clone() else {
            return self.end_token(verified.user, verified.id).await;
        };
        self.0.engine.store().write::<_, Error, _>(move |tx| remove(tx, &[vec![key.clone()]])).await?;
        self.0.forget(verified.user);
        Ok(())
    }

    /// Ends all sessions of a person, but for the one that asks.
    ///
    /// # Errors
    /// Where the store cannot.
    pub async fn end_all(&self, user: Uuid, but: Option<&Verified>) -> Result<(), Error> {
        let but = but.and_then(|verified| verified.session.clone());
        self.0.engine.store().write::<_, Error, _>(move |tx| end_but(tx, user, but.as_ref()).map(drop)).await?;
        self.0.forget(user);
        Ok(())
    }
}

impl Inner {
    fn remember(&self, hash: Hash, verified: &Arc<Verified>) {
        if !self.engine.store().is_exclusive() {
            return;
        }
        let mut known = self.known.write();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(hash, Arc::clone(verified));
    }

    /// Whatever was known of a person's secrets is read again.
    pub(super) fn forget(&self, user: Uuid) {
        self.known.write().retain(|_, verified| verified.user != user);
    }
}

/// Removes sessions with the tokens that came with them; how many sessions there were.
fn remove(tx: &store::Tx, rows: &[Vec<Value>]) -> Result<u64, Error> {
    let keys: Vec<Value> = rows.iter().filter_map(|row| row.first().cloned()).collect();
    let mut done = 0;
    for some in keys.chunks(200) {
        tx.remove(&API_TOKEN, &[Cond::In("session", some.to_vec())])?;
        done += tx.remove(&SESSION, &[Cond::In("id", some.to_vec())])?;
    }
    Ok(done)
}

/// Removes the sessions of a person but for one.
pub(super) fn end_but(tx: &store::Tx, user: Uuid, but: Option<&Value>) -> Result<u64, Error> {
    let mut rows = tx.find(&SESSION, &[Cond::Eq("user", user.into())], &[], 10_000)?;
    rows.retain(|row| but.is_none() || row.first() != but);
    remove(tx, &rows)
}

fn verified(row: &[Value]) -> Option<Verified> {
    let [key, id, user, _, created_at, seen_at, expires_at, ..] = row else { return None };
    Some(Verified {
        user: user.as_uuid()?,
        id: id.as_uuid()?,
        opens: Opens::Session,
        scopes: Vec::new(),
        key: key.clone(),
        session: Some(key.clone()),
        expires_at: Some(expires_at.as_timestamp()?),
        created_at: created_at.as_timestamp()?,
        seen_at: seen_at.as_timestamp()?,
    })
}

impl Verified {
    pub(super) fn of_token(
        opens: Opens,
        key: Value,
        user: Uuid,
        session: Option<Value>,
        info: &super::TokenInfo,
        scopes: Vec<Scope>,
        now: DateTime<Utc>,
    ) -> Self {
        Self { user, id: info.id, opens, scopes, key, session, expires_at: info.expires_at, created_at: now, seen_at: now }
    }
}

fn info(row: &[Value]) -> Option<SessionInfo> {
    let [_, id, _, _, created_at, seen_at, expires_at, address, agent] = row else { return None };
    Some(SessionInfo {
        id: id.as_uuid()?,
        created_at: created_at.as_timestamp()?,
        seen_at: seen_at.as_timestamp()?,
        expires_at: expires_at.as_timestamp()?,
        address: address.as_text().unwrap_or_default().to_owned(),
        agent: agent.as_text().unwrap_or_default().to_owned(),
    })
}
