//! In charge of checking what surrounds a record: conversions, pools, working time, papers.

use super::checking::Checking;
use crate::doc::{Calendar, Conversion, Holidays, OwnerMode, Pool, PoolPeople, Print, Repeat};
use crate::fault::escape_pointer;
use crate::name::Name;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// What goes along with a conversion.
const CARRY: [&str; 4] = ["activities", "notes", "files", "tasks"];

/// Checks conversions, pools, calendars, holidays and prints.
pub(super) fn check(c: &mut Checking<'_, '_>) {
    let app = c.app;
    for (name, conversion) in &app.conversions {
        self::conversion(c, &format!("/conversions/{name}"), conversion);
    }
    for (name, pool) in &app.pools {
        self::pool(c, &format!("/pools/{name}"), pool);
    }
    for (name, calendar) in &app.calendars {
        self::calendar(c, &format!("/calendars/{name}"), calendar);
    }
    for (name, holidays) in &app.holidays {
        self::holidays(c, &format!("/holidays/{name}"), holidays);
    }
    for (name, print) in &app.prints {
        self::print(c, &format!("/prints/{name}"), print);
    }
}

fn conversion(c: &mut Checking<'_, '_>, at: &str, conversion: &Conversion) {
    let source = c.entity(&format!("{at}/from"), &conversion.from);
    let targets: Vec<&str> = conversion.targets.keys().map(Name::as_str).collect();
    if targets.is_empty() {
        c.error(format!("{at}/targets"), "makes nothing");
    }
    c.order(&format!("{at}/order"), "target", conversion.order.iter().flatten().map(Name::as_str), targets.iter().copied());
    for (name, target) in &conversion.targets {
        let at = format!("{at}/targets/{name}");
        let Some(entity) = c.entity(&format!("{at}/entity"), &target.entity) else { continue };
        for (row, fields) in target.matches.iter().enumerate() {
            for (index, field) in fields.iter().enumerate() {
                c.field(format!("{at}/match/{row}/{index}"), entity, field.as_str());
            }
        }
        c.values(&format!("{at}/values"), entity, target.values.iter().map(|(name, value)| (name.as_str(), value)));
        for (field, value) in &target.values {
            if let crate::doc::ValueSpec::Rule(rule) = value
                && let Some(other) = &rule.target
            {
                made_before(c, &format!("{at}/values/{field}/target"), conversion, name, other);
            }
        }
        for (field, value) in &target.lines {
            let at = format!("{at}/lines/{field}");
            if let Some(lines) = c.field(at.as_str(), entity, field.as_str())
                && lines.kind != "lines"
            {
                c.error(&at, format!("`{field}` is of kind `{}`, not lines", lines.kind));
            }
            c.value(&at, value);
        }
    }
    for (index, word) in conversion.carry.iter().enumerate() {
        c.one_of(format!("{at}/carry/{index}"), "thing to carry", word, CARRY);
    }
    if let (Some(after), Some(source)) = (&conversion.after, source) {
        c.stage(&format!("{at}/after/move"), source, after.moves.as_str());
    }
    if conversion.repeat == Some(Repeat::Remainder) && conversion.targets.values().all(|target| target.lines.is_empty()) {
        c.error(format!("{at}/repeat"), "nothing is left over where there are no lines");
    }
}

/// A target may name another that is made before it.
fn made_before(c: &mut Checking<'_, '_>, at: &str, conversion: &Conversion, own: &Name, other: &str) {
    let names: Vec<&str> = conversion.targets.keys().map(Name::as_str).collect();
    if !c.one_of(at, "target", other, names) {
        return;
    }
    let order: Vec<&Name> = match &conversion.order {
        Some(order) => order.iter().collect(),
        None => conversion.targets.keys().collect(),
    };
    let place = |name: &str| order.iter().position(|there| **there == *name);
    if let (Some(there), Some(here)) = (place(other), place(own.as_str()))
        && there >= here
    {
        c.error(at, format!("`{other}` is made after `{own}`: put it before in `order`"));
    }
}

