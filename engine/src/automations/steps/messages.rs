//! In charge of `mail` and `notify`: telling people, each in their language, by mail, in the app, through robots of chats.

use model::EntityId;
use serde_json::{Map, Value as Json, json};
use store::system::outbox::{self, Effect};

use super::{Action, After, StepKind};
use crate::automations::compile::{Compiling, Texts};
use crate::automations::people::{Found, Who};
use crate::automations::running::{Hand, Running};
use crate::ctx::Person;
use crate::effects::HTTP;
use crate::error::Error;
use crate::notices::{Notice, Way, Words, mail_to, tell};
use crate::robots::{ROBOTS, message};

/// `mail`.
pub(super) static MAIL: Messages = Messages { name: "mail", way: Way::Mail };
/// `notify`.
pub(super) static NOTIFY: Messages = Messages { name: "notify", way: Way::Notice };

/// Telling people one way.
pub(super) struct Messages {
    name: &'static str,
    way: Way,
}

#[derive(Debug)]
struct Telling {
    way: Way,
    to: Vec<Who>,
    or_else: Vec<Who>,
    subject: Texts,
    body: Texts,
    kind: String,
    robots: Vec<Robot>,
}

/// A robot of a chat: its kind, its address, its secret; both may name secrets of the app.
#[derive(Debug)]
struct Robot {
    kind: String,
    url: String,
    secret: Option<String>,
}

impl StepKind for Messages {
    fn name(&self) -> &'static str {
        self.name
    }

    fn compile(&self, c: &mut Compiling<'_>, _: Option<EntityId>, settings: &Map<String, Json>, at: &str) -> Option<Box<dyn Action>> {
        let (subject, body) = c.message(settings, at);
        let to = c.people(settings.get("to"), &format!("{at}/to"));
        let or_else = c.people(settings.get("or_else"), &format!("{at}/or_else"));
        let kind = settings.get("notice").and_then(Json::as_str).unwrap_or("automation").to_owned();
        let mut robots = Vec::new();
        for (kind, json) in settings.get("robots").and_then(Json::as_object).into_iter().flatten() {
            let at = format!("{at}/robots/{kind}");
            let url = json.as_str().or_else(|| json.get("url").and_then(Json::as_str));
            match (ROBOTS.contains(&kind.as_str()), url) {
                (true, Some(url)) => {
                    let secret = json.get("secret").and_then(Json::as_str).map(str::to_owned);
                    robots.push(Robot { kind: kind.clone(), url: url.to_owned(), secret });
                }
                (false, _) => c.fault(at, format!("there is no robot `{kind}`: {}", ROBOTS.join(", "))),
                (true, None) => c.fault(at, "a robot has an address: {\"url\": \"$secret.…\"}"),
            }
        }
        Some(Box::new(Telling { way: self.way, to, or_else, subject, body, kind, robots }))
    }
}

impl Action for Telling {
    fn run(&self, running: &Running<'_>, about: Option<Hand>) -> Result<After, Error> {
        let mut found = running.find_people(&self.to)?;
        if found.is_empty() {
            found = running.find_people(&self.or_else)?;
        }
        let schema = &running.cx.app.schema;
        let hand = about.or_else(|| running.present());
        let notice = Notice {
            kind: self.kind.clone(),
            about: hand.as_ref().map(|hand| (schema.entity(hand.entity).name.to_string(), hand.id)),
            approval: None,
            teller: running.run,
        };
        let words = |person: &std::sync::Arc<Person>| self.words(running, &person.locale, Some(person.zone));
        let (told, notes) = tell(running.cx, running.tx, self.way, &found.people, &notice, &words)?;
        running.notes.borrow_mut().extend(notes);
        let Found { mut addresses, .. } = found;
        addresses.sort();
        addresses.dedup();
        for address in &addresses {
            mail_to(running.cx, running.tx, address, &notice, &self.words(running, &running.eyes.locale, None)?)?;
        }
        for robot in &self.robots {
            self.through(running, robot, &notice)?;
        }
        Ok(After::next(json!({"people": told, "addresses": addresses.len(), "robots": self.robots.len()})))
    }
}

impl Telling {
    fn words(&self, running: &Running<'_>, locale: &str, zone: Option<chrono_tz::Tz>) -> Result<Words, Error> {
        let render = |texts: &Texts| -> Result<String, Error> {
            let Some(template) = texts.get(locale) else { return Ok(String::new()) };
            let rendered = running.on_scope(None, |scope| {
                let params = rules::query::Params { zone: zone.unwrap_or(scope.params.zone), ..scope.params.clone() };
                rules::value::render(template, &rules::scope::Scope { locale, params: &params, ..*scope })
            })?;
            rendered.map_err(|message| Error::Internal(format!("a text could not be made: {message}")))
        };
        Ok(Words { subject: render(&self.subject)?, text: render(&self.body)? })
    }

    fn through(&self, running: &Running<'_>, robot: &Robot, notice: &Notice) -> Result<(), Error> {
        let cx = running.cx;
        let words = self.words(running, workspace_locale(running), None)?;
        let Some(body) = message(&robot.kind, &words.subject, &words.text) else { return Ok(()) };
        let body = json!({
            "app": running.plan.app, "name": running.plan.name, "url": robot.url, "robot": robot.kind, "robot_secret": robot.secret, "body": body,
        });
        let effect = Effect {
            lane: Some(format!("robot:{}:{}", running.plan.app, robot.url)),
            subject: running.run,
            record: notice.about.clone(),
            ..Effect::new(cx.new_id(), HTTP, cx.now, body)
        };
        Ok(outbox::put(running.tx, &[effect])?)
    }
}

/// The language of a group: the first of the app's.
fn workspace_locale<'r>(running: &'r Running<'_>) -> &'r str {
    let app = running.cx.app.app(&running.plan.app);
    app.and_then(|app| app.app.locales.first()).map_or("en", String::as_str)
}
