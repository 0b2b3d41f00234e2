//! In charge of papers: a template with the names that it reads, checked against the schema; and what comes of it.
//! Reading order: `Paper::compile` (a template becomes what it reads), `check` (name by name), `Shown` in `value` (what it is
//! given), `Paper::render`, `sheet` (the page around it).
//! Invariant: everything that a template reads is known when it is published; a name that is not there is refused with its line.
//! Invariant: bounded in steps, depth and length; escaped always; no files, no other templates, no scripts.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use model::{EntityId, Schema};

mod check;
mod filters;
mod shape;
pub mod sheet;
pub mod value;

pub use value::{Plain, Shown, Text};

/// The longest template, in bytes.
pub const MAX_LENGTH: usize = 200_000;
/// The longest paper, in bytes.
pub const MAX_OUTPUT: usize = 8 << 20;
/// The steps that one rendering may take.
const FUEL: u64 = 2_000_000;
/// The deepest recursion.
const DEPTH: usize = 50;

/// The part of a value by which its picture is read.
pub const PICTURE: &str = "picture";

/// What a template reads of something, by name; of a list, of each of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted(pub BTreeMap<String, Wanted>);

impl Wanted {
    /// Takes a path in.
    fn take(&mut self, path: &[String]) {
        if let Some((first, rest)) = path.split_first() {
            self.0.entry(first.clone()).or_default().take(rest);
        }
    }

    /// What is read of `name`.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<&Self> {
        self.0.get(name)
    }
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaperFault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// The likely meant name.
    pub hint: Option<String>,
}

/// A compiled template.
#[derive(Clone, Debug)]
pub struct Paper {
    source: Arc<str>,
    wanted: Arc<Wanted>,
}

/// Where a template stands.
#[derive(Clone, Copy, Debug)]
pub struct PaperPlace<'a> {
    /// The schema.
    pub schema: &'a Schema,
    /// The entity of `record`.
    pub entity: EntityId,
    /// The entity of `me`, whoever prints.
    pub person: Option<EntityId>,
    /// The names of the app's settings.
    pub settings: &'a [&'a str],
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    // What is hidden or not set is empty; what is no name at all was refused.
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    filters::add(&mut environment);
    environment
});

impl Paper {
    /// Compiles a template.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line.
    pub fn compile(place: PaperPlace<'_>, source: &str) -> Result<Self, Vec<PaperFault>> {
        if source.len() > MAX_LENGTH {
            return Err(vec![PaperFault { line: 1, message: format!("the template of a paper may have {MAX_LENGTH} bytes at most"), hint: None }]);
        }
        if let Err(error) = ENVIRONMENT.template_from_str(source) {
            return Err(vec![of_library(&error)]);
        }
        let wanted = check::check(place, source)?;
        Ok(Self { source: source.into(), wanted: Arc::new(wanted) })
    }

    /// What it reads: of `record`, `me`, `approvals`, and plain names.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The inside of the page, over what it reads by name.
    ///
    /// # Errors
    /// Where a limit is reached or a value cannot be used so, with the line.
    pub fn render(&self, given: &BTreeMap<String, Shown>) -> Result<String, String> {
        let told = |error: minijinja::Error| {
            let fault = of_library(&error);
            format!("{} (line {})", fault.message, fault.line)
        };
        let template = ENVIRONMENT.template_from_str(&self.source).map_err(told)?;
        let context = minijinja::Value::from_pairs(given.iter().map(|(name, shown)| (name.clone(), shown.value())));
        let mut output = Capped(Vec::new());
        template.render_captured_to(context, &mut output).map_err(told)?;
        String::from_utf8(output.0).map_err(|error| error.to_string())
    }
}

fn of_library(error: &minijinja::Error) -> PaperFault {
    let message = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    PaperFault { line: error.line().unwrap_or(1), message, hint: None }
}

/// A buffer that takes so much and no more.
struct Capped(Vec<u8>);

