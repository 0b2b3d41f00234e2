//! In charge of the time that a clock counts on a record: its limit, its warnings, and by which calendar.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use flow::clock::Time;
use model::doc::TimeSpan;
use model::{Cells, EntityDef, Value};
use rules::clock::ClockPlan;
use serde_json::Value as Json;

use crate::error::Error;
use crate::records::check::holds;
use crate::records::slice::Writer;
use crate::times::Span;
use crate::times::calendar::WorkingTime;

/// A span by its calendar; none is every hour of every day.
struct Counted {
    span: Span,
    calendar: Option<Arc<WorkingTime>>,
}

/// The time of one clock on one record.
pub(super) struct Counting {
    limit: Option<Counted>,
    warn_before: Vec<Counted>,
}

impl Counting {
    /// The time of `plan` for a record with these cells.
    pub(super) fn of(w: &Writer<'_>, def: &EntityDef, plan: &ClockPlan, cells: &Cells) -> Result<Self, Error> {
        let app = def.name.app();
        let fits = |condition: &Option<_>| condition.as_ref().is_none_or(|condition| holds(w, app, def, condition, None, cells));
        let Some((_, within)) = plan.limits.iter().find(|(condition, _)| fits(condition)) else {
            return Ok(Self { limit: None, warn_before: Vec::new() });
        };
        let general = match &plan.calendar {
            Some(name) => Some(name.clone()),
            None => calendar_of(w, def, cells)?,
        };
        let counted = |span: &TimeSpan, otherwise: Option<&str>| {
            let name = span.calendar().or(otherwise);
            // One that is not there (any more) is every hour of every day: a clock that counts is better than none.
            let calendar = name.filter(|name| *name != "natural").and_then(|name| w.app.calendar(app, name)).map(Arc::clone);
            Span::read(&Json::from(span.text())).map(|span| Counted { span, calendar })
        };
        // Warnings are counted as their limit is.
        let of_limit = within.calendar().or(general.as_deref());
        Ok(Self {
            limit: counted(within, general.as_deref()),
            warn_before: plan.warn_before.iter().filter_map(|span| counted(span, of_limit)).collect(),
        })
    }
}

/// The calendar of the owner's department, else the workspace's.
fn calendar_of(w: &Writer<'_>, def: &EntityDef, cells: &Cells) -> Result<Option<String>, Error> {
    let owner = def.slot("owner").and_then(|slot| cells.get(slot)).and_then(Value::as_uuid);
    if let (Some(owner), Some(user)) = (owner, w.app.schema.find("core.user"))
        && let Some(person) = w.reader.read(user.id, owner)?
        && let Some(department) = user.slot("department").and_then(|slot| person.get(slot)).and_then(Value::as_uuid)
        && let Some(name) = crate::times::calendar_of_department(w, department)?
    {
        return Ok(Some(name));
    }
    Ok(w.app.settings_of("core").get("calendar").and_then(Json::as_str).map(str::to_owned))
}

impl Time for Counting {
    fn end(&self, since: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let Counted { span, calendar } = self.limit.as_ref()?;
        match calendar {
            Some(calendar) => Some(calendar.after(since, span.days, span.rest)),
            None => since.checked_add_signed(Duration::days(span.days)).and_then(|at| at.checked_add_signed(span.rest)),
        }
    }

    fn after(&self, from: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
        let span = Duration::seconds(seconds);
        match self.limit.as_ref().and_then(|limit| limit.calendar.as_ref()) {
            Some(calendar) => calendar.after(from, 0, span),
            None => from.checked_add_signed(span).unwrap_or(from),
        }
    }

    fn between(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> i64 {
        let counted = match self.limit.as_ref().and_then(|limit| limit.calendar.as_ref()) {
            Some(calendar) => calendar.between(from, until),
            None => until - from,
        };
        counted.num_seconds().max(0)
    }

    fn warnings(&self, due: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let before = |Counted { span, calendar }: &Counted| match calendar {
            Some(calendar) => Some(calendar.before(due, span.days, span.rest)),
            None => due.checked_sub_signed(Duration::days(span.days)).and_then(|at| at.checked_sub_signed(span.rest)),
        };
        let mut moments: Vec<DateTime<Utc>> = self.warn_before.iter().filter_map(before).collect();
        moments.sort_unstable();
        moments
    }
}
