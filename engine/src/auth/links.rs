//! In charge of links by which a password is set once: the owner's at the first start, and for who forgot theirs.
//! Invariant: a link works once, for a day, and a newer one of the same person ends it.
//! Invariant: setting a password ends every session and every link of the person.

use chrono::Duration;
use model::{Code, Message, Value};
use store::system::Cond;
use store::system::access::{CREDENTIAL, LINK};
use uuid::Uuid;

use super::secret::{self, Opens, stored};
use super::{Auth, Client, Verified, password, sessions};
use crate::error::Error;

/// How long a link works.
const LIFE: Duration = Duration::hours(24);

impl Auth {
    /// The secret of a link by which `user` sets a password.
    ///
    /// # Errors
    /// Where the store cannot.
    pub async fn make_link(&self, user: Uuid) -> Result<String, Error> {
        let secret = secret::make(Opens::Password)?;
        let now = self.0.engine.now();
        let purpose = if self.credential(user).await?.is_some() { "reset" } else { "set_up" };
        let row = vec![stored(&secret::hash(&secret)), Value::Uuid(user), Value::text(purpose), Value::Timestamp(now), Value::Timestamp(now + LIFE)];
        self.0
            .engine
            .store()
            .write::<_, Error, _>(move |tx| {
                tx.remove(&LINK, &[Cond::Eq("user", user.into())])?;
                Ok(tx.put(&LINK, std::slice::from_ref(&row))?)
            })
            .await?;
        Ok(secret)
    }

    /// Whom a link is for, while it works.
    ///
    /// # Errors
    /// Not found where it does not.
    pub async fn link_owner(&self, secret: &str) -> Result<Uuid, Error> {
        let (hash, now) = (secret::hash(secret), self.0.engine.now());
        let find =
            move |tx: &store::Tx| Ok(tx.find(&LINK, &[Cond::Eq("id", stored(&hash)), Cond::Gt("expires_at", Value::Timestamp(now))], &[], 1)?);
        let rows = self.0.engine.store().read::<_, Error, _>(find).await?;
        rows.first().and_then(|row| row.get(1)).and_then(Value::as_uuid).ok_or(Error::NotFound)
    }

    /// Sets a password by a link; the person it is for.
    ///
    /// # Errors
    /// Where the link does not work or the password is too weak.
    pub async fn set_by_link(&self, secret: &str, new: &str, client: &Client) -> Result<Uuid, Error> {
        self.0.limits.begin("a link", client.address, self.0.engine.now())?;
        let user = self.link_owner(secret).await.map_err(|error| match error {
            Error::NotFound => Error::of(Code::NotFound, Message::new("link_ended")),
            error => error,
        })?;
        self.0.limits.succeeded("a link", client.address);
        let email = self.user(user).await?.email;
        password::judge(new, &email)?;
        let hash = self.0.hasher.hash(new.to_owned()).await?;
        self.store_password(user, hash, Some(secret::hash(secret)), None).await?;
        Ok(user)
    }

    /// Changes a password by the old one; other sessions end.
    ///
    /// # Errors
    /// Where the old one is wrong or the new one is too weak.
    pub async fn change_password(&self, asks: &Verified, old: &str, new: &str, client: &Client) -> Result<(), Error> {
        let user = asks.user;
        let email = self.user(user).await?.email;
        self.0.limits.begin(&email, client.address, self.0.engine.now())?;
        let known = self.credential(user).await?;
        if !self.0.hasher.verify(known, old.to_owned()).await? {
            let fault = model::Violation::of_field("current", Code::BadFormat, Message::new("wrong_credentials"));
            return Err(fault.into());
        }
        self.0.limits.succeeded(&email, client.address);
        password::judge(new, &email)?;
        let hash = self.0.hasher.hash(new.to_owned()).await?;
        self.store_password(user, hash, None, asks.session.clone()).await
    }

    /// Sets a password without any question: the command line, a demonstration.
    ///
    /// # Errors
    /// Where the password is too weak.
    pub async fn set_password(&self, user: Uuid, new: &str) -> Result<(), Error> {
        let email = self.user(user).await?.email;
        password::judge(new, &email)?;
        let hash = self.0.hasher.hash(new.to_owned()).await?;
        self.store_password(user, hash, None, None).await
    }

    /// Stores a hash. Where a link is given it must still work: of two who use it at once one wins.
    async fn store_password(&self, user: Uuid, hash: String, link: Option<secret::Hash>, stays: Option<Value>) -> Result<(), Error> {
        let now = self.0.engine.now();
        self.0
            .engine
            .store()
            .write::<_, Error, _>(move |tx| {
                if let Some(link) = &link
                    && tx.remove(&LINK, &[Cond::Eq("id", stored(link))])? == 0
                {
                    return Err(Error::of(Code::NotFound, Message::new("link_ended")));
                }
                tx.remove(&LINK, &[Cond::Eq("user", user.into())])?;
                sessions::end_but(tx, user, stays.as_ref())?;
                Ok(tx.put_over(&CREDENTIAL, vec![Value::Uuid(user), Value::text(&hash), Value::Timestamp(now)])?)
            })
            .await?;
        self.0.forget(user);
        Ok(())
    }
}
