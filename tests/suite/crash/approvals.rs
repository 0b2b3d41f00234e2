//! In charge of `kill -9` while people decide, and of a backup that is taken meanwhile: every decision is there, once.
//! Invariant: what was answered is in the timeline, one vote a seat; what is stored is what its events make of nothing, with its
//! tasks and timers; what waits for its moment comes once; everything can be brought to its end, and what follows from that is
//! done once; calls and mails arrive at least once, each under one key (P29, P34).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value as Json, json};
use store::Location;
use tests::app::PASSWORD;
use tests::backend::Backend;
use tests::chance::Chance;
use tests::client::{Client, id_of};
use tests::folders;
use tests::instances::{faults, task_id};
use tests::program::{Server, Workspace};
use tests::sinks::{MailSink, WebSink};
use uuid::Uuid;

use crate::{file_is_sound, kills, run};

/// Those who decide; each asks for approvals, too.
const PEOPLE: [&str; 3] = ["p0@example.com", "p1@example.com", "p2@example.com"];

fn documents() -> Vec<(String, Vec<u8>)> {
    let users = |people: &[&str]| json!([{"by": "user", "users": people}]);
    let log = json!({"kind": "create", "entity": "log", "values": {"thing": {"text": "{{ record.name }}"}}});
    let call = json!({"kind": "webhook", "url": "$secret.receiver", "values": {"name": {"from": "name"}}});
    let mail = json!({"kind": "mail", "to": ["created_by"], "subject": "Approved {{ record.name }}", "body": "It is."});
    let files = [
        ("app.json", json!({"name": "flow", "label": "Flow", "version": "1.0.0", "format": 1, "requires": {"core": "^1"}, "locales": ["en"]})),
        ("entities/thing.json", json!({"label": "Thing", "title": "{{ name }}", "fields": {"name": {"kind": "text", "required": true}}})),
        ("entities/log.json", json!({"label": "Log", "title": "{{ thing }}", "fields": {"thing": {"kind": "text"}}})),
        (
            "approvals/whole.json",
            json!({"entity": "thing", "settings": {"withdraw": "any_time_running"}, "steps": {
                "both": {"kind": "approve", "approvers": users(&PEOPLE[..2]), "mode": {"kind": "all"}, "return": {"to": ["initiator"]},
                    "timeouts": [{"after": "PT1S", "do": "remind", "most": 2}]},
                "pause": {"kind": "delay", "for": "PT1S"},
                "one": {"kind": "approve", "approvers": users(&PEOPLE), "mode": {"kind": "any"}, "return": {"to": ["initiator", "previous"]}},
                "inner": {"kind": "subflow", "approval": "part", "wait": true}},
                "root": ["both", "pause", "one", "inner"],
                "on_approved": {"steps": {"note": log, "call": call, "mail": mail}, "root": ["note", "call", "mail"]}}),
        ),
        (
            "approvals/part.json",
            json!({"entity": "thing", "steps": {"last": {"kind": "approve", "approvers": users(&PEOPLE), "mode": {"kind": "claim"}}}, "root": ["last"]}),
        ),
    ];
    files.into_iter().map(|(path, json)| (path.to_owned(), json.to_string().into_bytes())).collect()
}

