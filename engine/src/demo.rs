//! In charge of demonstrations: an app's rows for show, as if they were of today, and people who can sign in.
//! Invariant: rows go the way of every import; what fails is told, never hidden.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use model::doc::Import;
use model::{Input, Value};
use store::system::Cond;
use store::system::access::CREDENTIAL;
use uuid::Uuid;

use crate::Engine;
use crate::auth::Auth;
use crate::ctx::{Cause, Ctx};
use crate::error::Error;
use crate::files::Content;
use crate::imports::job::parts_of;
use crate::imports::run::Run;
use crate::jobs::Halt;
use crate::records::{Batch, Channel, Submission};

/// The person who may do all in a demonstration.
pub const ADMIN: &str = "admin@demo.local";

/// Somebody who can sign in to a demonstration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// The address.
    pub email: String,
    /// The name.
    pub name: String,
    /// Qualified role names.
    pub roles: Vec<String>,
    /// The department.
    pub department: Option<Uuid>,
}

/// What was loaded.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Whether it was there already, and nothing was done.
    pub already: bool,
    /// Rows that were written.
    pub rows: u64,
    /// Rows that failed.
    pub failed: u64,
    /// The first reasons, as lines of error files.
    pub reasons: Vec<String>,
    /// Who can sign in, the administrator first.
    pub people: Vec<SignIn>,
}

/// Loads the demonstration of an installed app: the files of `demo.load` in order, then those that it does not name.
/// `original` keeps the dates of the files.
///
/// # Errors
/// `NotFound` where the app is not installed; what is wrong with a file or a document; that the store could not.
pub async fn load(engine: &Engine, app: &str, password: &str, original: bool) -> Result<Loaded, Error> {
    let auth = Auth::new(engine.clone());
    if auth.find_user(ADMIN).await?.is_some() {
        return Ok(Loaded { already: true, ..Loaded::default() });
    }
    let package = engine.current().packages.get(app).cloned().ok_or(Error::NotFound)?;
    let demo = package.app.app.demo.clone().unwrap_or_default();
    let today = engine.now().with_timezone(&engine.current().zone).date_naive();
    let shift = demo.today_is.filter(|_| !original).map_or(0, |made_for| (today - made_for).num_days());
    let mut steps: Vec<(String, Import)> = Vec::new();
    for file in &demo.load {
        let document = package.app.imports.get(file.import.as_str()).cloned().ok_or(Error::NotFound)?;
        steps.push((format!("demo/{}", file.file), document));
    }
    let named: BTreeSet<String> = steps.iter().map(|(path, _)| path.clone()).collect();
    for path in package.files.keys().filter(|path| !named.contains(*path)) {
        if let Some(name) = path.strip_prefix("demo/").and_then(|name| name.strip_suffix(".csv")) {
            steps.push((path.clone(), Import { entity: name.to_owned(), ..Import::default() }));
        }
    }
    let mut loaded = Loaded::default();
    let administrator = make_administrator(engine).await?;
    let mut people = vec![administrator];
    for (path, document) in steps {
        let bytes = package.files.get(&path).cloned().ok_or(Error::NotFound)?;
        let content = Content::Bytes(bytes.into());
        let is_people = document.entity == "core.user";
        let mut run = prepared(engine, app, &document, content)?;
        run.shift = shift;
        run.made = is_people.then(Vec::new);
        finished(run.run().await)?;
        loaded.rows += run.progress.created + run.progress.updated + run.progress.skipped;
        loaded.failed += run.progress.failed;
        loaded.reasons.extend(reasons(engine, &run, &path));
        people.extend(run.made.into_iter().flatten());
    }
    give_password(engine, &auth, &people, password).await?;
    loaded.people = sign_ins(engine, people).await?;
    Ok(loaded)
}

