//! In charge of where a record keeps the state of each approval flow: fields of the engine's own, called `approvals.discount.state`.
//! Invariant: a flow of the entity's own app goes by its bare name; where another app's flow has the same, its app stands before it.

use crate::doc::{Approval, Field};
use crate::label::Label;
use crate::name::Name;
use crate::schema::system::{APPROVAL_STATE, approval};

/// The word before the flows of a record.
pub(super) const APPROVALS: &str = "approvals";
/// The word behind a flow.
const STATE: &str = "state";

/// That a field is the state of one flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowState {
    /// The flow, qualified.
    pub flow: String,
    /// The field by which roles grant it.
    pub granted_as: Name,
}

impl FlowState {
    /// The state of `flow`, which is of `app`.
    pub(super) fn of(app: &Name, flow: &Name) -> Option<Self> {
        Some(Self { flow: format!("{app}.{flow}"), granted_as: Name::parse(APPROVAL_STATE)? })
    }
}

/// What the field is called.
pub(super) fn name(called: &str) -> Option<Name> {
    Some(Name::parse(APPROVALS)?.part(called).part(STATE))
}

/// The field's document, as if an author had written it.
pub(super) fn document(flow: &Name, doc: &Approval) -> Field {
    let mut field = approval();
    let of = |locale: &str| doc.label.as_ref().map_or(flow.as_str(), |label| label.get(locale)).to_owned();
    let texts = [("en", format!("{}: state", of("en"))), ("zh-CN", format!("{}：状态", of("zh-CN"))), ("zh-TW", format!("{}：狀態", of("zh-TW")))];
    field.common.label = Some(Label::Localised(texts.into_iter().map(|(locale, text)| (locale.to_owned(), text)).collect()));
    field
}