/// What was answered.
#[derive(Clone, Default)]
struct Journal {
    /// How far each instance had come.
    seen: BTreeMap<Uuid, i64>,
    /// Who decided what: the instance, the task, the word.
    votes: BTreeSet<(Uuid, Uuid, &'static str)>,
}

type Shared = Arc<Mutex<Journal>>;

fn copy(journal: &Shared) -> Journal {
    journal.lock().expect("a journal").clone()
}

fn id(json: &Json) -> Option<Uuid> {
    json.as_str()?.parse().ok()
}

/// An answer; none where the server is gone.
async fn answered(client: &Client, path: &str, body: Json) -> Option<(bool, Json)> {
    let answer = client.request(reqwest::Method::POST, path).json(&body).send().await.ok()?;
    let done = answer.status().is_success();
    let bytes = answer.bytes().await.ok()?;
    Some((done, serde_json::from_slice(&bytes).ok()?))
}

async fn tasks(client: &Client) -> Option<Vec<Json>> {
    let answer = client.request(reqwest::Method::GET, "/approvals/tasks?limit=50").send().await.ok()?;
    let page: Json = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
    page["data"].as_array().cloned()
}

/// Begins and decides until the server is gone.
async fn decide(client: Client, people: Vec<String>, journal: Shared, seed: u64) -> Option<()> {
    let mut chance = Chance::new(seed);
    for round in 0_usize.. {
        let open = tasks(&client).await?;
        if open.len() < 6 || chance.once_in(8) {
            let request = client.request(reqwest::Method::POST, "/records/flow.thing").json(&json!({"name": format!("{seed}-{round}")}));
            let thing: Json = serde_json::from_slice(&request.send().await.ok()?.bytes().await.ok()?).ok()?;
            let (done, begun) = answered(&client, "/approvals", json!({"flow": "flow.whole", "record": thing["id"]})).await?;
            if done {
                journal.lock().expect("a journal").seen.insert(id(&begun["id"])?, begun["seq"].as_i64()?);
            }
            continue;
        }
        let task = chance.of(&open);
        let (seat, instance, step) = (id(&task["task"])?, id(&task["id"])?, task["step"].as_str()?);
        let other = chance.of(&people).clone();
        // Most is decided, and the rest is whatever else people do, right or wrong.
        let (path, body, word) = match (task["task_state"].as_str()?, chance.below(20)) {
            ("unclaimed", _) => (format!("/approvals/tasks/{seat}/claim"), json!({}), None),
            ("delegated", _) => (format!("/approvals/tasks/{seat}/opinion"), json!({"opinion": "yes"}), None),
            (_, 0) => (format!("/approvals/tasks/{seat}/return"), json!({"to": "initiator"}), Some("returned")),
            (_, 1) if step != "start" => (format!("/approvals/tasks/{seat}/reject"), json!({}), Some("rejected")),
            (_, 2) => (format!("/approvals/tasks/{seat}/transfer"), json!({"to": other}), None),
            (_, 3) => (format!("/approvals/tasks/{seat}/delegate"), json!({"to": other}), None),
            (_, 4) => (format!("/approvals/tasks/{seat}/add_sign"), json!({"where": "before", "users": [other]}), None),
            (_, 5) => (format!("/approvals/{instance}/urge"), json!({}), None),
            (_, 6) => (format!("/approvals/{instance}/comment"), json!({"opinion": "Well."}), None),
            (_, 7) => (format!("/approvals/{instance}/withdraw"), json!({}), None),
            (_, 8) => (format!("/approvals/{instance}/take_back"), json!({}), None),
            _ => (format!("/approvals/tasks/{seat}/approve"), json!({}), Some("approved")),
        };
        let (done, told) = answered(&client, &path, body).await?;
        if done {
            let mut journal = journal.lock().expect("a journal");
            let seen = journal.seen.entry(instance).or_default();
            *seen = (*seen).max(told["seq"].as_i64()?);
            if let Some(word) = word.filter(|_| step != "start") {
                journal.votes.insert((instance, seat, word));
            }
        }
    }
    None
}

fn events<'a>(told: &'a Json, word: &'static str) -> impl Iterator<Item = &'a Json> {
    told["timeline"].as_array().expect("a timeline").iter().filter(move |event| event["event"] == word)
}

/// Nothing that was answered since `before` is lost, and nothing happened twice.
async fn holds(admin: &Client, before: &Journal, journal: &Journal) {
    let mut votes: BTreeMap<Uuid, BTreeMap<Uuid, BTreeSet<String>>> = BTreeMap::new();
    for (instance, seen) in journal.seen.iter().filter(|(id, seen)| before.seen.get(*id) != Some(*seen)) {
        let told = admin.get(&format!("/approvals/{instance}")).await.ok(200);
        assert!(told["seq"].as_i64() >= Some(*seen), "what was answered is lost: {told}");
        let mut of_seats: BTreeMap<Uuid, BTreeSet<String>> = BTreeMap::new();
        for vote in events(&told, "voted") {
            let seat = vote["seat"].as_u64().and_then(|seat| u32::try_from(seat).ok()).expect("a seat");
            let word = vote["state"].as_str().unwrap_or_default();
            // A yes that waits for those who were added after it is said again when they have decided.
            let is_new = of_seats.entry(task_id(*instance, seat)).or_default().insert(word.to_owned());
            assert!(is_new, "a seat voted twice: {told}");
        }
        votes.insert(*instance, of_seats);
    }
    for (instance, task, word) in journal.votes.difference(&before.votes) {
        let there = votes.get(instance).and_then(|seats| seats.get(task)).is_some_and(|words| words.contains(*word));
        assert!(there, "a decision is lost: {word} at {task} of {instance}");
    }
}

/// Brings everything to its end.
async fn finish(people: &[Client]) {
    let mut quiet = 0;
    for _ in 0..1_200 {
        let (mut open, mut running) = (0, 0);
        for person in people {
            for task in tasks(person).await.expect("an answer") {
                let verb = match task["task_state"].as_str() {
                    Some("unclaimed") => "claim",
                    Some("delegated") => "opinion",
                    _ => "approve",
                };
                let path = format!("/approvals/tasks/{}/{verb}", task["task"].as_str().expect("an id"));
                // Another of those who may was quicker.
                answered(person, &path, json!({"opinion": "yes"})).await.expect("an answer");
                open += 1;
            }
            for state in ["running", "returned"] {
                let page = person.get(&format!("/approvals/tasks?box=mine&state={state}&limit=1")).await.ok(200);
                running += page["data"].as_array().map_or(0, Vec::len);
            }
        }
        quiet = if open + running == 0 { quiet + 1 } else { 0 };
        if quiet > 1 {
            return;
        }
        if open == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    panic!("something never ends");
}

/// What is over is over once: each pause ended once, and what follows an approval was done once. The names of what was approved.
async fn ended(admin: &Client, journal: &Journal) -> BTreeSet<String> {
    let mut done: BTreeMap<String, usize> = BTreeMap::new();
    for log in admin.pages("flow.log", &[]).await {
        *done.entry(log["thing"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    let mut approved = BTreeSet::new();
    for id in journal.seen.keys() {
        let told = admin.get(&format!("/approvals/{id}")).await.ok(200);
        if told["flow"] != "flow.whole" {
            continue;
        }
        let pauses = told["people"].as_array().expect("visits").iter().filter(|visit| visit["step"] == "pause");
        assert!(pauses.clone().all(|visit| visit["outcome"] != Json::Null), "{told}");
        let mut fired = BTreeSet::new();
        assert!(events(&told, "timer_fired").all(|event| fired.insert(event["timer"]["id"].to_string())), "a timer fired twice: {told}");
        assert_eq!(events(&told, "ended").count(), 1, "{told}");
        let name = told["values"]["name"].as_str().unwrap_or_default();
        let expected = if told["state"] == "approved" { Some(&1) } else { None };
        assert_eq!(done.get(name), expected, "{told}");
        // The record's own state is that of the flow that began last: of the one within this one, where it came so far.
        assert_eq!(told["values"]["approvals.whole.state"], told["state"]);
        if expected.is_some() {
            approved.insert(name.to_owned());
        }
    }
    approved
}

/// By name: the keys under which calls, or mails, came.
fn keys(of: impl Iterator<Item = (String, String)>) -> BTreeMap<String, BTreeSet<String>> {
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, key) in of {
        keys.entry(name).or_default().insert(key);
    }
    keys
}

fn called(sink: &WebSink) -> BTreeMap<String, BTreeSet<String>> {
    keys(sink.calls().iter().map(|call| {
        let body: Json = serde_json::from_str(&call.body).expect("JSON");
        (body["name"].as_str().unwrap_or_default().to_owned(), call.header("webhook-id").to_owned())
    }))
}

fn mailed(sink: &MailSink) -> BTreeMap<String, BTreeSet<String>> {
    let header = |mail: &str, name: &str| mail.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    let mails = sink.mails();
    let of = mails.iter().filter_map(|mail| Some((header(mail, "Subject: ").strip_prefix("Approved ")?.to_owned(), header(mail, "Message-ID: "))));
    keys(of)
}

async fn install(server: &Server, receiver: &str) {
    let admin = server.admin().await;
    let zip = folders::zip(&documents());
    let answer = admin.send(admin.request(reqwest::Method::POST, "/design/apps").header("content-type", "application/zip").body(zip)).await;
    assert!(answer.status.is_success(), "{}", answer.text());
    admin.patch("/admin/secrets/flow", json!({"receiver": receiver})).await.is(204);
}

async fn workspace(backend: Backend) -> Workspace {
    let workspace = Workspace::with_sales(backend).await;
    for email in PEOPLE {
        workspace.run(&["user", "add", email, "--name", email, "--role", "core.admin", "--password-stdin"], PASSWORD);
    }
    workspace
}

async fn signed_in(server: &Server) -> Vec<Client> {
    let mut clients = Vec::new();
    for email in PEOPLE {
        clients.push(Client::nobody(&server.base).sign_in(email, PASSWORD).await);
    }
    clients
}

fn location(workspace: &Workspace) -> Location {
    workspace.database.as_ref().map_or_else(|| Location::in_folder(workspace.path()), |url| Location::Postgres { url: url.clone(), schema: None })
}

/// People at work until the server is gone.
fn begin(people: &[Client], journal: &Shared, seed: u64) -> Vec<tokio::task::JoinHandle<Option<()>>> {
    let ids: Vec<String> = people.iter().map(|person| person.id.clone()).collect();
    let work = |(person, seed): (&Client, u64)| tokio::spawn(decide(person.clone(), ids.clone(), Arc::clone(journal), seed));
    people.iter().zip(seed..).map(work).collect()
}

fn killed_while_deciding(backend: Backend) {
    run(async {
        let (calls, mails) = (WebSink::start().await, MailSink::start().await);
        let smtp = format!("smtp://crm:secret@{}", mails.address);
        let flags = ["--allow-private-addresses", "--smtp", &smtp, "--mail-from", "CRM <crm@example.com>"];
        let workspace = workspace(backend).await;
        let mut server = workspace.serve_with(&flags).await;
        install(&server, &format!("{}/in", calls.base)).await;
        let (journal, mut before) = (Shared::default(), Journal::default());
        for round in 0..kills() {
            let people = signed_in(&server).await;
            let work = begin(&people, &journal, round as u64 * 10);
            tokio::time::sleep(Duration::from_millis(120 + (round as u64 * 97) % 500)).await;
            server.kill();
            for person in work {
                person.await.expect("somebody who decides");
            }
            let now = copy(&journal);
            let fresh = now.seen.iter().filter(|(id, seen)| before.seen.get(*id) != Some(*seen)).map(|(id, _)| *id).collect();
            assert_eq!(faults(&location(&workspace), fresh).await, Vec::<String>::new());
            server = workspace.serve_with(&flags).await;
            holds(&server.admin().await, &before, &now).await;
            before = now;
        }
        let admin = server.admin().await;
        let all = copy(&journal);
        finish(&signed_in(&server).await).await;
        holds(&admin, &Journal::default(), &all).await;
        let approved = ended(&admin, &all).await;
        assert!(approved.len() >= kills() / 4, "too little happened: {}", approved.len());
        for _ in 0..900 {
            if approved.is_subset(&called(&calls).into_keys().collect()) && approved.is_subset(&mailed(&mails).into_keys().collect()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        for (what, came) in [("call", called(&calls)), ("mail", mailed(&mails))] {
            assert!(approved.iter().all(|name| came.contains_key(name)), "a {what} is lost: {approved:?}, {came:?}");
            assert!(came.values().all(|keys| keys.len() == 1), "a {what} came under two keys: {came:?}");
        }
        server.kill();
        assert_eq!(faults(&location(&workspace), all.seen.keys().copied().collect()).await, Vec::<String>::new());
        file_is_sound(&workspace, backend);
        workspace.remove().await;
    });
}

/// E20: a backup from the middle of it is a workspace in which everything goes on.
fn restored_while_deciding() {
    run(async {
        let calls = WebSink::start().await;
        let (workspace, fresh) = (workspace(Backend::Sqlite).await, Workspace::new(Backend::Sqlite).await);
        let server = workspace.serve().await;
        install(&server, &format!("{}/in", calls.base)).await;
        let (journal, people) = (Shared::default(), signed_in(&server).await);
        for number in 0..100 {
            let person = &people[number % people.len()];
            let thing = person.create_id("flow.thing", json!({"name": format!("b-{number}")})).await;
            let begun = person.post("/approvals", json!({"flow": "flow.whole", "record": thing})).await.ok(201);
            let mut journal = journal.lock().expect("a journal");
            journal.seen.insert(id_of(&begun).parse().expect("an id"), begun["seq"].as_i64().unwrap_or_default());
        }
        let before = copy(&journal);
        let work = begin(&people, &Shared::default(), 1);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let file = workspace.path().join("middle.zip").to_string_lossy().into_owned();
        tokio::task::block_in_place(|| workspace.run(&["backup", &file, "--with-key"], ""));
        server.kill();
        for person in work {
            person.await.expect("somebody who decides");
        }
        fresh.run(&["restore", &file], "");
        assert_eq!(faults(&location(&fresh), before.seen.keys().copied().collect()).await, Vec::<String>::new());
        let server = fresh.serve().await;
        let admin = server.admin().await;
        holds(&admin, &Journal::default(), &before).await;
        finish(&signed_in(&server).await).await;
        ended(&admin, &before).await;
        server.kill();
        file_is_sound(&fresh, Backend::Sqlite);
    });
}

#[test]
fn killed_while_deciding_on_sqlite() {
    killed_while_deciding(Backend::Sqlite);
}

#[test]
fn killed_while_deciding_on_postgres() {
    killed_while_deciding(Backend::Postgres);
}

#[test]
fn a_backup_from_the_middle_goes_on() {
    restored_while_deciding();
}
