//! In charge of telling people about approvals: in their language, without what they may not see.

use flow::approval::Notice;
use model::Message;
use rules::policy::Grants;
use uuid::Uuid;

use crate::approvals::plan::FlowPlan;
use crate::approvals::rows::Row;
use crate::ctx::Person;
use crate::error::Error;
use crate::notices::{self, Way, Words};
use crate::records::ChangeNote;
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
    let told = notices::Notice {
        kind: word.to_owned(),
        about: Some((row.entity.clone(), row.record)),
        approval: Some(plan.flow.name.to_string()),
        teller: Some(row.id),
    };
    let words = |reader: &Person| {
        let grants = crate::people::grants(w.app, reader, w.cx.now);
        let title = title(w, plan, row, &grants, &reader.locale)?;
        let state = Message::new(state_key(row)).text(&reader.locale);
        let subject = Message::new(key(notice)).with("title", title).with("state", state).text(&reader.locale);
        Ok(Words { subject, text: row.number.clone().unwrap_or_default() })
    };
    let (_, notes) = notices::tell(w.cx, w.tx, Way::Notice, &[person], &told, &words)?;
    Ok(notes)
}

fn state_key(row: &Row) -> &'static str {
    use flow::approval::State;
    match row.instance.state {
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

/// What names an instance for a reader: the flow's title, else the flow and the record.
pub(crate) fn title(w: &Writer<'_>, plan: &FlowPlan, row: &Row, grants: &Grants, locale: &str) -> Result<String, Error> {
    let label = plan.flow.label.as_ref().map_or_else(|| plan.flow.name.to_string(), |label| label.get(locale).to_owned());
    let Some(cells) = w.reader.read(plan.entity, row.record)? else { return Ok(label) };
    let schema = &w.app.schema;
    let context = model::field::TextContext { locale, zone: w.cx.workspace_zone() };
    let text = |path: &rules::query::Path| {
        let values = crate::records::along(w, path, &cells).unwrap_or_default();
        path.target(schema).typed.as_ref().map(|typed| typed.text(&values, context)).unwrap_or_default()
    };
    let own = match &plan.title {
        Some(title) => title.render(schema, grants, text),
        None => {
            let title = &w.app.plan(plan.entity).title;
            let shown = |path: &rules::query::Path| rules::query::View::comparable(grants, schema.entity(path.entity), path.target(schema));
            title.render(|index| title.inputs().get(index).filter(|input| shown(&input.path)).map(|input| text(&input.path)).unwrap_or_default())
        }
    };
    Ok(if own.is_empty() { label } else { format!("{label} {own}") })
}
