//! In charge of settings that an administrator changes without changing the app.
//! Invariant: a setting holds a value of its declared kind, or the app's own default.
//! Invariant: what was compiled with settings is compiled again: a change of them is a revision like any other.

use std::sync::Arc;

use indexmap::IndexMap;
use model::doc::{App, ValueSpec};
use model::fault::escape_pointer;
use model::{Code, Input, Message, Storage, Value, Violation};
use serde_json::{Map, Value as Json};
use store::system::Cond;
use store::system::revision::SETTING;

use crate::Engine;
use crate::ctx::Ctx;
use crate::error::Error;

impl Engine {
    /// Sets settings, `{app: {name: value}}`; `null` brings the app's default back.
    ///
    /// # Errors
    /// `Forbidden` without all rights; every name that is not known and every value of a wrong kind.
    pub async fn set_settings(&self, cx: &Ctx, changes: &IndexMap<String, Input>) -> Result<(), Error> {
        if !cx.caller.is_admin() {
            return Err(Error::Forbidden);
        }
        let rows = checked(cx, changes)?;
        if rows.is_empty() {
            return Ok(());
        }
        self.store()
            .write::<_, Error, _>(move |tx| {
                for (app, name, value) in &rows {
                    match value {
                        Value::Null => {
                            tx.remove(&SETTING, &[Cond::Eq("app", Value::text(app)), Cond::Eq("name", Value::text(name))])?;
                        }
                        value => tx.put_over(&SETTING, vec![Value::text(app), Value::text(name), value.clone()])?,
                    }
                }
                Ok(())
            })
            .await?;
        self.publish(cx, Vec::new(), "settings").await.map(drop)
    }
}

fn checked(cx: &Ctx, changes: &IndexMap<String, Input>) -> Result<Vec<(String, String, Value)>, Error> {
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for (app_name, values) in changes {
        let at = format!("/{}", escape_pointer(app_name));
        let (Some(app), Some(values)) = (cx.app.app(app_name), values.as_map()) else {
            faults.push(Violation::at(at, Code::UnknownField, Message::new("unknown_setting").with("name", app_name)));
            continue;
        };
        for (name, value) in values {
            let at = format!("{at}/{}", escape_pointer(name));
            match app.app.settings.get(name.as_str()) {
                None => faults.push(Violation::at(at, Code::UnknownField, Message::new("unknown_setting").with("name", name))),
                Some(field) if !fits(model::schema::storage_of(field), value) => {
                    faults.push(Violation::at(at, Code::WrongType, Message::new("wrong_type").with("expected", &field.kind)));
                }
                Some(_) if *value == Input::Null => rows.push((app_name.clone(), name.clone(), Value::Null)),
                Some(_) => rows.push((app_name.clone(), name.clone(), Value::Json(Arc::new(value.to_json())))),
            }
        }
    }
    if faults.is_empty() { Ok(rows) } else { Err(Error::Invalid(faults)) }
}

fn fits(storage: Option<Storage>, value: &Input) -> bool {
    match (storage, value) {
        (_, Input::Null) | (Some(Storage::Json) | None, _) | (Some(Storage::Bool), Input::Bool(_)) => true,
        (Some(Storage::Int), number) => number.as_int().is_some(),
        (Some(Storage::Decimal(_)), Input::Number(digits) | Input::Text(digits)) => digits.parse::<rust_decimal::Decimal>().is_ok(),
        (Some(Storage::Text | Storage::Date | Storage::Time | Storage::Timestamp | Storage::Uuid), Input::Text(text)) => !text.contains('\0'),
        (Some(_), _) => false,
    }
}

/// The values of an app's settings: what was set, else plain defaults.
pub(crate) fn values_of(app: &App, set: Option<&Map<String, Json>>) -> Map<String, Json> {
    app.app
        .settings
        .iter()
        .map(|(name, field)| {
            let default = match &field.common.default {
                Some(ValueSpec::Plain(json)) => json.clone(),
                Some(ValueSpec::Rule(_)) | None => Json::Null,
            };
            (name.to_string(), set.and_then(|set| set.get(name.as_str())).cloned().unwrap_or(default))
        })
        .collect()
}
