//! In charge of public forms over HTTP: what a visitor sees and sends, and what does not get in.
//! Invariant: who sends is told the same whether a record was made, another was added to, or a trap was sprung.

use chrono::Duration;
use reqwest::Method;
use serde_json::{Value as Json, json};
use tests::app::{App, PASSWORD};
use tests::client::Answer;
use tests::on_both;

/// An app with a lead and a form for it, with what `more` says over it.
async fn install(app: &App, more: Json) {
    let mut form = json!({
        "on": "new", "entity": "lead", "label": {"en": "Ask us", "zh-CN": "咨询"},
        "fields": {
            "name": {"required": true}, "phone": {"required": true}, "email": {},
            "topics": {}, "size": {}, "agree": {"required": true, "label": {"en": "You may call me"}}
        },
        "values": {"source": "web", "campaign": {"from": "query.utm_campaign"}},
        "duplicate": {"rule": "same_phone", "then": "append"},
        "thanks": {"en": "We call you.", "zh-CN": "我们会联系您。"}
    });
    for (key, value) in more.as_object().expect("settings") {
        form[key] = value.clone();
    }
    let files = [
        (
            "app.json",
            json!({"name": "desk", "label": "Desk", "version": "1.0.0", "format": 1, "requires": {"core": "^1"}, "locales": ["en", "zh-CN"]}),
        ),
        (
            "entities/lead.json",
            json!({"label": "Lead", "title": "{{ name }}", "owner": "optional",
                "fields": {
                    "name": {"kind": "text", "required": true, "max_length": 40, "label": {"en": "Name", "zh-CN": "姓名"}},
                    "phone": {"kind": "phone", "strict": false, "label": {"en": "Phone"}},
                    "email": {"kind": "email", "label": {"en": "E-mail"}},
                    "topics": {"kind": "choices", "options": {"price": {"label": "Prices"}, "help": {"label": "Support"}}},
                    "size": {"kind": "integer", "min": 1},
                    "agree": {"kind": "boolean"},
                    "source": {"kind": "choice", "options": {"web": {}, "fair": {}}, "required": true},
                    "campaign": {"kind": "text", "max_length": 20},
                    "verdict": {"kind": "text", "default": "unheard of"}
                },
                "duplicates": {"same_phone": {"match": [{"field": "phone", "by": "same"}], "then": "warn", "message": {"en": "We have your number"}},
                               "alike": {"match": [{"field": "phone", "by": "same"}, {"field": "name", "by": "similar", "at_least": 0.8}]}}}),
        ),
        ("web_forms/ask.json", form),
        (
            "automations/hear.json",
            json!({"on": {"form": "ask"}, "steps": {"note": {"kind": "update", "values": {"verdict": {"text": "heard {{ sent.name }}"}}}}, "root": ["note"]}),
        ),
    ];
    app.install_files(files.into_iter().map(|(path, json)| (path.to_owned(), json.to_string().into_bytes())).collect()).await;
}

/// An app with products and orders, with a form for an order that has these inputs.
fn products(fields: &Json) -> Vec<(String, Vec<u8>)> {
    let files = [
        ("app.json", json!({"name": "shop", "label": "Shop", "version": "1.0.0", "format": 1, "requires": {"core": "^1"}, "locales": ["en"]})),
        (
            "entities/product.json",
            json!({"label": "Product", "title": "{{ name }} {{ cost }}", "fields": {
                "name": {"kind": "text", "required": true}, "cost": {"kind": "integer"}, "active": {"kind": "boolean"}}}),
        ),
        (
            "entities/order.json",
            json!({"label": "Order", "title": "{{ name }}", "owner": "optional", "fields": {
                "name": {"kind": "text"}, "product": {"kind": "reference", "to": "product"}}}),
        ),
        ("web_forms/order.json", json!({"on": "new", "entity": "order", "fields": fields})),
    ];
    files.into_iter().map(|(path, json)| (path.to_owned(), json.to_string().into_bytes())).collect()
}

async fn install_products(app: &App) {
    let active = json!({"field": "active", "op": "=", "value": true});
    let fields = json!({"name": {"required": true}, "product": {"choose": {"filter": active, "show": "name"}}});
    app.install_files(products(&fields)).await;
}