fn pool(c: &mut Checking<'_, '_>, at: &str, pool: &Pool) {
    let entity = c.entity(&format!("{at}/entity"), &pool.entity);
    if let Some(known) = entity
        && known.doc.owner != OwnerMode::Optional
    {
        c.error(format!("{at}/entity"), format!("what lies in a pool has no owner: `{}` must say `\"owner\": \"optional\"`", known.name));
    }
    for (key, people) in [("members", &pool.members), ("admins", &pool.admins)] {
        for (index, person) in people.iter().enumerate() {
            match person {
                PoolPeople::Role(person) => c.role(&format!("{at}/{key}/{index}/role"), &person.role),
                // Who there is, is data.
                PoolPeople::Department(_) | PoolPeople::User(_) => {}
            }
        }
    }
    for (index, rule) in pool.recycle.iter().enumerate() {
        if let Some(entity) = entity
            && !entity.is_clock(rule.clock.as_str())
        {
            c.missing(format!("{at}/recycle/{index}/clock"), "clock", rule.clock.as_str(), entity.clocks().iter().copied());
        }
    }
    if let Some(span) = pool.claim.as_ref().and_then(|claim| claim.cool_down.as_ref()) {
        super::clocks::span(c, &format!("{at}/claim/cool_down"), span);
    }
    if let Some(protect) = &pool.protect {
        super::clocks::span(c, &format!("{at}/protect/for"), &protect.span);
    }
}

fn calendar(c: &mut Checking<'_, '_>, at: &str, calendar: &Calendar) {
    if calendar.zone.parse::<chrono_tz::Tz>().is_err() {
        c.error(format!("{at}/zone"), format!("`{}` is no time zone such as Asia/Shanghai", calendar.zone));
    }
    for (day, periods) in &calendar.week {
        let at = format!("{at}/week/{}", escape_pointer(day.as_str()));
        c.one_of(at.as_str(), "day", day.as_str(), DAYS);
        self::periods(c, &at, periods);
    }
    if let Some(periods) = &calendar.make_up {
        self::periods(c, &format!("{at}/make_up"), periods);
    }
    if let Some(set) = &calendar.holidays {
        let app = c.app;
        let sets: Vec<&str> = app.holidays.values().map(|holidays| holidays.set.as_str()).collect();
        c.one_of(format!("{at}/holidays"), "set of holidays", set.as_str(), sets);
    }
}

/// Periods of a day, each after the one before.
fn periods(c: &mut Checking<'_, '_>, at: &str, periods: &[[String; 2]]) {
    let mut end = String::new();
    for (index, [from, to]) in periods.iter().enumerate() {
        let at = format!("{at}/{index}");
        let is_time = |text: &str| chrono::NaiveTime::parse_from_str(text, "%H:%M").is_ok() && text.len() == 5 || text == "24:00";
        if !is_time(from) || !is_time(to) {
            c.error(at, "expected times such as 09:00");
        } else if from >= to || *from < end {
            c.error(at, "a period ends after it begins, and begins after the one before");
        } else {
            end.clone_from(to);
        }
    }
}

fn holidays(c: &mut Checking<'_, '_>, at: &str, holidays: &Holidays) {
    use chrono::Datelike;
    for (key, days) in [("holidays", &holidays.holidays), ("make_up", &holidays.make_up)] {
        for (index, day) in days.iter().enumerate().filter(|(_, day)| day.year() != i32::from(holidays.year)) {
            c.error(format!("{at}/{key}/{index}"), format!("{day} is not in {}", holidays.year));
        }
    }
    for (index, day) in holidays.make_up.iter().enumerate().filter(|(_, day)| holidays.holidays.contains(day)) {
        c.error(format!("{at}/make_up/{index}"), format!("{day} is a holiday too"));
    }
}

fn print(c: &mut Checking<'_, '_>, at: &str, print: &Print) {
    c.entity(&format!("{at}/entity"), &print.entity);
    if !print.template.ends_with(".html") {
        let why = if print.template.ends_with(".docx") { "DOCX cannot be printed yet: write HTML" } else { "a paper is an HTML file" };
        c.error(format!("{at}/template"), format!("`{}`: {why}", print.template));
    }
}
