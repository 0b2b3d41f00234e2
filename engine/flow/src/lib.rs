//! In charge of what moves through time: approvals, automations, timers. Nothing stands here yet; moves between stages are a part of the write path.