/// An app with offers, each with a link by which the customer accepts it.
async fn install_offers(app: &App) {
    let files = [
        ("app.json", json!({"name": "offers", "label": "Offers", "version": "1.0.0", "format": 1, "requires": {"core": "^1"}, "locales": ["en"]})),
        (
            "entities/offer.json",
            json!({"label": "Offer", "title": "{{ name }}", "fields": {
                "name": {"kind": "text", "label": "Number"}, "total": {"kind": "integer"}, "email": {"kind": "email", "label": "E-mail"},
                "comment": {"kind": "long_text"}, "link": {"kind": "text"}, "stage": {"kind": "stage", "pipelines": ["offer"]}}}),
        ),
        (
            "pipelines/offer.json",
            json!({"entity": "offer", "stages": {"sent": {"kind": "open"}, "accepted": {"kind": "won", "requires": ["comment"], "next": {}}}}),
        ),
        (
            "web_forms/accept.json",
            json!({"on": "existing", "entity": "offer", "label": "Accept our offer", "show": ["name", "total"], "edit": ["comment"],
                   "move": "accepted", "expires": "P14D", "once": true, "verify": {"field": "email"}}),
        ),
        (
            "automations/invite.json",
            json!({"on": {"record": "created", "entity": "offer"},
                   "steps": {"link": {"kind": "link", "form": "accept", "save": "invitation"},
                             "keep": {"kind": "update", "values": {"link": {"from": "invitation.url"}}}},
                   "root": ["link", "keep"]}),
        ),
    ];
    app.install_files(files.into_iter().map(|(path, json)| (path.to_owned(), json.to_string().into_bytes())).collect()).await;
}

async fn show(app: &App, path: &str) -> Answer {
    let nobody = app.nobody();
    nobody.send(nobody.request(Method::GET, path)).await
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}")).1;
    rest.split_once(after).unwrap_or_else(|| panic!("no {after} behind {before} in {text}")).0
}

fn token(page: &Answer) -> String {
    between(&page.text(), "name=\"_token\" value=\"", "\"").to_owned()
}

/// A form that is shown now and filled a while later.
async fn shown(app: &App) -> String {
    let token = token(&show(app, "//f/desk.ask").await);
    app.clock.set(app.engine.now() + Duration::seconds(30));
    token
}

/// Fields as a browser sends them.
fn entered(request: reqwest::RequestBuilder, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let url = reqwest::Url::parse_with_params("http://form.example/", fields).expect("fields");
    request.header("content-type", "application/x-www-form-urlencoded").body(url.query().unwrap_or_default().to_owned())
}

async fn send(app: &App, path: &str, fields: &[(&str, &str)]) -> Answer {
    let nobody = app.nobody();
    nobody.send(entered(nobody.request(Method::POST, path), fields)).await
}

async fn send_json(app: &App, body: Json) -> Answer {
    let nobody = app.nobody();
    nobody.send(nobody.request(Method::POST, "//f/desk.ask").json(&body)).await
}

/// What there is; a session does not outlive the days that some stories take.
async fn leads(app: &App) -> Vec<Json> {
    let admin = app.nobody().sign_in("admin@example.com", PASSWORD).await;
    admin.list("desk.lead", &[("sort", "created_at")]).await
}

async fn notes(app: &App) -> Vec<String> {
    app.engine.run_due().await.expect("done");
    tests::client::column(&app.admin().list("core.note", &[("sort", "created_at")]).await, "text")
}

