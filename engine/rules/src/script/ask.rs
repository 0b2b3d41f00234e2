//! In charge of checking what a script asks of its host: entities, fields, filters, values, people.
//! Invariant: what is written as a literal is checked name by name; what is made while it runs is checked when it is asked.

use model::field::Role;
use model::{EntityDef, FieldDef, Op};
use rhai::Expr;

use super::calls::{Call, HostFunction};
use super::lower::{Argument, Lowering, literal};
use super::names::Typed;
use super::node::Node;
use super::shape::Shape;
use crate::expr::{Kind, Spot, option_names, same_text};
use crate::query::{likely, resolve_path, resolve_relation};

/// The keys by which a filter is told from a map of field to value.
const JOINTS: [&str; 3] = ["all", "any", "not"];
const RELATED: [&str; 3] = ["some", "none", "every"];

/// Whether a map with these keys is a full filter, not a map of field to value.
pub(super) fn is_filter<'k>(def: &EntityDef, keys: impl Iterator<Item = &'k str> + Clone) -> bool {
    let has = |wanted: &str| keys.clone().any(|key| key == wanted) && def.find(wanted).is_none();
    (has("field") && has("op")) || JOINTS.into_iter().any(|key| keys.clone().count() == 1 && has(key)) || RELATED.into_iter().any(has)
}

impl<'a> Lowering<'a> {
    /// A call of a function of the host.
    pub fn ask(&mut self, host: &'static HostFunction, arguments: Vec<Argument<'a>>, spot: Spot) -> Typed {
        if host.outside && self.place.before {
            self.fault(spot, format!("`{}` reaches outside: it cannot run before the save", host.name));
        }
        let shape = self.checked(host.call, &arguments, host.name);
        Typed::new(Node::Host(host.call, arguments.into_iter().map(|argument| argument.typed.node).collect(), spot), shape)
    }

