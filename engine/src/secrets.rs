//! In charge of an app's secrets: addresses and passwords of other systems, set by an administrator and never read back.
//! Invariant: a secret rests sealed with the workspace's key; it is opened only to be sent where it belongs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Code, Message, Value};
use serde_json::Value as Json;
use store::system::Cond;
use store::system::revision::SETTING;

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::keys::MasterKey;

/// What a key in the table of settings begins with; no setting's name has a sign like it.
const PREFIX: &str = "$secret.";
/// What it is sealed for.
const PURPOSE: &str = "secret";

/// A secret sealed anew; none where the row holds none, or the old key does not open it.
pub(crate) fn anew(app: &str, key: &str, value: &Json, old: &MasterKey, new: &MasterKey) -> Result<Option<String>, Error> {
    let Some((name, sealed)) = key.strip_prefix(PREFIX).zip(value.as_str().and_then(|text| STANDARD.decode(text).ok())) else { return Ok(None) };
    let place = format!("{app}.{name}");
    let Some(clear) = old.open(PURPOSE, place.as_bytes(), &sealed) else { return Ok(None) };
    Ok(Some(STANDARD.encode(new.seal(PURPOSE, place.as_bytes(), &clear)?)))
}

impl Engine {
    /// Sets secrets of an app; an empty one is removed.
    ///
    /// # Errors
    /// `Forbidden` without all rights; `NotFound` where there is no such app; that a name is none.
    pub async fn set_secrets(&self, cx: &Ctx, app: &str, secrets: &[(String, Option<String>)]) -> Result<(), Error> {
        if !cx.caller.is_admin() {
            return Err(Error::Forbidden);
        }
        cx.app.app(app).ok_or(Error::NotFound)?;
        let mut rows = Vec::new();
        for (name, secret) in secrets {
            if !model::name::is_name(name) {
                return Err(Error::of(Code::UnknownField, Message::new("unknown_setting").with("name", name)));
            }
            let key = format!("{PREFIX}{name}");
            let sealed = match secret {
                Some(secret) => Some(STANDARD.encode(self.key().seal(PURPOSE, format!("{app}.{name}").as_bytes(), secret.as_bytes())?)),
                None => None,
            };
            rows.push((app.to_owned(), key, sealed));
        }
        self.store()
            .write::<_, Error, _>(move |tx| {
                for (app, key, sealed) in &rows {
                    match sealed {
                        Some(sealed) => {
                            let sealed = Value::Json(std::sync::Arc::new(Json::String(sealed.clone())));
                            tx.put_over(&SETTING, vec![Value::text(app), Value::text(key), sealed])?;
                        }
                        None => {
                            tx.remove(&SETTING, &[Cond::Eq("app", Value::text(app)), Cond::Eq("name", Value::text(key))])?;
                        }
                    }
                }
                Ok(())
            })
            .await
    }

    /// The names of the secrets that an app has.
    ///
    /// # Errors
    /// `Forbidden` without all rights.
    pub async fn secret_names(&self, cx: &Ctx, app: &str) -> Result<Vec<String>, Error> {
        if !cx.caller.is_admin() {
            return Err(Error::Forbidden);
        }
        let app = app.to_owned();
        let rows = self
            .store()
            .read(move |tx| tx.find(&SETTING, &[Cond::Eq("app", Value::text(&app))], &[("name", false)], 1_000).map_err(Error::from))
            .await?;
        Ok(rows.iter().filter_map(|row| row.get(1)?.as_text()?.strip_prefix(PREFIX).map(str::to_owned)).collect())
    }

    async fn secret(&self, app: &str, name: &str) -> Result<Option<String>, Error> {
        let (key, of) = (format!("{PREFIX}{name}"), app.to_owned());
        let rows = self
            .store()
            .read(move |tx| tx.find(&SETTING, &[Cond::Eq("app", Value::text(&of)), Cond::Eq("name", Value::text(&key))], &[], 1).map_err(Error::from))
            .await?;
        let sealed = rows.first().and_then(|row| row.get(2)).and_then(|value| match value {
            Value::Json(json) => json.as_str().and_then(|text| STANDARD.decode(text).ok()),
            _ => None,
        });
        Ok(sealed
            .and_then(|sealed| self.key().open(PURPOSE, format!("{app}.{name}").as_bytes(), &sealed))
            .and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    /// A text in which `$secret.name` of an app is put in.
    ///
    /// # Errors
    /// Where a secret that it names is not set.
    pub(crate) async fn with_secrets(&self, app: &str, text: &str) -> Result<String, Error> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(PREFIX) {
            out.push_str(before);
            let length = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
            let (name, behind) = after.split_at(length);
            let secret = self.secret(app, name).await?;
            out.push_str(&secret.ok_or_else(|| Error::Internal(format!("the secret `{name}` of `{app}` is not set")))?);
            rest = behind;
        }
        out.push_str(rest);
        Ok(out)
    }
}