on_both! {
    /// A page without scripts, in the visitor's language, that keeps what was entered and marks every fault.
    async fn a_visitor_fills_a_form(app) {
        install(&app, json!({})).await;
        let page = show(&app, "//f/ask?utm_campaign=spring&x=%3Cscript%3E").await;
        page.is(200);
        let text = page.text().replace("&#x2f;", "/");
        assert!(text.contains("<h1>Ask us</h1>") && !text.contains("<script") && !text.contains("unheard of"), "{text}");
        assert!(text.contains(r#"action="/f/desk.ask?utm%5Fcampaign=spring""#), "{text}");
        assert!(page.header("content-security-policy").ends_with("frame-ancestors 'none'"), "{}", page.header("content-security-policy"));
        assert!(show(&app, "//f/ask?locale=zh-CN").await.text().contains("<h1>咨询</h1>"));

        let action = "//f/desk.ask?utm_campaign=spring";
        let at_once = token(&page);
        let good = [("_token", at_once.as_str()), ("name", "Wei"), ("phone", "+86 13800138000"), ("agree", "true"), ("topics:help", "true")];
        let hasty = send(&app, action, &good).await;
        hasty.is(422);
        assert!(hasty.text().contains("once more") && hasty.text().contains(r#"value="Wei""#), "{}", hasty.text());
        assert!(leads(&app).await.is_empty());

        let token = shown(&app).await;
        let bad = [("_token", token.as_str()), ("name", "Wei <b>"), ("email", "nonsense"), ("size", "0"), ("verdict", "<i>guilty</i>")];
        let refused = send(&app, action, &bad).await;
        refused.is(422);
        let text = refused.text();
        for id in ["e-phone", "e-email", "e-size", "e-agree"] {
            assert!(text.contains(&format!("id=\"{id}\"")), "{id} is not marked: {text}");
        }
        assert!(text.contains("Wei &lt;b&gt;") && text.contains(r#"value="nonsense""#) && !text.contains("guilty"), "{text}");
        assert!(leads(&app).await.is_empty());

        let good = [("_token", token.as_str()), ("name", "Wei"), ("phone", "+86 13800138000"), ("agree", "true"), ("topics:help", "true"), ("size", " 1 200 ")];
        let sent = send(&app, action, &good).await;
        sent.is(200);
        assert!(sent.text().contains("We call you.") && sent.asked.contains("/f/"), "{}", sent.text());
        // The same showing sent again, as by going back: nothing more comes of it.
        send(&app, action, &[("_token", token.as_str()), ("name", "Other"), ("phone", "+86 13800138001"), ("agree", "true")]).await.is(200);
        app.engine.run_due().await.expect("done");
        let made = leads(&app).await;
        assert_eq!(made.len(), 1, "{made:?}");
        let lead = &made[0];
        assert_eq!(
            (&lead["source"], &lead["campaign"], &lead["topics"], &lead["size"], &lead["created_by"], &lead["verdict"]),
            (&json!("web"), &json!("spring"), &json!(["help"]), &json!(1200), &Json::Null, &json!("heard Wei"))
        );
        let runs = app.admin().ask("/automations/runs", &[("automation", "desk.hear")]).await.ok(200);
        assert_eq!((runs["data"].as_array().map(Vec::len), &runs["data"][0]["by"]), (Some(1), &Json::Null), "{runs}");
    }

    /// Programs send JSON; only what the form lists is taken, and all faults come at once.
    async fn programs_send_json(app) {
        install(&app, json!({})).await;
        let refused = send_json(&app, json!({"email": "x", "verdict": "guilty", "owner": "me"})).await;
        refused.is(400);
        for (code, field) in [("required", "name"), ("required", "phone"), ("required", "agree"), ("bad_format", "email"), ("unknown_field", "verdict"), ("unknown_field", "owner")] {
            refused.fault(400, code, field);
        }
        assert!(!refused.text().contains("unheard") && !refused.text().contains("source"), "{}", refused.text());
        let sent = send_json(&app, json!({"name": "Wei", "phone": "+8613800138000", "agree": true, "topics": ["price"]})).await.ok(200);
        assert_eq!(sent, json!({"thanks": "We call you."}));
        send_json(&app, json!(["Wei"])).await.problem(400, "malformed");
        let nobody = app.nobody();
        let deep = "[".repeat(100_000);
        nobody.send(nobody.request(Method::POST, "//f/desk.ask").header("content-type", "application/json").body(deep)).await.is(413);
        nobody.send(nobody.request(Method::POST, "//f/desk.ask").header("content-type", "application/json").body("[".repeat(5_000))).await.is(400);
        nobody.send(nobody.request(Method::POST, "//f/desk.nothing").json(&json!({}))).await.problem(404, "not_found");
        assert_eq!(leads(&app).await.len(), 1);
    }

    /// Machines are thanked and not heard; forged, foreign, old and huge sendings make nothing.
    async fn traps_and_limits(app) {
        install(&app, json!({"limit": {"per_hour": 12}})).await;
        let fields = |token: &str| vec![("_token".to_owned(), token.to_owned()), ("name".to_owned(), "Bot".to_owned()), ("phone".to_owned(), "+8613800138000".to_owned()), ("agree".to_owned(), "true".to_owned())];
        let form = async |token: &str, more: &[(&str, &str)]| {
            let all = fields(token);
            let mut all: Vec<(&str, &str)> = all.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            all.extend_from_slice(more);
            send(&app, "//f/desk.ask", &all).await
        };
        let good = shown(&app).await;
        let trapped = form(&good, &[("homepage", "https://spam.example")]).await;
        trapped.is(200);
        assert!(trapped.text().contains("We call you."));
        send_json(&app, json!({"name": "Bot", "phone": "+8613800138000", "agree": true, "homepage": "x"})).await.is(200);
        for forged in ["", "nonsense", &good[..good.len() - 2]] {
            form(forged, &[]).await.is(422);
        }
        let other = token(&show(&app, "//f/sales.contact_us").await);
        app.clock.set(app.engine.now() + Duration::hours(25));
        form(&other, &[]).await.is(422);
        form(&good, &[]).await.is(422);
        let huge = "x".repeat(70_000);
        form(&good, &[("email", &huge)]).await.is(413);
        let nobody = app.nobody();
        nobody.send(nobody.request(Method::PUT, "//f/desk.ask").body("x")).await.is(405);
        show(&app, "//f/desk.nothing").await.is(404);
        show(&app, "//f/..%2Fadmin").await.is(404);
        let foreign = nobody.request(Method::POST, "//f/desk.ask").header("origin", "https://evil.example").json(&json!({"name": "Bot"}));
        nobody.send(foreign).await.problem(403, "forbidden");
        assert!(leads(&app).await.is_empty());

        let fresh = shown(&app).await;
        form(&fresh, &[]).await.is(200);
        assert_eq!(leads(&app).await.len(), 1);
        // One address has its share of an hour; then it waits.
        let mut last = send_json(&app, json!({})).await;
        for _ in 0..12 {
            last = send_json(&app, json!({})).await;
        }
        last.problem(429, "rate_limited");
        assert!(last.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds <= 3_601), "{}", last.header("retry-after"));
        let told = form(&fresh, &[]).await;
        assert_eq!((told.status.as_u16(), told.header("retry-after").is_empty()), (429, false));
        assert!(told.header("content-type").starts_with("text/html"));
        app.clock.set(app.engine.now() + Duration::hours(1));
        send_json(&app, json!({})).await.is(422);
    }

    /// Pages of named origins may hold the form, and send it themselves.
    async fn other_pages_hold_the_form(app) {
        install(&app, json!({"embed": ["https://www.example.com"]})).await;
        let page = show(&app, "//f/desk.ask").await;
        assert!(page.header("content-security-policy").ends_with("frame-ancestors https://www.example.com"), "{}", page.header("content-security-policy"));
        let nobody = app.nobody();
        let body = json!({"name": "Wei", "phone": "+8613800138000", "agree": true});
        let origin = |origin: &'static str| nobody.request(Method::POST, "//f/desk.ask").header("origin", origin);
        let answer = nobody.send(origin("https://www.example.com").json(&body)).await;
        answer.is(200);
        assert_eq!(answer.header("access-control-allow-origin"), "https://www.example.com");
        nobody.send(origin("https://www.example.com.evil.example").json(&body)).await.is(403);
        let asked = nobody.request(Method::OPTIONS, "//f/desk.ask").header("origin", "https://www.example.com");
        assert_eq!(nobody.send(asked).await.header("access-control-allow-methods"), "POST");
        nobody.send(nobody.request(Method::OPTIONS, "//f/desk.ask").header("origin", "https://evil.example")).await.is(403);
        // A form on the company's own page has no token of ours.
        let plain = nobody.send(entered(origin("https://www.example.com"), &[("name", "Wei"), ("phone", "+8613800138001"), ("agree", "true")])).await;
        plain.is(200);
        assert_eq!(leads(&app).await.len(), 2);
    }

    /// Each answer to a duplicate; many at once make one record.
    async fn duplicates_are_caught_at_the_door(app) {
        install(&app, json!({})).await;
        let body = json!({"name": "Wei", "phone": "+8613800138000", "agree": true});
        let all = futures_util::future::join_all((0..8).map(|_| send_json(&app, body.clone()))).await;
        assert!(all.iter().all(|answer| answer.status.as_u16() == 200), "{all:?}");
        assert_eq!(leads(&app).await.len(), 1);
        let told = notes(&app).await;
        assert_eq!((told.len(), told[0].contains("Ask us") && told[0].contains("Name: Wei")), (7, true), "{told:?}");

        install(&app, json!({"duplicate": {"rule": "same_phone", "then": "block"}})).await;
        let refused = send_json(&app, body.clone()).await.problem(409, "duplicate_found");
        assert!(refused["detail"] == "We have your number" || refused["errors"][0]["message"] == "We have your number", "{refused}");
        install(&app, json!({"duplicate": {"rule": "same_phone"}})).await;
        send_json(&app, body.clone()).await.is(200);
        assert_eq!((leads(&app).await.len(), notes(&app).await.len()), (2, 8));
        install(&app, json!({"duplicate": {"rule": "alike", "then": "link"}})).await;
        send_json(&app, json!({"name": "Somebody else", "phone": "+8613800138000", "agree": true})).await.is(200);
        assert_eq!((leads(&app).await.len(), notes(&app).await.len()), (3, 8), "another name at the same number");
        send_json(&app, json!({"name": "Weii", "phone": "+8613800138000", "agree": true})).await.is(200);
        let told = notes(&app).await;
        assert_eq!((leads(&app).await.len(), told.len()), (4, 8), "Wei and Weii are alike by three quarters");
        send_json(&app, json!({"name": "wei", "phone": "+8613800138000", "agree": true})).await.is(200);
        let told = notes(&app).await;
        assert_eq!((leads(&app).await.len(), told.len()), (5, 10), "{told:?}");
        assert!(told.iter().all(|text| !text.contains("guilty")));
    }

    /// Who holds a link sees one record once they said who they are, and answers once.
    async fn holders_of_a_link_answer_once(app) {
        install_offers(&app).await;
        let admin = app.admin();
        let offer = async |number: &str| {
            let id = admin.create_id("offers.offer", json!({"name": number, "total": 1200, "email": "V@example.org"})).await;
            app.engine.run_due().await.expect("done");
            let link = admin.read("offers.offer", &id).await["link"].as_str().expect("a link").to_owned();
            (id, format!("/{link}"))
        };
        let (id, link) = offer("O-1").await;
        assert!(link.starts_with("//f/offers.accept/trf_"), "{link}");
        let first = show(&app, &link).await;
        first.is(200);
        assert!(first.text().contains("E-mail") && !first.text().contains("O-1") && !first.text().contains("1200"), "{}", first.text());
        let stranger = send(&app, &link, &[("_open", "1"), ("_verify", "x@example.org")]).await;
        stranger.is(422);
        assert!(!stranger.text().contains("O-1"), "{}", stranger.text());
        let page = send(&app, &link, &[("_open", "1"), ("_verify", "v@example.org")]).await;
        page.is(200);
        assert!(page.text().contains("O-1") && page.text().contains("name=\"comment\"") && !page.text().contains("name=\"total\""), "{}", page.text());
        let token = token(&page);
        app.clock.set(app.engine.now() + Duration::seconds(30));
        let good = [("_token", token.as_str()), ("_verify", "v@example.org"), ("comment", "With pleasure")];
        let greedy = send(&app, &link, &[&good[..], &[("total", "1")]].concat()).await;
        greedy.is(422);
        send(&app, &link, &[("_token", token.as_str()), ("comment", "With pleasure")]).await.is(200);
        assert_eq!(admin.read("offers.offer", &id).await["stage"], "sent", "without a proof nothing happens");
        send(&app, &link, &good).await.is(200);
        let accepted = admin.read("offers.offer", &id).await;
        assert_eq!((&accepted["stage"], &accepted["comment"], &accepted["updated_by"]), (&json!("accepted"), &json!("With pleasure"), &Json::Null));
        assert!(send(&app, &link, &good).await.text().contains("Thank"), "the same showing again");
        show(&app, &link).await.is(404);
        show(&app, &format!("{link}x")).await.is(404);
        show(&app, "//f/offers.accept").await.is(404);
        let (_, late) = offer("O-2").await;
        show(&app, &late).await.is(200);
        let (gone, binned) = offer("O-3").await;
        admin.delete(&format!("/records/offers.offer/{gone}")).await.is(204);
        show(&app, &binned).await.is(404);
        app.clock.set(app.engine.now() + Duration::days(14));
        show(&app, &late).await.is(404);
    }

    /// A visitor chooses among the records that the form opens, by the field that it shows; nothing is told of others.
    async fn references_are_chosen_among_what_the_form_opens(app) {
        install_products(&app).await;
        let admin = app.admin();
        let product = async |name: &str, active: bool| admin.create_id("shop.product", json!({"name": name, "cost": 5, "active": active})).await;
        let (lamp, table, secret) = (product("Lamp", true).await, product("Table", true).await, product("Secret lamp", false).await);
        let choices = async |query: &str| {
            let nobody = app.nobody();
            nobody.send(nobody.request(Method::GET, &format!("//f/shop.order/choices/{query}"))).await
        };
        let all = choices("product").await.ok(200);
        assert_eq!(all, json!({"data": [{"id": lamp, "text": "Lamp"}, {"id": table, "text": "Table"}]}));
        assert_eq!(choices("product?q=LAM").await.ok(200), json!({"data": [{"id": lamp, "text": "Lamp"}]}));
        assert_eq!(choices("product?q=secret").await.ok(200), json!({"data": []}));
        choices("product?filter=x").await.is(400);
        for closed in ["name", "owner", "nothing"] {
            choices(closed).await.problem(404, "not_found");
        }
        let page = show(&app, "//f/shop.order").await.text();
        assert!(page.contains(&format!("<option value=\"{lamp}\">Lamp</option>")) && !page.contains("Secret"), "{page}");
        let order = async |product: &str| {
            let nobody = app.nobody();
            nobody.send(nobody.request(Method::POST, "//f/shop.order").json(&json!({"name": "Wei", "product": product}))).await
        };
        // What is closed and what is not there are answered alike.
        let refused = order(&secret).await;
        refused.problem(422, "bad_reference");
        let absent = order("00000000-0000-7000-8000-000000000000").await;
        assert_eq!(refused.json()["errors"], absent.json()["errors"]);
        order("Lamp").await.is(422);
        order(&lamp).await.is(200);
        let orders = admin.find("shop.order", json!({"all": []})).await;
        assert_eq!(tests::client::column(&orders, "product"), [lamp]);
    }

    /// A form that takes a reference says which records it opens.
    async fn a_reference_without_its_choices_is_not_published(app) {
        for (fields, wanted) in [
            (json!({"product": {}}), "say which records"),
            (json!({"product": {"choose": {"filter": {"all": []}, "show": "nothing"}}}), "no field `nothing`"),
            (json!({"product": {"choose": {"filter": {"all": []}, "show": "cost"}}}), "no text that can be searched"),
            (json!({"product": {"choose": {"filter": {"field": "colour", "op": "is_set"}, "show": "name"}}}), "colour"),
            (json!({"name": {"choose": {"filter": {"all": []}, "show": "name"}}}), "is no reference"),
        ] {
            let admin = app.admin();
            let zip = tests::folders::zip(&products(&fields));
            let answer = admin.send(admin.request(Method::POST, "/design/apps").header("content-type", "application/zip").body(zip)).await;
            assert!(!answer.status.is_success() && answer.text().contains(wanted), "{fields}: {}", answer.text());
        }
    }
}
