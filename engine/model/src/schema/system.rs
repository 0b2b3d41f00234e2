//! In charge of the fields that every record has by itself.
//! Invariant: they come before all other fields, in this order.

use crate::doc::{Entity, Field, OwnerMode};
use crate::fault::Code;
use crate::field::{AcceptContext, ColumnSpec, Comparable, Numbers, OnDelete, ReferenceSpec, Reject, Role, TextContext, TypedField};
use crate::filter::Op;
use crate::input::Input;
use crate::message::Message;
use crate::value::{Storage, Value};

/// The names of the system fields; no field of an app may be called so.
pub const SYSTEM_FIELDS: [&str; 12] = [
    "id",
    "version",
    "created_at",
    "created_by",
    "updated_at",
    "updated_by",
    "deleted_at",
    "owner",
    "owner_since",
    "department",
    "position",
    "members",
];

/// The field that holds the state of a record's approval.
pub(super) const APPROVAL_STATE: &str = "approval_state";

/// What a system field holds; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Id,
    Number,
    Moment,
    User,
    Department,
    Approval,
}

/// The system fields of `entity`, in order; `is_line` adds the position among its siblings.
pub(super) fn fields_of(entity: &Entity, is_line: bool, has_flow: bool) -> Vec<(&'static str, Holds)> {
    let mut fields = vec![
        ("id", Holds::Id),
        ("version", Holds::Number),
        ("created_at", Holds::Moment),
        ("created_by", Holds::User),
        ("updated_at", Holds::Moment),
        ("updated_by", Holds::User),
        ("deleted_at", Holds::Moment),
    ];
    if entity.owner != OwnerMode::None {
        fields.extend([("owner", Holds::User), ("owner_since", Holds::Moment)]);
    }
    if entity.department.is_some() {
        fields.push(("department", Holds::Department));
    }
    if is_line {
        fields.push(("position", Holds::Number));
    }
    if has_flow {
        fields.push((APPROVAL_STATE, Holds::Approval));
    }
    fields
}

impl Holds {
    /// The field's document, as if an author had written it.
    pub(super) fn document(self) -> Field {
        Field::of_kind(match self {
            Self::Id => "id",
            Self::Number => "integer",
            Self::Moment => "datetime",
            Self::User | Self::Department => "reference",
            Self::Approval => return approval(),
        })
    }

    /// The entity that the field points at.
    pub(super) fn target(self) -> Option<&'static str> {
        match self {
            Self::User => Some("core.user"),
            Self::Department => Some("core.department"),
            Self::Id | Self::Number | Self::Moment | Self::Approval => None,
        }
    }

    /// What the field is to the engine.
    pub(super) fn role(self) -> Role {
        match self.target() {
            Some(to) => Role::Reference(ReferenceSpec {
                to: to.to_owned(),
                on_delete: OnDelete::Clear,
                inverse: None,
                filter: None,
                strict: true,
                tree: false,
            }),
            None => Role::Plain,
        }
    }
}

/// The state of a record's approval, as a choice.
pub(super) fn approval() -> Field {
    let options = serde_json::json!({
        "none": {"label": {"en": "Not submitted", "zh-CN": "未提交", "zh-TW": "未提交"}, "color": "gray"},
        "running": {"label": {"en": "In approval", "zh-CN": "审批中", "zh-TW": "簽核中"}, "color": "blue"},
        "returned": {"label": {"en": "Returned", "zh-CN": "已退回", "zh-TW": "已退回"}, "color": "orange"},
        "approved": {"label": {"en": "Approved", "zh-CN": "已通过", "zh-TW": "已通過"}, "color": "green"},
        "rejected": {"label": {"en": "Rejected", "zh-CN": "已拒绝", "zh-TW": "已拒絕"}, "color": "red"},
        "withdrawn": {"label": {"en": "Withdrawn", "zh-CN": "已撤回", "zh-TW": "已撤回"}, "color": "gray"},
        "revoked": {"label": {"en": "Revoked", "zh-CN": "已撤销", "zh-TW": "已撤銷"}, "color": "red"},
        "ended": {"label": {"en": "Ended", "zh-CN": "已终止", "zh-TW": "已終止"}, "color": "gray"}
    });
    let label = serde_json::json!({"en": "Approval", "zh-CN": "审批状态", "zh-TW": "簽核狀態"});
    let mut field = Field::of_kind("choice");
    field.settings.insert("options".to_owned(), options);
    field.common.label = serde_json::from_value(label).ok();
    field.common.default = Some(crate::doc::ValueSpec::Plain("none".into()));
    field
}

/// An id: of the record itself, or of a user or department.
#[derive(Debug)]
pub(super) struct IdField;

const ID_OPERATORS: &[Op] = &[Op::Eq, Op::Ne, Op::In, Op::NotIn, Op::IsEmpty, Op::IsSet, Op::Under, Op::Lt, Op::Le, Op::Gt, Op::Ge];

fn read(input: &Input) -> Result<Value, Reject> {
    let text = input.as_text().ok_or_else(|| Reject::wrong_type("\"…\""))?;
    uuid::Uuid::try_parse(text).map(Value::Uuid).map_err(|_| Reject::new(Code::BadReference, Message::new("bad_reference")))
}

impl TypedField for IdField {
    fn columns(&self) -> Vec<ColumnSpec> {
        vec![ColumnSpec::value(Storage::Uuid)]
    }

    fn accept(&self, input: &Input, _: &AcceptContext<'_>) -> Result<Vec<Value>, Vec<Reject>> {
        read(input).map(|value| vec![value]).map_err(|reject| vec![reject])
    }

    fn write_json(&self, cells: &[Value], _: Numbers, out: &mut Vec<u8>) {
        crate::json::write_value(cells.first().unwrap_or(&Value::Null), out);
    }

    fn operators(&self) -> &'static [Op] {
        ID_OPERATORS
    }

    fn comparable(&self) -> Comparable {
        Comparable::Scalar
    }

    fn operand(&self, _: Op, input: &Input) -> Result<Value, Reject> {
        read(input)
    }

    fn text(&self, cells: &[Value], _: TextContext<'_>) -> String {
        cells.first().and_then(Value::as_uuid).map(|id| id.to_string()).unwrap_or_default()
    }

    fn value_schema(&self) -> serde_json::Value {
        serde_json::json!({"type": ["string", "null"], "format": "uuid"})
    }
}
