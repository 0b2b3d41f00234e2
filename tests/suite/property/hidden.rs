//! In charge of the promise that no answer tells anything of what its reader may not see.
//! Invariant: in two workspaces that differ only in hidden values, every answer to a rep is the same.

use std::collections::HashMap;

use serde_json::{Value as Json, json};
use tests::app::App;
use tests::backend::{Backend, Database, with_database};
use tests::client::Client;

use tests::chance::Chance;

/// Fills a workspace; `secret` makes what reps may not see.
async fn fill(app: &App, secret: &dyn Fn(usize) -> String) -> Client {
    let (ann, mo, zoe) = (app.ann().await, app.mo().await, app.zoe().await);
    let product = app.product("GTX Basic", "550").await;
    let account = app.account("Acme").await;
    for n in 0..12_usize {
        app.clock.advance(chrono::Duration::seconds(1));
        let owner = if n % 3 == 2 { &zoe } else { &ann };
        // What zoe's team sells is out of ann's sight: its values are secrets too, but for the count of open deals.
        let value = if n % 3 == 2 { format!("{}", secret(n).len()) } else { format!("{n}.50") };
        let id = app.deal_id(owner, json!({"product": product, "account": account, "close_value": value, "engage_date": "2026-02-01"})).await;
        if n % 3 != 2 {
            mo.change("sales.deal", &id, json!({"manager_note": secret(n)})).await;
        }
    }
    ann
}

/// An answer with ids replaced by the order in which they appear, so that two workspaces can be compared.
fn plain(text: &str) -> String {
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = find_id(rest) {
        out.push_str(&rest[..at]);
        let next = names.len();
        let number = *names.entry(rest[at..at + 36].to_owned()).or_insert(next);
        out.push_str(&format!("<{number}>"));
        rest = &rest[at + 36..];
    }
    out.push_str(rest);
    out
}

fn find_id(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..bytes.len().saturating_sub(35)).find(|at| {
        bytes[*at..at + 36].iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    })
}

/// A question that a rep may think of: over visible and hidden fields, in every parameter that takes a name.
fn question(chance: &mut Chance) -> (String, Vec<(String, String)>, Option<Json>) {
    let fields = [
        "manager_note",
        "close_value",
        "stage",
        "name",
        "owner",
        "account.name",
        "account.credit_limit",
        "weighted",
        "engage_date",
        "owner.roles",
        "account.won_value",
    ];
    let field = *chance.of(&fields);
    let op = *chance.of(&["=", "!=", "contains", "not_contains", "is_empty", "is_set", ">", "in", "starts_with"]);
    let value = match op {
        "in" => json!(["secret", "s"]),
        _ => chance.of(&[json!("secret"), json!("s"), json!(5), json!("a")]).clone(),
    };
    let mut leaf = json!({"field": field, "op": op, "value": value});
    if matches!(op, "is_empty" | "is_set") {
        leaf = json!({"field": field, "op": op});
    }
    let filter = match chance.below(4) {
        0 => json!({"not": leaf}),
        1 => json!({"any": [leaf, {"field": "stage", "op": "=", "value": "won"}]}),
        2 => json!({"all": [leaf]}),
        _ => leaf,
    };
    let deals = "/records/sales.deal".to_owned();
    let sort = ("sort".to_owned(), "engage_date,-close_value,name".to_owned());
    match chance.below(8) {
        0 => (deals, vec![("filter".to_owned(), filter.to_string()), sort, ("total".to_owned(), "exact".to_owned())], None),
        1 => (deals, vec![("sort".to_owned(), format!("-{field},-close_value"))], None),
        2 => (deals, vec![("fields".to_owned(), format!("close_value,{field}")), sort], None),
        3 => (deals, vec![("q".to_owned(), (*chance.of(&["secret", "acme", "gtx", "sec"])).to_owned()), sort], None),
        4 => ("/records/sales.account".to_owned(), vec![("filter".to_owned(), json!({"some": "deals", "where": filter}).to_string())], None),
        5 => (format!("{deals}/aggregate"), Vec::new(), Some(json!({"group_by": [field], "measures": ["count"], "sort": [field]}))),
        6 => (format!("{deals}/aggregate"), Vec::new(), Some(json!({"measures": ["count", {"max": field}, {"distinct": field}], "filter": filter}))),
        _ => ("/search".to_owned(), vec![("q".to_owned(), (*chance.of(&["secret", "acme", "gtx"])).to_owned())], None),
    }
}

async fn ask(client: &Client, question: &(String, Vec<(String, String)>, Option<Json>)) -> (u16, String) {
    let (path, query, body) = question;
    let answer = match body {
        Some(body) => client.post(path, body.clone()).await,
        None => client.ask(path, &query.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>()).await,
    };
    let mut text = answer.text();
    if let Ok(Json::Object(mut members)) = serde_json::from_str(&text) {
        // Sealed values and request ids differ by chance.
        for key in ["next", "request_id", "instance"] {
            members.remove(key);
        }
        text = Json::Object(members).to_string();
    }
    (answer.status.as_u16(), plain(&text))
}

fn tells_nothing(backend: Backend) {
    with_database(backend, async |first| {
        let second = Database::new(backend);
        let (one, two) = (App::start(first).await, App::start(&second).await);
        let (ann_one, ann_two) = (fill(&one, &|n| format!("secret {n} {}", "x".repeat(n))).await, fill(&two, &|_| "nothing here".to_owned()).await);
        let mut chance = Chance::new(42);
        let mut good = 0;
        for _ in 0..250 {
            let question = question(&mut chance);
            let (here, there) = (ask(&ann_one, &question).await, ask(&ann_two, &question).await);
            assert!(here.0 < 500, "{question:?}: {here:?}");
            assert!(!here.1.contains("secret ") || here.0 == 400, "{question:?}: {here:?}");
            // What a roll-up sums over deals out of sight is the one thing that may differ: it counts for everybody.
            if !question.1.iter().any(|(_, value)| value.contains("won_value"))
                && !format!("{question:?}").contains("won_value")
                && !here.1.contains("won_value")
            {
                assert_eq!(here, there, "{question:?}");
            }
            good += usize::from(here.0 == 200);
        }
        assert!(good > 80, "most questions must be answered: {good}");
        one.stop().await;
        two.stop().await;
        second.remove().await;
    });
}

#[test]
fn answers_tell_nothing_hidden_on_sqlite() {
    tells_nothing(Backend::Sqlite);
}

#[test]
fn answers_tell_nothing_hidden_on_postgres() {
    tells_nothing(Backend::Postgres);
}