/// A run of one document over one file, in the engine's name.
pub(crate) fn prepared(engine: &Engine, app: &str, document: &Import, content: Content) -> Result<Run, Error> {
    let cx = Ctx { channel: Channel::Import, cause: Cause::Seed, ..engine.system() };
    let parts = parts_of(document, &[content])?;
    Ok(Run::plain(engine, cx, Some(app), parts))
}

/// How a run that nobody can pause ended.
pub(crate) fn finished(ended: Result<(), Halt>) -> Result<(), Error> {
    match ended {
        Ok(()) => Ok(()),
        Err(Halt::Failed(error)) => Err(error),
        Err(Halt::Asked) => Err(Error::Internal("a run without a job was halted".to_owned())),
    }
}

/// The first lines of a run's error rows; the rows are forgotten then.
pub(crate) fn reasons(engine: &Engine, run: &Run, path: &str) -> Vec<String> {
    const SHOWN: usize = 10;
    let scratch = engine.files().scratch();
    let file = run.progress.first_errors().and_then(|part| run.progress.error_file(part));
    let content = file.and_then(|file| scratch.content(run.id, file));
    let text = content.and_then(|content| {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut content.open().ok()?, &mut text).ok()?;
        Some(text)
    });
    scratch.remove(run.id);
    text.iter().flat_map(|text| text.lines().skip(1).take(SHOWN)).map(|line| format!("{path}: {line}")).collect()
}

async fn make_administrator(engine: &Engine) -> Result<Uuid, Error> {
    let cx = Ctx { cause: Cause::Seed, ..engine.system() };
    let user = cx.app.schema.find("core.user").ok_or(Error::NotFound)?.id;
    let text = |text: &str| Input::Text(text.to_owned());
    let values: IndexMap<String, Input> = [
        ("email".to_owned(), text(ADMIN)),
        ("name".to_owned(), text("Demo Administrator")),
        ("roles".to_owned(), Input::List(vec![text(crate::people::ADMIN)])),
    ]
    .into_iter()
    .collect();
    let written = engine.write(&cx, Batch::one(user, Submission::Create { id: None, values })).await?;
    written.into_iter().next().unwrap_or(Err(Error::NotFound)).map(|written| written.id)
}

/// Gives all the same password: hashed once, as one cannot learn from equal hashes what everybody is told.
async fn give_password(engine: &Engine, auth: &Auth, people: &[Uuid], password: &str) -> Result<(), Error> {
    let Some((first, others)) = people.split_first() else { return Ok(()) };
    auth.set_password(*first, password).await?;
    let (first, others) = (*first, others.to_vec());
    engine
        .store()
        .write(move |tx| {
            let rows = tx.find(&CREDENTIAL, &[Cond::Eq("user", Value::Uuid(first))], &[], 1)?;
            let Some([_, hash, at]) = rows.first().map(Vec::as_slice) else { return Ok(()) };
            for other in &others {
                tx.put_over(&CREDENTIAL, vec![Value::Uuid(*other), hash.clone(), at.clone()])?;
            }
            Ok::<_, Error>(())
        })
        .await
}

/// Who can sign in.
async fn sign_ins(engine: &Engine, people: Vec<Uuid>) -> Result<Vec<SignIn>, Error> {
    let app = engine.current();
    engine
        .store()
        .read(move |tx| {
            let def = app.schema.find("core.user").ok_or(Error::NotFound)?;
            let cell = |cells: &model::Cells, name: &str| def.slot(name).and_then(|slot| cells.get(slot)).cloned().unwrap_or_default();
            let text = |cells: &model::Cells, name: &str| cell(cells, name).as_text().unwrap_or_default().to_owned();
            let loaded = tx.load(def, &people, store::Lock::None)?;
            let of = |cells: &model::Cells| SignIn {
                email: text(cells, "email"),
                name: text(cells, "name"),
                roles: cell(cells, "roles").items().iter().filter_map(Value::as_text).map(str::to_owned).collect(),
                department: cell(cells, "department").as_uuid(),
            };
            Ok(loaded.iter().flatten().map(of).collect())
        })
        .await
}
