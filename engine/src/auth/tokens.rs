//! In charge of API tokens: made by their owner, limited to scopes, ended by time or by hand.
//! Invariant: a token never does more than its owner may; scopes only take away.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use model::{Code, Message, Value, Violation};
use store::system::Cond;
use store::system::access::API_TOKEN;
use uuid::Uuid;

use super::Auth;
use super::secret::{self, Opens, stored};
use super::sessions::Verified;
use crate::error::Error;

/// How many tokens one person may have.
const MOST: usize = 100;

/// What a token may be used for; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To read.
    Read,
    /// To change records, and to read.
    Write,
    /// To change what the CRM is.
    Design,
    /// To administer people and settings.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Design, Self::Admin];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Design => "design",
            Self::Admin => "admin",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

impl Verified {
    /// Whether it may be used for this. What has no scopes may be used for all.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.is_empty() || self.scopes.contains(&scope) || (scope == Scope::Read && self.scopes.contains(&Scope::Write))
    }
}

/// A token to be made.
#[derive(Clone, Debug, Default)]
pub struct NewToken {
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for, by their words; everything where there are none.
    pub scopes: Vec<String>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A token as its owner sees it.
#[derive(Clone, Debug)]
pub struct TokenInfo {
    /// Its name for the API.
    pub id: Uuid,
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Auth {
    /// Makes a token: its secret, which nobody can read again, and what is known of it.
    ///
    /// # Errors
    /// Every fault of what was asked for.
    pub async fn make_token(&self, user: Uuid, new: NewToken) -> Result<(String, TokenInfo), Error> {
        let now = self.0.engine.now();
        judge(&new, now)?;
        if self.tokens(user).await?.len() >= MOST {
            return Err(Error::of(Code::Limit, Message::new("too_many").with("max", MOST)));
        }
        let (secret, id) = (secret::make(Opens::ApiToken)?, self.0.engine.system().new_id());
        let row = vec![
            stored(&secret::hash(&secret)),
            Value::Uuid(id),
            Value::Uuid(user),
            Value::text(new.name.trim()),
            Value::Json(Arc::new(new.scopes.clone().into())),
            Value::Timestamp(now),
            Value::Null,
            new.expires_at.map_or(Value::Null, Value::Timestamp),
            Value::Null,
        ];
        self.0.engine.store().write::<_, Error, _>(move |tx| Ok(tx.put(&API_TOKEN, std::slice::from_ref(&row))?)).await?;
        Ok((secret, TokenInfo { id, name: new.name.trim().to_owned(), scopes: new.scopes, created_at: now, expires_at: new.expires_at }))
    }

    /// The tokens of a person, newest first.
    ///
    /// # Errors
    /// Where the store cannot.
    pub async fn tokens(&self, user: Uuid) -> Result<Vec<TokenInfo>, Error> {
        let find =
            move |tx: &store::Tx| Ok(tx.find(&API_TOKEN, &[Cond::Eq("user", user.into()), Cond::Empty("session")], &[("created_at", true)], 200)?);
        let rows = self.0.engine.store().read::<_, Error, _>(find).await?;
        Ok(rows.iter().filter_map(|row| info(row)).collect())
    }

    /// Ends a token.
    ///
    /// # Errors
    /// Not found where the person has no such token.
    pub async fn end_token(&self, user: Uuid, id: Uuid) -> Result<(), Error> {
        let remove = move |tx: &store::Tx| Ok(tx.remove(&API_TOKEN, &[Cond::Eq("user", user.into()), Cond::Eq("handle", id.into())])?);
        let done = self.0.engine.store().write::<_, Error, _>(remove).await?;
        self.0.forget(user);
        if done == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    /// Ends all tokens of a person.
    pub(super) async fn end_tokens(&self, user: Uuid) -> Result<(), Error> {
        self.0.engine.store().write::<_, Error, _>(move |tx| Ok(tx.remove(&API_TOKEN, &[Cond::Eq("user", user.into())])?)).await?;
        self.0.forget(user);
        Ok(())
    }
}

fn judge(new: &NewToken, now: DateTime<Utc>) -> Result<(), Error> {
    let mut faults = Vec::new();
    if new.name.trim().is_empty() {
        faults.push(Violation::of_field("name", Code::Required, Message::new("required")));
    }
    if new.name.chars().count() > 120 || new.name.contains('\0') {
        faults.push(Violation::of_field("name", Code::OutOfRange, Message::new("too_long").with("max", 120)));
    }
    for (index, word) in new.scopes.iter().enumerate() {
        if Scope::of(word).is_none() {
            faults.push(Violation::at(format!("/scopes/{index}"), Code::OutOfRange, Message::new("not_an_option").with("value", word)));
        }
    }
    if new.expires_at.is_some_and(|end| end <= now) {
        faults.push(Violation::of_field("expires_at", Code::OutOfRange, Message::new("out_of_range_min").with("min", now.to_rfc3339())));
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

fn scopes_of(value: &Value) -> Vec<String> {
    match value {
        Value::Json(json) => json.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

/// The row of the token that comes with a session.
pub(super) fn row_of_session(token: &str, user: Uuid, session: Value, now: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Value> {
    vec![
        stored(&secret::hash(token)),
        Value::Uuid(Uuid::new_v4()),
        Value::Uuid(user),
        Value::text("sign-in"),
        Value::Json(Arc::new(serde_json::Value::Array(Vec::new()))),
        Value::Timestamp(now),
        Value::Null,
        Value::Timestamp(until),
        session,
    ]
}

/// What a row of the table stands for.
pub(super) fn verified(row: &[Value], opens: Opens, now: DateTime<Utc>) -> Option<Verified> {
    let info = info(row)?;
    // A word that this program does not know must not open everything.
    let scopes: Option<Vec<Scope>> = info.scopes.iter().map(|word| Scope::of(word)).collect();
    let session = row.get(8).filter(|key| !key.is_null()).cloned();
    // A token that came with a session opens nothing without it.
    (session.is_some() == (opens == Opens::SessionToken)).then_some(())?;
    Some(Verified::of_token(opens, row.first()?.clone(), row.get(2)?.as_uuid()?, session, &info, scopes?, now))
}

fn info(row: &[Value]) -> Option<TokenInfo> {
    let [_, id, _, name, scopes, created_at, _, expires_at, _] = row else { return None };
    Some(TokenInfo {
        id: id.as_uuid()?,
        name: name.as_text().unwrap_or_default().to_owned(),
        scopes: scopes_of(scopes),
        created_at: created_at.as_timestamp()?,
        expires_at: expires_at.as_timestamp(),
    })
}
