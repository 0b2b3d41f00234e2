//! In charge of `post`: a visitor sends a public form.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::verbs::{Failure, word};
use super::{Stage, inputs};
use crate::web_forms::{Fate, Posted};

/// `{"post": "contact_us", "values": {…}, "query": {"utm_campaign": "spring"}, "save": "lead"}`: the record that was made, or on
/// whose timeline it went.
pub(super) async fn post(stage: &mut Stage, step: &Map<String, Json>) -> Result<(), Failure> {
    let bare = word(step, "post")?;
    let form = if bare.contains('.') { bare.to_owned() } else { format!("{}.{bare}", stage.app) };
    let values = step.get("values").map(|values| stage.resolve(values, &|_| false, "")).unwrap_or_default();
    let query: BTreeMap<String, String> = match step.get("query") {
        None => BTreeMap::new(),
        Some(query) => serde_json::from_value(query.clone()).map_err(|_| "`query` holds texts by name".to_owned())?,
    };
    let posted = Posted {
        values: inputs(values.as_object().cloned().unwrap_or_default()),
        query: query.into_iter().collect(),
        token: None,
        locale: "en".to_owned(),
    };
    let received = stage.engine.post_form(&form, posted).await?;
    match (received.fate, received.record) {
        (Fate::Created | Fate::Appended | Fate::Changed, Some(id)) => stage.save(step, received.entity, id),
        (Fate::Created | Fate::Appended | Fate::Changed | Fate::Again, _) => {}
    }
    Ok(())
}
