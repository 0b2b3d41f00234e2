//! In charge of approvals as rows: instances, what happened to them, who has what before them, copies, stand-ins.
//! Invariant: an instance is what its events make it; its body is kept beside them so that no replay is needed to go on.
//! Invariant: tasks are rows for lists and rights; what they say follows from the instance, written with it.

use model::Storage;

use super::Table;

/// Instances by id.
pub static APPROVAL: Table = Table {
    name: "sys_approval",
    columns: &[
        ("id", Storage::Uuid),
        ("flow", Storage::Text),
        ("definition", Storage::Text),
        ("entity", Storage::Text),
        ("record", Storage::Uuid),
        ("state", Storage::Text),
        ("initiator", Storage::Uuid),
        ("number", Storage::Text),
        ("at", Storage::Timestamp),
        ("ended_at", Storage::Timestamp),
        ("seq", Storage::Int),
        ("parent", Storage::Uuid),
        ("depth", Storage::Int),
        ("then", Storage::Json),
        ("body", Storage::Json),
    ],
    key: &["id"],
    indexes: &[&["record"], &["initiator", "at"], &["flow", "state"], &["parent"]],
};

/// What happened, in order.
pub static APPROVAL_EVENT: Table = Table {
    name: "sys_approval_event",
    columns: &[
        ("instance", Storage::Uuid),
        ("seq", Storage::Int),
        ("at", Storage::Timestamp),
        ("by", Storage::Uuid),
        ("request", Storage::Text),
        ("body", Storage::Json),
        // Under which revision of the workspace, and by which way it was asked for.
        ("revision", Storage::Int),
        ("channel", Storage::Text),
        ("device", Storage::Text),
    ],
    key: &["instance", "seq"],
    indexes: &[],
};

/// What the record was when an event happened: as it was submitted, and what somebody changed with their decision.
pub static APPROVAL_DATA: Table = Table {
    name: "sys_approval_data",
    columns: &[("instance", Storage::Uuid), ("seq", Storage::Int), ("body", Storage::Json)],
    key: &["instance", "seq"],
    indexes: &[],
};

/// What somebody wrote at a task and has not decided yet.
pub static APPROVAL_KEPT: Table = Table {
    name: "sys_approval_kept",
    columns: &[("instance", Storage::Uuid), ("seat", Storage::Int), ("person", Storage::Uuid), ("at", Storage::Timestamp), ("body", Storage::Json)],
    key: &["instance", "seat", "person"],
    indexes: &[],
};

/// Who has, or had, which task before them.
pub static APPROVAL_TASK: Table = Table {
    name: "sys_approval_task",
    columns: &[
        ("instance", Storage::Uuid),
        ("seat", Storage::Int),
        ("person", Storage::Uuid),
        ("id", Storage::Uuid),
        ("state", Storage::Text),
        ("step", Storage::Text),
        ("flow", Storage::Text),
        ("entity", Storage::Text),
        ("record", Storage::Uuid),
        ("at", Storage::Timestamp),
        ("done_at", Storage::Timestamp),
    ],
    key: &["instance", "seat", "person"],
    indexes: &[&["person", "state", "at"], &["person", "state", "done_at"], &["id"], &["record"]],
};

/// Who has a copy.
pub static APPROVAL_COPY: Table = Table {
    name: "sys_approval_copy",
    columns: &[
        ("instance", Storage::Uuid),
        ("person", Storage::Uuid),
        ("step", Storage::Text),
        ("at", Storage::Timestamp),
        ("read_at", Storage::Timestamp),
    ],
    key: &["instance", "person"],
    indexes: &[&["person", "at"]],
};

/// Who stands in for whom.
pub static PROXY: Table = Table {
    name: "sys_proxy",
    columns: &[
        ("id", Storage::Uuid),
        ("principal", Storage::Uuid),
        ("proxy", Storage::Uuid),
        ("from", Storage::Timestamp),
        ("until", Storage::Timestamp),
        ("flow", Storage::Text),
        ("at", Storage::Timestamp),
    ],
    key: &["id"],
    indexes: &[&["principal"], &["proxy"]],
};
