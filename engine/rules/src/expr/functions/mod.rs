//! In charge of the functions that expressions may call: the one list of them, and what the check knows of each.
//! Reading order: `Function`, `FUNCTIONS`; the bodies are in `numbers`, `dates`, `calendars`, `texts`.
//! Invariant: adding a function is one entry here and one body; nothing else names a function.
//! Invariant: a body gets as many arguments as its entry allows; the run has dealt with empty ones as it says.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::item::{Item, Refusal};
use super::kind::Kind;
use crate::eval::Working;

pub(crate) mod calendars;
mod dates;
mod numbers;
mod texts;

/// What an argument must be; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// A number.
    Number,
    /// A text.
    Text,
    /// A text or a list.
    TextOrList,
    /// A date, or a date with time.
    DayOrMoment,
    /// A date with time.
    Moment,
    /// A structured value with `lat` and `lng`.
    Place,
    /// A rule of repetition.
    Rule,
    /// The name of a calendar of the app, in quotes.
    Calendar,
    /// Anything with an order, alike in all arguments.
    Ordered,
    /// Anything.
    Anything,
}

impl Wants {
    /// Whether a value of this kind will do.
    #[must_use]
    pub fn takes(self, kind: Kind) -> bool {
        if matches!(kind, Kind::Any | Kind::Empty) {
            return true;
        }
        match self {
            Self::Number => kind == Kind::Number,
            Self::Text | Self::Rule | Self::Calendar => kind == Kind::Text,
            Self::TextOrList => matches!(kind, Kind::Text | Kind::List),
            Self::DayOrMoment => matches!(kind, Kind::Day | Kind::Moment),
            Self::Moment => kind == Kind::Moment,
            Self::Place => kind == Kind::Structure,
            Self::Ordered => kind.is_ordered(),
            Self::Anything => kind != Kind::Sealed,
        }
    }

    /// What people call it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Text => "a text",
            Self::TextOrList => "a text or a list",
            Self::DayOrMoment => "a date",
            Self::Moment => "a date with time",
            Self::Place => "a place",
            Self::Rule => "a rule of repetition",
            Self::Calendar => "the name of a calendar",
            Self::Ordered => "a number, a text or a date",
            Self::Anything => "a value",
        }
    }
}

/// What a function gives; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// A value of this kind.
    Kind(Kind),
    /// A value of the kind of the first argument.
    Same,
    /// A list of values of this kind.
    List(Kind),
    /// A list of values of the kind of the second argument.
    ListOfSecond,
}

/// What an empty argument means; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empties {
    /// The result is empty.
    Spread,
    /// The result is false.
    AreFalse,
    /// The result is empty where the first is; the others may be.
    MayFollow,
    /// They are left out.
    AreSkipped,
}

/// The clock, the zone and the calendars of a run.
#[derive(Clone, Copy, Debug)]
pub struct Clock<'a> {
    /// The moment that counts as now.
    pub now: DateTime<Utc>,
    /// Whose days count.
    pub zone: Tz,
    /// The working time of calendars.
    pub working: Option<&'a dyn Working>,
}

