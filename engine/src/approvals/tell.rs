//! In charge of telling people about approvals: in their language, without what they may not see.

use std::cell::RefCell;
use std::sync::Arc;

use flow::approval::Notice;
use model::Message;
use rules::query::Path;
use uuid::Uuid;

use crate::approvals::plan::FlowPlan;
use crate::approvals::rows::Row;
use crate::approvals::sight;
use crate::ctx::{Ctx, Person};
use crate::error::Error;
use crate::notices::{self, Way, Words};
use crate::records::ChangeNote;
use crate::records::lookup::{Reader, is_live};
use crate::records::slice::Writer;

fn key(notice: Notice) -> &'static str {
    match notice {
        Notice::Task => "notice_task",
        Notice::Delegated => "notice_delegated",
        Notice::Opinion => "notice_opinion",
        Notice::Returned => "notice_returned",
        Notice::Reminder => "notice_reminder",
        Notice::Urged => "notice_urged",
        Notice::Ended => "notice_ended",
        Notice::Comment => "notice_comment",
        Notice::Parked => "notice_parked",
        Notice::Copy => "notice_copy",
    }
}

/// Tells one person; what others hear of after the commit.
pub(crate) fn tell(w: &Writer<'_>, plan: &FlowPlan, row: &Row, person: Uuid, notice: Notice, seat: Option<u32>) -> Result<Vec<ChangeNote>, Error> {
    // A task that was decided in the same step is none.
    if matches!(notice, Notice::Task | Notice::Reminder) && seat.and_then(|seat| row.instance.seat(seat)).is_some_and(|seat| !seat.state.is_open()) {
        return Ok(Vec::new());
    }
    let word = key(notice).strip_prefix("notice_").unwrap_or_default();
    let def = w.def(plan.entity);
    // What lies in the bin cannot be opened from a notice.
    let is_there = w.reader.read(plan.entity, row.record)?.is_some_and(|cells| is_live(def, &cells));
    let told = notices::Notice {
        kind: word.to_owned(),
        about: is_there.then(|| (row.entity.clone(), row.record)),
        approval: Some(plan.flow.name.to_string()),
        teller: Some(row.id),
    };
    let step = seat.and_then(|seat| row.instance.seat(seat)).and_then(|seat| row.instance.visit(seat.visit)).map(|visit| visit.node.as_str());
    let words = |reader: &Arc<Person>| {
        let cx = crate::people::context_of(w.cx, Arc::clone(reader));
        let sight = sight::within(&cx, w, plan, row, step)?;
        let title = title(w, plan, row, sight.as_ref(), &reader.locale)?;
        let state = Message::new(state_key(row.instance.state)).text(&reader.locale);
        let subject = Message::new(key(notice)).with("title", title).with("state", state).text(&reader.locale);
        Ok(Words { subject, text: row.number.clone().unwrap_or_default() })
    };
    let (_, notes) = notices::tell(w.cx, w.tx, Way::Notice, &[person], &told, &words)?;
    Ok(notes)
}

/// The message that names a state.
pub(crate) fn state_key(state: flow::approval::State) -> &'static str {
    use flow::approval::State;
    match state {
        State::None => "state_none",
        State::Running => "state_running",
        State::Returned => "state_returned",
        State::Approved => "state_approved",
        State::Rejected => "state_rejected",
        State::Withdrawn => "state_withdrawn",
        State::Revoked => "state_revoked",
        State::Ended => "state_ended",
    }
}

/// What names an instance for a reader, as far as they see its record: the flow's title, else the flow and the record; the
/// flow alone where the record is out of sight.
pub(crate) fn title(w: &Writer<'_>, plan: &FlowPlan, row: &Row, sight: Option<&Ctx>, locale: &str) -> Result<String, Error> {
    let label = plan.flow.label.as_ref().map_or_else(|| plan.flow.name.to_string(), |label| label.get(locale).to_owned());
    let Some(cx) = sight else { return Ok(label) };
    let Some(cells) = w.reader.read(plan.entity, row.record)? else { return Ok(label) };
    let schema = &w.app.schema;
    let context = model::field::TextContext { locale, zone: w.cx.workspace_zone() };
    let reader = Reader::new(w.tx, schema);
    let failed = RefCell::new(None);
    let text = |path: &Path| match reader.seen_along(cx, path, &cells) {
        Ok(values) => path.target(schema).typed.as_ref().map(|typed| typed.text(&values, context)).unwrap_or_default(),
        Err(error) => {
            *failed.borrow_mut() = Some(error);
            String::new()
        }
    };
    let own = match &plan.title {
        Some(title) => title.render(text),
        None => {
            let title = &w.app.plan(plan.entity).title;
            title.render(|index| title.inputs().get(index).map(|input| text(&input.path)).unwrap_or_default())
        }
    };
    if let Some(error) = failed.take() {
        return Err(error);
    }
    Ok(if own.is_empty() { label } else { format!("{label} {own}") })
}
