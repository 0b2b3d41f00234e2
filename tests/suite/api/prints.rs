//! In charge of papers over HTTP: what a record offers, what stands on a paper and for whom, papers kept as files, faults of
//! templates.
//! Invariant: what somebody may not read stands on no paper that they get.

use serde_json::json;
use tests::app::{App, PASSWORD};
use tests::client::{Client, id_of};
use tests::folders;
use tests::on_both;

async fn quote(app: &App, owner: &Client) -> String {
    let account = app.account("北方科技").await;
    let product = app.product("GTX <script>alert(1)</script>", "1550").await;
    let values = json!({"account": account, "discount": 10, "valid_until": "2026-03-05", "notes": "一行\n两行", "items": [{"product": product, "quantity": 2}]});
    owner.create_id("sales.quote", values).await
}

/// The app of the flows, with other files.
async fn installed(app: &App, more: &[(&str, &str)]) {
    let mut files = folders::read("tests/apps/approvals");
    files.retain(|(name, _)| !name.starts_with("scenarios/") && more.iter().all(|(other, _)| name != other));
    files.extend(more.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())));
    let _ = app.install_files(files).await;
}

async fn person(app: &App, name: &str, role: &str) -> Client {
    let email = format!("{name}@example.com");
    let body = json!({"email": email, "name": name, "roles": [format!("approvals.{role}")], "password": PASSWORD});
    let _ = app.admin().post("/admin/users", body).await.ok(201);
    app.nobody().sign_in(&email, PASSWORD).await
}

async fn task(of: &Client, record: &str) -> String {
    let tasks = of.get("/approvals/tasks?box=todo").await.ok(200);
    let line = tasks["data"].as_array().into_iter().flatten().find(|line| line["record"] == record);
    line.and_then(|line| line["task"].as_str().or(line["id"].as_str())).unwrap_or_else(|| panic!("no task: {tasks}")).to_owned()
}

/// A picture of one pixel.
const PIXEL: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01,
    0x08, 0x06, 0x00, 0x00, 0x00, 0x1f, 0x15, 0xc4, 0x89, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x00, 0x01, 0x00, 0x00,
    0x05, 0x00, 0x01, 0x0d, 0x0a, 0x2d, 0xb4, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