/// One function.
pub struct Function {
    /// As written.
    pub name: &'static str,
    /// What its arguments must be, in order.
    pub wants: &'static [Wants],
    /// How many of them must be there.
    pub least: usize,
    /// Whether the last may be repeated.
    pub repeats: bool,
    /// What it gives.
    pub gives: Gives,
    /// What empty arguments mean.
    pub empties: Empties,
    /// Whether it asks the clock.
    pub clock: bool,
    /// What it does.
    pub run: fn(Clock<'_>, &[Item]) -> Result<Item, Refusal>,
}

impl Function {
    const fn new(name: &'static str, wants: &'static [Wants], gives: Gives, run: fn(Clock<'_>, &[Item]) -> Result<Item, Refusal>) -> Self {
        Self { name, wants, least: wants.len(), repeats: false, gives, empties: Empties::Spread, clock: false, run }
    }

    const fn at_least(mut self, least: usize) -> Self {
        self.least = least;
        self
    }

    const fn repeating(mut self) -> Self {
        self.repeats = true;
        self
    }

    const fn with_empties(mut self, empties: Empties) -> Self {
        self.empties = empties;
        self
    }

    const fn of_the_clock(mut self) -> Self {
        self.clock = true;
        self
    }

    /// The most arguments it takes.
    #[must_use]
    pub fn most(&self) -> usize {
        if self.repeats { MAX_ARGUMENTS } else { self.wants.len() }
    }

    /// What its argument at `index` must be.
    #[must_use]
    pub fn wants_at(&self, index: usize) -> Wants {
        self.wants.get(index).or(self.wants.last()).copied().unwrap_or(Wants::Anything)
    }
}

/// The most arguments of a function that takes any number.
const MAX_ARGUMENTS: usize = 20;

use Empties::{AreFalse, AreSkipped, MayFollow};
use Gives::Same;
use Wants::{Anything, Calendar, DayOrMoment, Moment, Number, Ordered, Place, Rule, Text, TextOrList};

const fn gives(kind: Kind) -> Gives {
    Gives::Kind(kind)
}

/// Every function, in the order of the reference.
pub static FUNCTIONS: &[Function] = &[
    Function::new("today", &[], gives(Kind::Day), dates::today).of_the_clock(),
    Function::new("now", &[], gives(Kind::Moment), dates::now).of_the_clock(),
    Function::new("days", &[Number], gives(Kind::Days), dates::days),
    Function::new("hours", &[Number], gives(Kind::Hours), dates::hours),
    Function::new("add_months", &[DayOrMoment, Number], Same, dates::add_months),
    Function::new("days_between", &[DayOrMoment, DayOrMoment], gives(Kind::Number), dates::days_between),
    Function::new("hours_between", &[Moment, Moment], gives(Kind::Number), dates::hours_between),
    Function::new("working_time", &[Moment, Moment, Calendar], gives(Kind::Number), calendars::working_time),
    Function::new("occurrences", &[Rule, DayOrMoment, Calendar], Gives::ListOfSecond, calendars::occurrences).at_least(2),
    Function::new("day", &[DayOrMoment], gives(Kind::Day), dates::day),
    Function::new("year", &[DayOrMoment], gives(Kind::Number), dates::year),
    Function::new("month", &[DayOrMoment], gives(Kind::Number), dates::month),
    Function::new("round", &[Number, Number], gives(Kind::Number), numbers::round).at_least(1),
    Function::new("floor", &[Number], gives(Kind::Number), numbers::floor),
    Function::new("ceil", &[Number], gives(Kind::Number), numbers::ceil),
    Function::new("abs", &[Number], gives(Kind::Number), numbers::abs),
    Function::new("min", &[Ordered], Same, numbers::min).repeating().with_empties(AreSkipped),
    Function::new("max", &[Ordered], Same, numbers::max).repeating().with_empties(AreSkipped),
    Function::new("split_amount", &[Number, Number, Number], Gives::List(Kind::Number), numbers::split_amount).at_least(2),
    Function::new("distance", &[Place, Place], gives(Kind::Number), numbers::distance),
    Function::new("upper", &[Text], gives(Kind::Text), texts::upper),
    Function::new("lower", &[Text], gives(Kind::Text), texts::lower),
    Function::new("trim", &[Text], gives(Kind::Text), texts::trim),
    Function::new("len", &[TextOrList], gives(Kind::Number), texts::len),
    Function::new("contains", &[TextOrList, Anything], gives(Kind::Truth), texts::contains).with_empties(AreFalse),
    Function::new("starts_with", &[Text, Text], gives(Kind::Truth), texts::starts_with).with_empties(AreFalse),
    Function::new("ends_with", &[Text, Text], gives(Kind::Truth), texts::ends_with).with_empties(AreFalse),
    Function::new("replace", &[Text, Text, Text], gives(Kind::Text), texts::replace).with_empties(MayFollow),
    Function::new("sub_string", &[Text, Number, Number], gives(Kind::Text), texts::sub_string).at_least(2),
];

/// The function called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// That an argument is not what the function takes.
fn refused(function: &str, argument: &Item) -> Refusal {
    Refusal::Kinds(format!("`{function}` cannot take {}", argument.word()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_no_operator_is_a_function() {
        for (index, function) in FUNCTIONS.iter().enumerate() {
            assert!(model::name::is_name(function.name));
            assert!(FUNCTIONS.iter().skip(index + 1).all(|other| other.name != function.name), "{}", function.name);
            assert!(function.least <= function.wants.len());
        }
    }
}
