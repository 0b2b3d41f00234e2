//! In charge of what a person reads of a row that was refused.

use model::{EntityDef, Message, Wording};

use crate::ctx::Ctx;
use crate::error::Error;

/// What a person reads of a row that was refused.
pub(crate) fn reason(cx: &Ctx, def: &EntityDef, error: &Error) -> String {
    let text = |key: &'static str| Message::new(key).text(&cx.locale);
    match error {
        Error::Invalid(faults) => faults
            .iter()
            .map(|fault| {
                let said = fault.wording.text(&cx.locale);
                let label = fault.field.as_deref().and_then(|name| def.find(name)).map(|field| field.doc.label(field.name.as_str(), &cx.locale));
                match (&fault.wording, label) {
                    // What an author wrote is a whole sentence.
                    (Wording::Message(_), Some(label)) => format!("{label}: {said}"),
                    _ => said,
                }
            })
            .collect::<Vec<_>>()
            .join("; "),
        Error::Duplicates(found) => found.iter().map(|one| one.told(&cx.locale)).collect::<Vec<_>>().join("; "),
        Error::NotFound => text("row_no_match"),
        Error::Forbidden => text("forbidden"),
        Error::StaleVersion { .. } => text("stale_version"),
        _ => text("internal"),
    }
}