impl std::io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(std::io::Error::other("the paper became too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use indexmap::IndexMap;
    use model::doc::App;
    use rust_decimal::Decimal;
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        let app = json!({
            "app": {"name": "shop", "version": "1.0.0", "format": 1, "currency": "CNY", "locales": ["en"]},
            "entities": {
                "buyer": {"title": "{{ name }}", "fields": {"name": {"kind": "text"}}},
                "sale": {"fields": {
                    "name": {"kind": "text"}, "total": {"kind": "money"}, "buyer": {"kind": "reference", "to": "buyer", "inverse": "sales"},
                    "lines": {"kind": "lines", "of": "line", "by": "sale"}}},
                "line": {"fields": {"sale": {"kind": "reference", "to": "sale", "on_delete": "cascade"}, "item": {"kind": "text"}, "price": {"kind": "money"}}},
            },
        });
        let app: App = model::package::app_from_stored(&app).expect("an app");
        let apps: IndexMap<model::Name, Arc<App>> = [(model::Name::parse("shop").expect("a name"), Arc::new(app))].into_iter().collect();
        let layout = model::schema::next_layout(&apps, &Default::default(), &|_| false).expect("a layout");
        model::schema::build(&apps, &layout, &|_| false, &model::field::sealed::no_key()).expect("a schema")
    }

    fn compiled(source: &str) -> Result<Paper, Vec<PaperFault>> {
        let schema = schema();
        let entity = schema.find("shop.sale").expect("sales").id;
        Paper::compile(PaperPlace { schema: &schema, entity, person: None, settings: &["greeting"] }, source)
    }

    fn told(source: &str) -> Vec<(usize, String, Option<String>)> {
        compiled(source).expect_err(source).into_iter().map(|fault| (fault.line, fault.message, fault.hint)).collect()
    }

    fn money(digits: &str) -> Shown {
        Shown::Value(Text::number(format!("CNY {}", crate::words::grouped(digits)), digits.parse::<Decimal>().expect("a number")))
    }

    fn thing(title: &str, parts: &[(&str, Shown)]) -> Shown {
        Shown::Thing(title.to_owned(), parts.iter().map(|(name, part)| ((*name).to_owned(), part.clone())).collect())
    }

    fn rendered(source: &str) -> Result<String, String> {
        let lines = vec![
            thing("b", &[("item", Shown::text("b")), ("price", money("1000.10"))]),
            thing("a", &[("item", Shown::text("a <i>")), ("price", money("234.40"))]),
        ];
        let record = thing(
            "S",
            &[
                ("name", Shown::text("<S>")),
                ("total", money("1234.50")),
                ("buyer", thing("Bo", &[("name", Shown::text("Bo"))])),
                ("lines", Shown::List(lines)),
            ],
        );
        let given = [("record".to_owned(), record)].into_iter().collect();
        compiled(source).map_err(|faults| format!("{faults:?}"))?.render(&given)
    }

    #[test]
    fn what_a_template_reads_is_known() {
        let source =
            "{{ record.name }}{% for line in record.lines if line.price.value > 1 %}{{ line.item }}{% endfor %}{{ record.buyer.name }}{{ today }}";
        let paper = compiled(source).expect("compiles");
        let record = paper.wanted().of("record").expect("the record");
        let names = |wanted: &Wanted| wanted.0.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(record), ["buyer", "lines", "name"]);
        assert_eq!(names(record.of("lines").expect("lines")), ["item", "price"]);
        assert_eq!(names(record.of("buyer").expect("a buyer")), ["name"]);
        assert!(paper.wanted().of("today").is_some() && paper.wanted().of("approvals").is_none());
    }

    #[test]
    fn every_fault_has_its_line() {
        let source = "{{ record.nam }}\n{% for line in record.lines %}\n{{ line.itm }}{% endfor %}\n{{ total }}\n{{ record.total + 1 }}";
        let faults = told(source);
        assert_eq!(faults.iter().map(|fault| fault.0).collect::<Vec<_>>(), [1, 3, 4, 5], "{faults:?}");
        assert_eq!(faults.iter().map(|fault| fault.2.as_deref()).collect::<Vec<_>>(), [Some("name"), Some("item"), Some("record.total"), None]);
        for source in [
            "{% include 'x' %}",
            "{% extends 'x' %}",
            "{% autoescape false %}{{ record.name }}{% endautoescape %}",
            "{{ record.name|safe }}",
            "{{ record.lines }}",
            "{{ record.lines.item }}",
            "{{ record.buyer == 'x' }}",
            "{{ record['na' ~ 'me'] }}",
            "{{ record.lines|sum }}",
            "{{ record.lines|sum(attribute='itm') }}",
            "{{ record.lines|map(attribute='item') }}",
            "{{ [record] }}",
            "{{ record.name() }}",
            "{{ settings.greting }}",
            "<b>\n<SCRIPT src='//e.org'></SCRIPT>",
            "{{ record.name",
            "{% if record.name is matching('x') %}{% endif %}",
        ] {
            assert!(compiled(source).is_err(), "{source}");
        }
    }

    #[test]
    fn values_are_text_where_they_are_shown_and_count_exactly() {
        let lines = |source: &str| rendered(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(lines("{{ record.name }} {{ record.buyer }} {{ record.total }}"), "&lt;S&gt; Bo CNY 1,234.50");
        assert_eq!(lines("{% if record.total.value > 1000 %}much{% endif %}"), "much");
        assert_eq!(lines("{{ record.lines|sum(attribute='price') }} {{ record.lines|length }}"), "CNY 1,234.50 2");
        assert_eq!(lines("{% for line in record.lines|sort(attribute='price') %}{{ loop.index }}{{ line.item }} {% endfor %}"), "1a &lt;i&gt; 2b ");
        assert_eq!(lines("{% set first = record.lines|first %}{{ first.item|upper }}{{ record.total|cny_words }}"), "B壹仟贰佰叁拾肆元伍角整");
        assert_eq!(lines("{{ (record.total.value * 2)|number(1) }}"), "2,469.0");
        assert!(lines("{{ record.name|qr }}").contains("<svg") && !lines("{{ record.name|qr }}").contains("<S>"));
    }

    #[test]
    fn what_never_ends_is_stopped() {
        let endless = "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}";
        assert!(rendered(endless).is_err());
        let long = "{% for a in range(90000) %}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}";
        assert!(rendered(long).is_err());
    }
}
