//! In charge of what somebody wants of a conversion: which targets, with which values, of which lines how much.
//! Invariant: every fault of its shape is told at once; whether it is allowed is decided elsewhere.

use indexmap::IndexMap;
use model::fault::escape_pointer;
use model::{Code, Input, Message, Violation};
use uuid::Uuid;

use super::plan::ConversionPlan;

/// What somebody wants of one target; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// It, made or matched.
    Yes,
    /// Not it.
    No,
    /// A new record, whatever is there.
    New,
    /// This record.
    Record(Uuid),
}

/// What somebody wants of a line: which, and with which values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AskedLine {
    pub(crate) id: Uuid,
    pub(crate) values: IndexMap<String, Input>,
}

/// Lines by lines field.
type LinesOf = IndexMap<String, Vec<AskedLine>>;

/// What somebody wants.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Asked {
    /// Values by target.
    pub(crate) values: IndexMap<String, IndexMap<String, Input>>,
    pub(crate) targets: IndexMap<String, Choice>,
    /// Lines by target and lines field; those of a field that is not named are all of them.
    pub(crate) lines: IndexMap<String, LinesOf>,
}

impl Asked {
    /// Reads `values`, `targets` and `lines` as they were sent.
    ///
    /// # Errors
    /// Every fault of their shape, and every target that is not there.
    pub(crate) fn read(plan: &ConversionPlan, values: &Input, targets: &Input, lines: &Input) -> Result<Self, Vec<Violation>> {
        let mut reading = Reading { plan, faults: Vec::new() };
        let asked = Self { values: reading.values(values), targets: reading.targets(targets), lines: reading.lines(lines) };
        if reading.faults.is_empty() { Ok(asked) } else { Err(reading.faults) }
    }
}

struct Reading<'a> {
    plan: &'a ConversionPlan,
    faults: Vec<Violation>,
}

impl Reading<'_> {
    fn wrong(&mut self, at: impl Into<String>, expected: &str) {
        self.faults.push(Violation::at(at, Code::WrongType, Message::new("wrong_type").with("expected", expected)));
    }

    fn unknown(&mut self, at: impl Into<String>, name: &str) {
        self.faults.push(Violation::at(at, Code::UnknownField, Message::new("unknown_key").with("name", name)));
    }

    fn has(&mut self, at: &str, name: &str) -> bool {
        let there = self.plan.targets.iter().any(|target| target.name.as_str() == name);
        if !there {
            self.unknown(format!("{at}/{}", escape_pointer(name)), name);
        }
        there
    }

    /// A map of what was sent; nothing where nothing was.
    fn map<'i>(&mut self, at: &str, input: &'i Input) -> Vec<(&'i String, &'i Input)> {
        match input {
            Input::Null => Vec::new(),
            Input::Map(map) => map.iter().collect(),
            Input::Bool(_) | Input::Number(_) | Input::Text(_) | Input::List(_) => {
                self.wrong(at, "{…}");
                Vec::new()
            }
        }
    }

    fn values(&mut self, input: &Input) -> IndexMap<String, IndexMap<String, Input>> {
        let mut found = IndexMap::new();
        for (name, values) in self.map("/values", input) {
            match values.as_map() {
                Some(values) if self.has("/values", name) => drop(found.insert(name.clone(), values.clone())),
                Some(_) => {}
                None => self.wrong(format!("/values/{}", escape_pointer(name)), "{…}"),
            }
        }
        found
    }

    /// A list of the optional ones that are wanted, or what is wanted of each by name.
    fn targets(&mut self, input: &Input) -> IndexMap<String, Choice> {
        let mut found = IndexMap::new();
        if let Some(items) = input.as_list() {
            found.extend(self.plan.targets.iter().filter(|target| target.optional).map(|target| (target.name.to_string(), Choice::No)));
            for (index, item) in items.iter().enumerate() {
                match item.as_text() {
                    Some(name) if self.plan.targets.iter().any(|target| target.name.as_str() == name) => {
                        found.insert(name.to_owned(), Choice::Yes);
                    }
                    Some(name) => self.unknown(format!("/targets/{index}"), name),
                    None => self.wrong(format!("/targets/{index}"), "\"…\""),
                }
            }
            return found;
        }
        for (name, wanted) in self.map("/targets", input) {
            if !self.has("/targets", name) {
                continue;
            }
            let choice = match wanted {
                Input::Bool(true) => Some(Choice::Yes),
                Input::Bool(false) => Some(Choice::No),
                Input::Text(word) if word == "create" => Some(Choice::New),
                Input::Text(word) if word == "skip" => Some(Choice::No),
                Input::Text(id) => Uuid::try_parse(id).ok().map(Choice::Record),
                Input::Null | Input::Number(_) | Input::List(_) | Input::Map(_) => None,
            };
            match choice {
                Some(choice) => {
                    found.insert(name.clone(), choice);
                }
                None => self.wrong(format!("/targets/{}", escape_pointer(name)), "true, false, \"create\", \"skip\", an id"),
            }
        }
        found
    }

    /// By target and lines field, or the list alone where the conversion has one lines field only.
    fn lines(&mut self, input: &Input) -> IndexMap<String, LinesOf> {
        let mut found: IndexMap<String, LinesOf> = IndexMap::new();
        if let Some(items) = input.as_list() {
            let all: Vec<(String, String)> = self
                .plan
                .targets
                .iter()
                .flat_map(|target| target.lines.iter().map(|lines| (target.name.to_string(), lines.name.to_string())))
                .collect();
            match all.as_slice() {
                [(target, field)] => {
                    let rows = self.rows("/lines", items);
                    found.entry(target.clone()).or_default().insert(field.clone(), rows);
                }
                _ => self.wrong("/lines", "{…}"),
            }
            return found;
        }
        for (name, fields) in self.map("/lines", input) {
            if !self.has("/lines", name) {
                continue;
            }
            let at = format!("/lines/{}", escape_pointer(name));
            for (field, rows) in self.map(&at, fields) {
                let at = format!("{at}/{}", escape_pointer(field));
                let there = self
                    .plan
                    .targets
                    .iter()
                    .any(|target| target.name == *name.as_str() && target.lines.iter().any(|lines| lines.name == *field.as_str()));
                match rows.as_list() {
                    Some(items) if there => {
                        let rows = self.rows(&at, items);
                        found.entry(name.clone()).or_default().insert(field.clone(), rows);
                    }
                    Some(_) => self.unknown(at, field),
                    None => self.wrong(at, "[{…}]"),
                }
            }
        }
        found
    }

    fn rows(&mut self, at: &str, items: &[Input]) -> Vec<AskedLine> {
        let mut rows: Vec<AskedLine> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let at = format!("{at}/{index}");
            let Some(map) = item.as_map() else {
                self.wrong(at, "{\"id\": …}");
                continue;
            };
            let Some(id) = map.get("id").and_then(Input::as_text).and_then(|id| Uuid::try_parse(id).ok()) else {
                self.wrong(format!("{at}/id"), "an id");
                continue;
            };
            if rows.iter().any(|row| row.id == id) {
                self.faults.push(Violation::at(format!("{at}/id"), Code::BadReference, Message::new("line_twice")));
                continue;
            }
            let values = map.iter().filter(|(name, _)| *name != "id").map(|(name, input)| (name.clone(), input.clone())).collect();
            rows.push(AskedLine { id, values });
        }
        rows
    }
}