on_both! {
    /// A record offers its papers; a paper has its lines and totals, in the reader's language, and needs nothing from elsewhere.
    async fn a_quote_is_a_paper(app) {
        let ann = app.ann().await;
        let id = quote(&app, &ann).await;
        let path = format!("/records/sales.quote/{id}/prints");
        let offered = ann.get(&path).await.ok(200);
        assert_eq!(offered, json!({"data": [{"name": "sales.quote", "label": "Quote"}]}));
        let paper = ann.get(&format!("{path}/quote")).await;
        assert_eq!((paper.status.as_u16(), paper.header("content-type").as_str()), (200, "text/html; charset=utf-8"));
        assert_eq!(paper.header("content-language"), "en");
        let policy = paper.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("script-src"), "{policy}");
        assert!(paper.header("content-disposition").contains("filename*=UTF-8''Q%2D2026%2D0001%20"), "{}", paper.header("content-disposition"));
        let text = paper.text();
        for expected in ["Quote Q-2026-0001", "USD 1,550.00", "USD 3,100.00", "USD 2,790.00", "10 %", "5 March 2026", "<p>一行<br>两行</p>"] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(!text.contains("<script") && text.contains("GTX &lt;script&gt;"), "what was entered is text: {text}");
        for outside in ["src=\"http", "src=\"/", "href=", "url(", "@import"] {
            assert!(!text.contains(outside), "{outside}");
        }
        assert!(text.contains("@page { size: A4 ; margin: 15mm; }") && text.contains("<svg class=\"qr\""), "{text}");
        let meta = ann.get("/meta").await.ok(200);
        let quotes = meta["entities"].as_array().expect("entities").iter().find(|entity| entity["name"] == "sales.quote").expect("quotes");
        assert_eq!(quotes["prints"][0]["name"], "sales.quote");
        assert!(ann.get("/openapi.json").await.ok(200)["paths"].get("/records/sales.quote/{id}/prints/{print}").is_some());
    }

    /// K18: Chinese stands on a paper as it was written, in fonts that the reader's system has: nothing is drawn on the server.
    async fn chinese_is_whole(app) {
        let ann = app.ann().await.reading("zh-CN");
        let id = quote(&app, &ann).await;
        let paper = ann.get(&format!("/records/sales.quote/{id}/prints/sales.quote")).await;
        let text = paper.text();
        assert_eq!(paper.header("content-language"), "zh-CN");
        for expected in ["<html lang=\"zh-CN\">", "<meta charset=\"utf-8\">", "报价单", "北方科技", "2026年3月5日", "贰仟柒佰玖拾元整", "USD 2,790.00"] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        for font in ["PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC"] {
            assert!(text.contains(font), "{font}");
        }
        assert!(paper.header("content-disposition").contains("%E5%8C%97%E6%96%B9"), "the file's name, too");
    }

    /// E18: a field that somebody may not read stands on no paper of theirs; a record out of sight has none.
    async fn a_hidden_field_is_on_no_paper(app) {
        installed(&app, &[]).await;
        let (amy, rea, lea) = (person(&app, "amy", "rep").await, person(&app, "rea", "reader").await, person(&app, "lea", "outside").await);
        let id = amy.create_id("approvals.quote", json!({"name": "Q", "amount": 1000, "cost": 731})).await;
        let path = format!("/records/approvals.quote/{id}/prints/quote");
        let own = amy.get(&path).await;
        assert!(own.text().contains("Cost: CNY 731.00") && own.header("content-disposition").contains("731"), "{}", own.text());
        let hers = rea.get(&path).await;
        assert!(hers.status.is_success() && !hers.text().contains("731") && !hers.text().contains("Cost"), "{}", hers.text());
        assert!(!hers.header("content-disposition").contains("731"), "nor in the name of the file");
        lea.get(&path).await.problem(404, "not_found");
        lea.get(&format!("/records/approvals.quote/{id}/prints")).await.problem(404, "not_found");
        amy.get(&format!("/records/approvals.quote/{id}/prints/nothing")).await.problem(404, "not_found");
        let _ = amy.post("/approvals", json!({"flow": "approvals.unseen", "record": id})).await.ok(201);
        let at_work = lea.get(&path).await;
        assert!(at_work.status.is_success() && at_work.text().contains("CNY 1,000.00"), "{}", at_work.text());
        assert!(!at_work.text().contains("731"), "what the step hides: {}", at_work.text());
    }

    /// An approval's acts stand on the paper of its record, signatures as pictures that are in it.
    async fn signatures_are_on_the_paper(app) {
        let print = r#"{"entity": "claim", "template": "claim.html"}"#;
        let template = "{% for approval in approvals %}<h1>{{ approval.flow }} {{ approval.state }}</h1>{% for act in approval.acts %}<p>{{ act.step }}|{{ act.person }}|{{ act.what }}|{{ act.opinion }}|{{ act.signature|image(\"30mm\") }}|{{ act.signature }}</p>{% endfor %}{% endfor %}";
        installed(&app, &[("prints/claim.json", print), ("prints/claim.html", template)]).await;
        let (amy, fin, fay) = (person(&app, "amy", "rep").await, person(&app, "fin", "finance").await, person(&app, "fay", "finance").await);
        let _ = person(&app, "bob", "boss").await;
        let id = amy.create_id("approvals.claim", json!({"name": "Taxi", "way": "sign"})).await;
        let _ = amy.post("/approvals", json!({"flow": "approvals.signed", "record": id})).await.ok(201);
        let drawn = json!({"signature": {"name": "Fin", "strokes": [[1, 2, 3, 4, 5, 6]]}, "opinion": "<b>ok</b>"});
        let _ = fin.post(&format!("/approvals/tasks/{}/approve", task(&fin, &id).await), drawn).await.ok(200);
        let part = reqwest::multipart::Part::bytes(PIXEL).file_name("s.png");
        let form = reqwest::multipart::Form::new().part("file", part);
        let picture = id_of(&fay.send(fay.request(reqwest::Method::POST, "/files").multipart(form)).await.ok(201));
        let _ = fay.post(&format!("/approvals/tasks/{}/approve", task(&fay, &id).await), json!({"signature": {"id": picture}})).await.ok(200);
        let text = amy.get(&format!("/records/approvals.claim/{id}/prints/claim")).await.text();
        assert!(text.contains("<h1>Signed In approval</h1>") && text.contains("|amy|submitted||"), "{text}");
        assert!(text.contains("|fin|approved|&lt;b&gt;ok&lt;&#x2f;b&gt;|<img src=\"data:image/svg+xml,") && text.contains("|Fin</p>"), "{text}");
        assert!(text.contains("|fay|approved||<img src=\"data:image/png;base64,"), "{text}");
        assert!(text.contains("style=\"width:30mm\""), "{text}");
    }

    /// The step `print` keeps a paper as a file on its record, for whoever may see the record.
    async fn a_paper_is_kept(app) {
        let (ann, mo, zoe) = (app.ann().await, app.mo().await, app.zoe().await);
        let (me, manager) = (ann.get("/me").await.ok(200), mo.get("/me").await.ok(200));
        app.admin().change("core.user", &id_of(&me), json!({"manager": manager["id"]})).await;
        let id = quote(&app, &ann).await;
        let _ = ann.post("/approvals", json!({"flow": "sales.discount", "record": id})).await.ok(201);
        let _ = mo.post(&format!("/approvals/tasks/{}/approve", task(&mo, &id).await), json!({})).await.ok(200);
        app.engine.run_due().await.expect("done");
        let runs = app.admin().get("/automations/runs?automation=sales.quote_approved").await.ok(200);
        assert_eq!(runs["data"][0]["state"], "done", "{runs}");
        let files = ann.list("core.file", &[]).await;
        let [file] = files.as_slice() else { panic!("one file: {files:?}") };
        assert_eq!((&file["about"]["id"], &file["file"]["type"]), (&json!(id), &json!("text/html")));
        let name = file["file"]["name"].as_str().unwrap_or_default();
        assert!(name.starts_with("Q-2026-0001 ") && name.ends_with(".html"), "{name}");
        let kept = ann.get(&format!("/files/{}", id_of(&file["file"]))).await;
        assert!(kept.text().contains("USD 2,790.00") && kept.text().contains("<!doctype html>"), "{}", kept.text());
        assert!(kept.header("content-disposition").starts_with("attachment"), "a file is never run in place");
        assert!(kept.header("content-security-policy").contains("sandbox"));
        zoe.get(&format!("/files/{}", id_of(&file["file"]))).await.problem(404, "not_found");
        assert!(zoe.list("core.file", &[]).await.is_empty());
    }

    /// What is wrong with a template is told with its file and its line, all of it at once, and nothing is published.
    async fn faults_of_a_template_are_told(app) {
        let print = r#"{"entity": "claim", "template": "claim.html", "page": {"size": "A9", "margin": "wide"}}"#;
        let template = "<h1>{{ record.nam }}</h1>\n{% if record.amount > 5 %}x{% endif %}\n{% for line in record.name %}{% endfor %}\n{{ claim.name }}\n{{ record.name|safe }}\n<script>alert(1)</script>\n{{ settings.nothing }}{% include 'x' %}\n";
        let mut files = folders::read("tests/apps/approvals");
        files.extend([("prints/claim.json".to_owned(), print.as_bytes().to_vec()), ("prints/claim.html".to_owned(), template.as_bytes().to_vec())]);
        let admin = app.admin();
        let request = admin.request(reqwest::Method::POST, "/design/apps").header("content-type", "application/zip").body(folders::zip(&files));
        let answer = admin.send(request).await;
        let problem = answer.json();
        assert_eq!(answer.status.as_u16(), 422, "{problem}");
        let told: Vec<String> = problem["errors"].as_array().expect("errors").iter().map(|error| {
            format!("{} {} {} {}", error["file"].as_str().unwrap_or_default(), error["pointer"].as_str().unwrap_or_default(), error["message"].as_str().unwrap_or_default(), error["hint"].as_str().unwrap_or_default())
        }).collect();
        let has = |parts: &[&str]| assert!(told.iter().any(|line| parts.iter().all(|part| line.contains(part))), "{parts:?}: {told:#?}");
        has(&["prints/claim.html /prints/claim/template", "no field `nam`", "line 1", "name"]);
        has(&["`.value`", "line 2"]);
        has(&["nothing to go through", "line 3"]);
        has(&["no `claim`", "line 4"]);
        has(&["no filter `safe`", "line 5"]);
        has(&["`<script`", "line 6"]);
        has(&["no setting `nothing`", "line 7"]);
        has(&["takes nothing from other templates", "line 7"]);
        has(&["prints/claim.json /prints/claim/page/size", "A9"]);
        has(&["prints/claim.json /prints/claim/page/margin", "wide"]);
    }
}