    /// Checks the arguments; what the call gives.
    fn checked(&mut self, call: Call, arguments: &[Argument<'a>], name: &str) -> Shape {
        let [first, rest @ ..] = arguments else { return Shape::ANY };
        match call {
            Call::Get | Call::Find | Call::Count | Call::Sum | Call::Create => {
                let Some(def) = self.entity(first, name) else { return Shape::ANY };
                self.about(call, def, rest)
            }
            Call::NextIn => {
                self.role(first);
                self.place.schema.find("core.user").map_or(Shape::ANY, |user| Shape::Kind(Kind::Record(user.id)))
            }
            Call::Update | Call::Remove | Call::MoveTo => {
                let Some(def) = self.record(first, name) else { return Shape::EMPTY };
                match (call, rest) {
                    (Call::Update, [values]) => self.values(def, values),
                    (Call::MoveTo, [stage, values @ ..]) => {
                        self.stage_of(def, stage);
                        values.iter().for_each(|values| self.values(def, values));
                    }
                    _ => {}
                }
                Shape::EMPTY
            }
            Call::Notify | Call::Mail => {
                self.people(first);
                rest.iter().for_each(|text| self.is_text(text, name));
                Shape::EMPTY
            }
            Call::Webhook => {
                self.receiver(first);
                for payload in rest {
                    self.is(payload, name, "a map", |shape| matches!(shape, Shape::Map(_) | Shape::Kind(Kind::Structure)));
                }
                Shape::EMPTY
            }
            Call::Fail => {
                self.is_text(first, name);
                if let (Some(entity), Some(field)) = (self.place.entity, rest.first())
                    && let Some(text) = field.literal().map(str::to_owned)
                {
                    self.field_named(self.def(entity), &text, field.spot);
                }
                Shape::EMPTY
            }
            Call::Log => Shape::EMPTY,
        }
    }

    fn is(&mut self, argument: &Argument<'a>, name: &str, word: &str, wanted: fn(&Shape) -> bool) {
        let shape = &argument.typed.shape;
        if !matches!(shape, Shape::Kind(Kind::Any | Kind::Empty)) && !wanted(shape) {
            let message = format!("`{name}` takes {word}, not {}", self.word(shape));
            self.fault(argument.spot, message);
        }
    }

    /// A text, or one for each language.
    fn is_text(&mut self, argument: &Argument<'a>, name: &str) {
        self.is(argument, name, "a text, or a map of language to text", |shape| {
            matches!(shape, Shape::Map(_)) || !matches!(shape, Shape::List(_) | Shape::Kind(Kind::Sealed | Kind::Structure))
        });
    }

    fn entity(&mut self, argument: &Argument<'a>, name: &str) -> Option<&'a EntityDef> {
        match argument.literal().map(str::to_owned) {
            Some(text) => self.entity_named(&text, argument.spot),
            None => {
                self.fault(argument.spot, format!("`{name}` names its entity in quotes"));
                None
            }
        }
    }

    /// The entity of the record that an argument is.
    fn record(&mut self, argument: &Argument<'a>, name: &str) -> Option<&'a EntityDef> {
        match &argument.typed.shape {
            Shape::Kind(Kind::Record(entity)) => Some(self.def(*entity)),
            Shape::Kind(Kind::Any | Kind::Empty) => None,
            other => {
                let message = format!("`{name}` takes a record, not {}", self.word(other));
                self.fault(argument.spot, message);
                None
            }
        }
    }

    /// What is asked about records of an entity.
    fn about(&mut self, call: Call, def: &'a EntityDef, rest: &[Argument<'a>]) -> Shape {
        let one = Shape::Kind(Kind::Record(def.id));
        match (call, rest) {
            (Call::Get, [by]) => {
                match &by.typed.shape {
                    Shape::Map(_) => self.filter(def, by),
                    Shape::Kind(Kind::Any | Kind::Empty | Kind::Id | Kind::Text) => {}
                    Shape::Kind(Kind::Record(entity)) if *entity == def.id => {}
                    other => {
                        let message = format!("`get` takes an id or a map, not {}", self.word(other));
                        self.fault(by.spot, message);
                    }
                }
                one
            }
            (Call::Find, rest) => {
                if let Some(filter) = rest.first() {
                    self.filter(def, filter);
                }
                if let Some(options) = rest.get(1) {
                    self.options(def, options);
                }
                Shape::list(one)
            }
            (Call::Sum, [field, filter @ ..]) => {
                match field.literal().map(str::to_owned) {
                    Some(name) => {
                        if let Some(found) = self.field_named(def, &name, field.spot)
                            && !matches!(Kind::of(found), Kind::Number | Kind::Any)
                        {
                            let message = format!("`sum` adds up numbers; `{name}` is {}", Kind::of(found).word(self.place.schema));
                            self.fault(field.spot, message);
                        }
                    }
                    None => self.fault(field.spot, "`sum` names its field in quotes"),
                }
                filter.iter().for_each(|filter| self.filter(def, filter));
                Shape::NUMBER
            }
            (Call::Create, [values]) => {
                self.values(def, values);
                one
            }
            (_, rest) => {
                rest.iter().for_each(|filter| self.filter(def, filter));
                Shape::NUMBER
            }
        }
    }

    fn role(&mut self, argument: &Argument<'a>) {
        let Some(name) = argument.literal().map(str::to_owned) else {
            return self.is(argument, "next_in", "the name of a role", |shape| *shape == Shape::TEXT);
        };
        let (app, bare) = name.split_once('.').unwrap_or((self.place.app, &name));
        let roles = self.place.schema.apps.get(app).map(|app| &app.roles);
        if roles.is_none_or(|roles| !roles.contains_key(bare)) {
            let hint = likely(bare, roles.into_iter().flat_map(|roles| roles.keys()).map(|name| name.as_str()));
            self.fault_with(argument.spot, format!("there is no role `{name}`"), hint);
        }
    }

    fn stage_of(&mut self, def: &'a EntityDef, stage: &Argument<'a>) {
        if def.stages.is_empty() {
            return self.fault(stage.spot, format!("`{}` has no stages", def.name));
        }
        let Some(name) = stage.literal() else {
            return self.is(stage, "move_to", "the name of a stage", |shape| *shape == Shape::TEXT);
        };
        let known: Vec<String> = def.stages.iter().filter_map(|field| option_names(self.place.schema, def.field(*field))).flatten().collect();
        if !known.iter().any(|there| there == name) {
            let hint = likely(name, known.iter().map(String::as_str));
            let message = format!("there is no stage `{name}`");
            self.fault_with(stage.spot, message, hint);
        }
    }

    fn people(&mut self, to: &Argument<'a>) {
        let user = self.place.schema.find("core.user").map(|user| user.id);
        let of = match &to.typed.shape {
            Shape::List(item) => Shape::clone(item),
            shape => shape.clone(),
        };
        match of {
            Shape::Kind(Kind::Record(entity)) if Some(entity) == user => {}
            Shape::Kind(Kind::Any | Kind::Empty | Kind::Id) | Shape::Map(_) => {}
            Shape::Kind(Kind::Text) => {
                if to.literal().is_some_and(|text| !text.contains('@')) {
                    self.fault(to.spot, "this is no address; name a person, an address, or #{role: \"…\"}");
                }
            }
            other => {
                let message = format!("{} cannot be told anything; name a person, an address, or #{{role: \"…\"}}", self.word(&other));
                self.fault(to.spot, message);
            }
        }
        if let Some(Expr::Map(map, _)) = to.written {
            for ((key, value), typed) in map.0.iter().zip(&to.typed.parts) {
                let spot = Spot::from(key.pos);
                match key.name.as_str() {
                    "role" => self.role(&Argument { typed: typed.clone(), written: None, spot: Spot::from(value.position()) }),
                    other => self.fault(spot, format!("`{other}` is not known here; write #{{role: \"…\"}}")),
                }
            }
        }
    }

    fn receiver(&mut self, to: &Argument<'a>) {
        let Some(name) = to.literal().map(str::to_owned) else {
            return self.is(to, "webhook", "an address or the name of a connector", |shape| *shape == Shape::TEXT);
        };
        if name.contains("://") || name.starts_with("$secret.") {
            return;
        }
        let connectors = self.place.schema.apps.get(self.place.app).map(|app| &app.connectors);
        if connectors.is_none_or(|connectors| !connectors.contains_key(name.as_str())) {
            let hint = likely(&name, connectors.into_iter().flat_map(|connectors| connectors.keys()).map(|name| name.as_str()));
            self.fault_with(to.spot, format!("there is no connector `{name}`"), hint);
        }
    }

    /// The order and number of what is found.
    fn options(&mut self, def: &'a EntityDef, options: &Argument<'a>) {
        self.is(options, "find", "a map with `sort` and `limit`", |shape| matches!(shape, Shape::Map(_)));
        let Some(Expr::Map(map, _)) = options.written else { return };
        for (key, value) in &map.0 {
            let spot = Spot::from(value.position());
            match key.name.as_str() {
                "sort" => {
                    let written = match value {
                        Expr::StringConstant(text, _) => text.as_str().split(',').map(|name| name.trim().to_owned()).collect(),
                        _ => Vec::new(),
                    };
                    for name in written.iter().map(|name: &String| name.trim_start_matches('-')).filter(|name| !name.is_empty()) {
                        self.path(def, name, spot);
                    }
                }
                "limit" => {}
                other => self.fault(Spot::from(key.pos), format!("`find` knows `sort` and `limit`, not `{other}`")),
            }
        }
    }

    fn path(&mut self, def: &'a EntityDef, name: &str, spot: Spot) -> Option<&'a FieldDef> {
        match resolve_path(self.place.schema, def.id, name, &self.seen(), "") {
            Ok(path) => Some(self.place.schema.entity(path.entity).field(path.field)),
            Err(fault) => {
                self.fault(spot, fault.wording.text("en"));
                None
            }
        }
    }

    /// Which records: a map of field to value, or a full filter.
    fn filter(&mut self, def: &'a EntityDef, argument: &Argument<'a>) {
        self.is(argument, "a search", "a map", |shape| matches!(shape, Shape::Map(_)));
        if let Some(written) = argument.written {
            self.written_filter(def, written, &argument.typed);
        }
    }

    fn written_filter(&mut self, def: &'a EntityDef, written: &'a Expr, typed: &Typed) {
        let Expr::Map(map, _) = written else { return };
        if is_filter(def, map.0.iter().map(|(key, _)| key.name.as_str())) {
            return self.full_filter(def, &map.0, &typed.parts);
        }
        for ((key, value), typed) in map.0.iter().zip(&typed.parts) {
            let Some(field) = self.path(def, &key.name, Spot::from(key.pos)) else { continue };
            let spot = Spot::from(value.position());
            if matches!(value, Expr::Unit(_)) {
                let hint = format!("write #{{field: \"{}\", op: \"is_empty\"}}", key.name);
                self.fault_with(spot, "what is empty equals nothing", Some(hint));
            }
            self.fits(field, &typed.shape, literal(&typed.node), spot);
        }
    }

    fn full_filter(&mut self, def: &'a EntityDef, entries: &'a [(rhai::Ident, Expr)], parts: &[Typed]) {
        let part = |wanted: &str| entries.iter().zip(parts).find(|((key, _), _)| key.name == wanted).map(|((_, value), typed)| (value, typed));
        for joint in JOINTS {
            match part(joint) {
                Some((Expr::Array(items, _), typed)) => {
                    items.iter().zip(&typed.parts).for_each(|(item, typed)| self.written_filter(def, item, typed))
                }
                Some((inner, typed)) => self.written_filter(def, inner, typed),
                None => {}
            }
        }
        for related in RELATED {
            if let Some((Expr::StringConstant(name, position), _)) = part(related) {
                match resolve_relation(self.place.schema, def.id, name, &self.seen(), "") {
                    Ok(relation) => {
                        let target = match relation.to {
                            crate::query::RelationTo::Inverse(inverse) => inverse.entity,
                            crate::query::RelationTo::References(_, entity) => entity,
                        };
                        if let Some((inner, typed)) = part("where") {
                            self.written_filter(self.def(target), inner, typed);
                        }
                    }
                    Err(fault) => self.fault(Spot::from(*position), fault.wording.text("en")),
                }
            }
        }
        if let Some((Expr::StringConstant(name, position), _)) = part("field") {
            self.path(def, name, Spot::from(*position));
        }
        if let Some((Expr::StringConstant(op, position), _)) = part("op")
            && Op::parse(op).is_none()
        {
            let hint = likely(op, Op::ALL.iter().map(|op| op.as_str()));
            self.fault_with(Spot::from(*position), format!("there is no operator `{op}`"), hint);
        }
    }

    /// Values of a record's fields, by name.
    fn values(&mut self, def: &'a EntityDef, argument: &Argument<'a>) {
        self.is(argument, "this", "a map of field to value", |shape| matches!(shape, Shape::Map(_)));
        let Some(Expr::Map(map, _)) = argument.written else { return };
        for ((key, value), typed) in map.0.iter().zip(&argument.typed.parts) {
            let Some(field) = self.field_named(def, &key.name, Spot::from(key.pos)) else { continue };
            self.writes(field, &typed.shape, literal(&typed.node), (Spot::from(key.pos), Spot::from(value.position())));
        }
    }

    /// Whether a field may be written with a value like this: where the name stands, and where the value does.
    pub fn writes(&mut self, field: &FieldDef, shape: &Shape, written: Option<&str>, (spot, value): (Spot, Spot)) {
        let given = matches!(field.role, Role::Autonumber { .. }) || field.doc.common.read_only;
        let engines = field.system && !matches!(field.name.as_str(), "owner" | "department" | "position");
        if field.computed() || given || engines {
            return self.fault(spot, format!("`{}` cannot be written", field.name));
        }
        self.fits(field, shape, written, value);
    }

    fn fits(&mut self, field: &FieldDef, shape: &Shape, written: Option<&str>, spot: Spot) {
        if !shape.fits(field) {
            let message = format!("`{}` is {}, not {}", field.name, Kind::of(field).word(self.place.schema), self.word(shape));
            return self.fault(spot, message);
        }
        if let (Some(text), Some(options)) = (written, option_names(self.place.schema, field))
            && !options.iter().any(|option| same_text(option, text))
        {
            let hint = likely(text, options.iter().map(String::as_str));
            self.fault_with(spot, format!("`{text}` is not one of the options of `{}`", field.name), hint);
        }
    }
}
