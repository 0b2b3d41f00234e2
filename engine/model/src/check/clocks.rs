//! In charge of checking clocks: that what they count from, by and up to is there.

use super::checking::Checking;
use super::entities::kinds_of_activity;
use super::world::Known;
use crate::doc::{Clock, RestartOn, TimeSpan};
use crate::name::Name;
use crate::schema::ClockPart;

/// Checks one clock of an entity.
pub(super) fn check<'a>(c: &mut Checking<'_, 'a>, at: &str, known: &Known<'a>, name: &str, clock: &Clock) {
    if known.has(name) || known.relations.contains_key(name) {
        c.error(at, format!("`{name}` is a field or a relation already: give the clock another name"));
    }
    for part in ClockPart::ALL {
        let column = format!("{name}__{}", part.as_str());
        if known.fields.contains_key(column.as_str()) {
            c.error(at, format!("the field `{column}` stands where this clock keeps its state: give one of them another name"));
        }
    }
    c.path_of(format!("{at}/from"), known, &clock.from, &["date", "datetime"], "a date");
    if clock.limits.is_empty() {
        c.error(format!("{at}/limits"), "a clock needs a limit");
    }
    for (index, limit) in clock.limits.iter().enumerate() {
        span(c, &format!("{at}/limits/{index}/within"), &limit.within);
    }
    for (index, before) in clock.warn_before.iter().enumerate() {
        span(c, &format!("{at}/warn_before/{index}"), before);
    }
    for (index, event) in clock.restart_on.iter().enumerate() {
        let at = format!("{at}/restart_on/{index}");
        match event {
            RestartOn::Activity(event) => {
                let kinds: Vec<&str> = event.activity.iter().map(String::as_str).collect();
                kinds_of_activity(c, &format!("{at}/activity"), &kinds);
            }
            RestartOn::Created(event) => {
                if !known.relations.contains_key(event.created.as_str()) {
                    c.missing(format!("{at}/created"), "relation", event.created.as_str(), known.relations.keys().copied());
                }
            }
            RestartOn::Changed(event) => {
                for (index, name) in event.changed.iter().map(Name::as_str).enumerate() {
                    c.field(format!("{at}/changed/{index}"), known, name);
                }
            }
        }
    }
    if let Some(calendar) = &clock.calendar {
        c.calendar(&format!("{at}/calendar"), &calendar.as_str().into());
    }
}

/// Checks a length of time.
pub(super) fn span(c: &mut Checking<'_, '_>, at: &str, span: &TimeSpan) {
    match span {
        TimeSpan::Plain(text) => c.fixed_duration(at, text),
        TimeSpan::In(inner) => {
            c.fixed_duration(&format!("{at}/span"), &inner.span);
            if let Some(calendar) = &inner.calendar {
                c.calendar(&format!("{at}/calendar"), &calendar.as_str().into());
            }
        }
    }
}
