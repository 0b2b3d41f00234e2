//! In charge of the page on which a record becomes others: what will be made, what is there, what is left out, which lines.
//! Invariant: shows the preview of the very deed; what was not changed on the page stays the document's.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use engine::conversions::{ConversionAsked, Offered, OfferedTarget};
use engine::{Ctx, Error};
use indexmap::IndexMap;
use model::fault::escape_pointer;
use model::{Code, EntityDef, Input, Violation, Wording};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::cell::text_of;
use super::control::{Control, Refused, controls, label_of};
use super::picker::{self, Offers};
use super::record::{Failed, render};
use super::shell::{Missed, Shell, missed, shell, told};
use super::{env, toast};
use crate::http::caller::Page;
use crate::http::form::PageForm;
use crate::http::query::Query;
use crate::state::RuntimeState;

/// After the name of an input: what stood in it at first.
const GIVEN: &str = ":given";

#[derive(Serialize)]
struct ConvertPage {
    shell: Shell,
    action: String,
    back: String,
    targets: Vec<Part>,
    /// What goes along, where anything may.
    carries: bool,
    error: Option<String>,
}

/// One target.
#[derive(Serialize)]
struct Part {
    name: String,
    label: String,
    deed: String,
    optional: bool,
    used: bool,
    /// The record that is there: its title and address.
    matched: Option<(String, String)>,
    /// The records among which may be chosen.
    choices: Vec<(String, String)>,
    chosen: String,
    controls: Vec<Control>,
    /// What stood in inputs at first.
    given: Vec<(String, String)>,
    /// What a record that is there gets.
    gains: Vec<(String, String)>,
    lines: Vec<Lines>,
    error: Option<String>,
}

#[derive(Serialize)]
struct Lines {
    /// The input that names all lines that are offered.
    name: String,
    all: String,
    label: String,
    columns: Vec<String>,
    rows: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    title: String,
    used: bool,
    cells: Vec<LineCell>,
}

#[derive(Serialize)]
struct LineCell {
    label: String,
    text: String,
    /// The input, where a part may be taken.
    name: Option<String>,
    most: String,
    error: Option<String>,
}

/// Shows what would come of a conversion.
pub(super) async fn show(
    State(state): State<RuntimeState>,
    page: Page,
    Path((entity, id, conversion)): Path<(String, Uuid, String)>,
) -> Result<Response, Missed> {
    let nothing = Query::default();
    Asking::of(&state, &page, &entity, id, &conversion, &nothing).await?.show(None).await
}

/// Converts, or looks again with what was entered.
pub(super) async fn convert(
    State(state): State<RuntimeState>,
    Path((entity, id, conversion)): Path<(String, Uuid, String)>,
    form: PageForm,
) -> Result<Response, Missed> {
    let page = &form.page;
    let asking = Asking::of(&state, page, &entity, id, &conversion, &form.fields).await?;
    if form.fields.get("look").is_some() {
        return asking.show(None).await;
    }
    if !asking.faults.is_empty() {
        return asking.show(Some(&Error::Invalid(asking.faults.clone()))).await;
    }
    match state.engine().convert(&page.cx, asking.def.id, id, asking.asked.clone()).await {
        Ok(made) => Ok(Redirect::to(&landing(asking.def, id, &asking.targets, &made)).into_response()),
        Err(error @ (Error::Invalid(_) | Error::Forbidden)) => asking.show(Some(&error)).await,
        Err(error) => Err(missed(page)(error)),
    }
}

/// Where to go: the last record that was made, else the first that was there.
fn landing(def: &EntityDef, id: Uuid, targets: &[OfferedTarget], made: &Json) -> String {
    let of = |deed: &str| {
        let found = targets.iter().filter_map(|target| made["targets"].get(&target.name)).filter(|target| target["do"] == deed);
        let addresses = found.filter_map(|target| Some(format!("/r/{}/{}", target["entity"].as_str()?, target["id"].as_str()?)));
        addresses.collect::<Vec<_>>()
    };
    let address = of("create").pop().or_else(|| of("match").into_iter().next()).unwrap_or_else(|| format!("/r/{}/{id}", def.name));
    format!("{address}?done=converted")
}

/// What somebody wants of a conversion, as their form says.
struct Asking<'a> {
    state: &'a RuntimeState,
    page: &'a Page,
    def: &'a EntityDef,
    id: Uuid,
    fields: &'a Query,
    label: String,
    targets: Vec<OfferedTarget>,
    asked: ConversionAsked,
    offers: IndexMap<String, Offers>,
    faults: Vec<Violation>,
}

impl<'a> Asking<'a> {
    async fn of(state: &'a RuntimeState, page: &'a Page, entity: &str, id: Uuid, conversion: &str, fields: &'a Query) -> Result<Self, Missed> {
        let def = state.engine().entity(&page.cx, entity).map_err(missed(page))?;
        let offered: Vec<Offered> = state.engine().conversions(&page.cx, def.id, id).await.map_err(missed(page))?;
        let offered = offered.into_iter().find(|offered| offered.name == conversion);
        let (label, targets) = offered.map_or_else(|| (String::new(), Vec::new()), |offered| (offered.label, offered.targets));
        let mut asking = Self {
            state,
            page,
            def,
            id,
            fields,
            label,
            targets: Vec::new(),
            asked: ConversionAsked::of(conversion),
            offers: IndexMap::new(),
            faults: Vec::new(),
        };
        if fields.get("shown").is_some() {
            asking.read(&targets).await?;
        }
        asking.targets = targets;
        Ok(asking)
    }

    /// Reads what was entered of each target.
    async fn read(&mut self, targets: &[OfferedTarget]) -> Result<(), Missed> {
        let (mut values, mut wanted, mut lines) = (IndexMap::new(), IndexMap::new(), IndexMap::new());
        for target in targets {
            let name = &target.name;
            let far = self.state.engine().entity(&self.page.cx, &target.entity).map_err(missed(self.page))?;
            let own = below(self.fields, &format!("{name}."));
            let mut typed = picker::typed(self.state, self.page, far, None, &own).await?;
            typed.values.retain(|field, _| own.get(field) != own.get(&format!("{field}{GIVEN}")) || is_typed(&own, field));
            let at = format!("/values/{}", escape_pointer(name));
            self.faults.extend(typed.faults.into_iter().map(|fault| fault.under(&at)));
            self.offers.insert(name.clone(), typed.offers);
            if !typed.values.is_empty() {
                values.insert(name.clone(), Input::Map(typed.values));
            }
            let is_used = !target.optional || self.fields.get(&format!("use:{name}")).is_some();
            match self.fields.filled(&format!("as:{name}")) {
                _ if !is_used => drop(wanted.insert(name.clone(), Input::Bool(false))),
                Some(record) => drop(wanted.insert(name.clone(), Input::Text(record.to_owned()))),
                // An optional one that was left out before and is ticked now is wanted.
                None if target.optional => drop(wanted.insert(name.clone(), Input::Bool(true))),
                None => {}
            }
            let chosen = self.lines_of(name);
            if !chosen.is_empty() {
                lines.insert(name.clone(), Input::Map(chosen));
            }
        }
        (self.asked.values, self.asked.targets, self.asked.lines) = (Input::Map(values), Input::Map(wanted), Input::Map(lines));
        Ok(())
    }

    /// The lines that are ticked, with how much of each, by lines field.
    fn lines_of(&self, target: &str) -> IndexMap<String, Input> {
        let mut found = IndexMap::new();
        for (key, all) in self.fields.pairs() {
            let Some(field) = key.strip_prefix(&format!("lines:{target}:")) else { continue };
            let rows = all.split(',').filter(|id| !id.is_empty()).filter_map(|id| {
                let name = format!("line:{target}:{field}:{id}");
                self.fields.get(&name)?;
                let own = below(self.fields, &format!("{name}:"));
                let amounts = own.pairs().filter(|(_, text)| !text.trim().is_empty());
                let amounts = amounts.map(|(name, text)| (name.to_owned(), Input::Text(text.trim().replace([',', ' '], ""))));
                Some(Input::Map([("id".to_owned(), Input::Text(id.to_owned()))].into_iter().chain(amounts).collect()))
            });
            found.insert(field.to_owned(), Input::List(rows.collect()));
        }
        found
    }

    /// The page, with what was refused where something was.
    async fn show(&self, error: Option<&Error>) -> Result<Response, Missed> {
        let (cx, page) = (&self.page.cx, self.page);
        let looked = ConversionAsked { dry_run: true, ..self.asked.clone() };
        let seen = match self.state.engine().convert(cx, self.def.id, self.id, looked).await {
            Ok(seen) => seen,
            // What cannot be looked at is told where one came from.
            Err(error @ (Error::Invalid(_) | Error::Forbidden)) => {
                return render(self.state, page, self.def.name.as_str(), self.id, &Query::default(), None, Some(Failed::of(&error))).await;
            }
            Err(error) => return Err(missed(page)(error)),
        };
        let faults = self.faults_of(&seen, error);
        let mut parts = Vec::new();
        for target in &self.targets {
            parts.push(self.part(target, &seen, &faults).await?);
        }
        // What no input of the page shows is told above them.
        let beside: Vec<&String> = parts.iter().flat_map(Part::errors).collect();
        let mut whole: Vec<String> = faults.iter().map(|fault| fault.wording.text(&cx.locale)).filter(|text| !beside.contains(&text)).collect();
        whole.dedup();
        let error = match error {
            Some(Error::Invalid(_)) | None => (!whole.is_empty()).then(|| whole.join(" · ")),
            Some(error) => Some(told(error, &cx.locale).1),
        };
        let back = format!("/r/{}/{}", self.def.name, self.id);
        let context = ConvertPage {
            shell: toast::told(shell(page, &self.label, &format!("/r/{}", self.def.name)), None, &Query::default()),
            action: format!("{back}/convert/{}", self.asked.conversion),
            back,
            targets: parts,
            carries: seen["carry"].as_array().is_some_and(|carry| !carry.is_empty()),
            error,
        };
        let status =
            if self.fields.get("shown").is_some() && self.fields.get("look").is_none() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        Ok(env::page(status, "convert.html", &context))
    }

    /// What is wrong: as the deed said it, as was typed, and as the preview sees it once something was entered.
    fn faults_of(&self, seen: &Json, error: Option<&Error>) -> Vec<Violation> {
        let mut faults = self.faults.clone();
        if let Some(Error::Invalid(more)) = error {
            faults.extend(more.iter().cloned());
        }
        let text = |fault: &Json, key: &str| fault[key].as_str().unwrap_or_default().to_owned();
        for fault in seen["errors"].as_array().into_iter().flatten() {
            let pointer = text(fault, "pointer");
            if !faults.iter().any(|there| there.pointer == pointer) {
                let (field, wording) = (fault["field"].as_str().map(str::to_owned), Wording::Text(text(fault, "message")));
                faults.push(Violation { pointer, field, code: Code::RuleFailed, wording });
            }
        }
        faults
    }

    async fn part(&self, target: &OfferedTarget, seen: &Json, faults: &[Violation]) -> Result<Part, Missed> {
        let cx = &self.page.cx;
        let there = &seen["targets"][&target.name];
        let deed = there["do"].as_str().unwrap_or_default();
        let far = self.state.engine().entity(cx, &target.entity).map_err(missed(self.page))?;
        let empty = Map::new();
        let values = there["values"].as_object().unwrap_or(&empty);
        let pair = |record: &Json| Some((record["id"].as_str()?.to_owned(), record["title"].as_str()?.to_owned()));
        let matched = pair(there).filter(|_| deed == "match");
        let mut choices: Vec<(String, String)> = there["candidates"].as_array().into_iter().flatten().filter_map(pair).collect();
        choices.extend(matched.clone());
        let at = format!("/targets/{}", escape_pointer(&target.name));
        let is_made = matches!(deed, "create" | "choose");
        let (controls, given) = if is_made { self.controls(target, far, values, faults).await? } else { (Vec::new(), Vec::new()) };
        let is_new = self.fields.get(&format!("as:{}", target.name)) == Some("create");
        Ok(Part {
            name: target.name.clone(),
            label: target.label.clone(),
            deed: deed.to_owned(),
            optional: target.optional,
            used: deed != "skip",
            chosen: if is_new { "create".to_owned() } else { matched.as_ref().map(|(id, _)| id.clone()).unwrap_or_default() },
            // What was chosen to be new may be one that is there all the same.
            choices: if is_new && choices.is_empty() { vec![(String::new(), env::text(&cx.locale, "search_again"))] } else { choices },
            matched: matched.map(|(id, title)| (title, format!("/r/{}/{id}", far.name))),
            gains: if deed == "match" { gains(cx, far, values) } else { Vec::new() },
            controls,
            given,
            lines: self.lines(target, far, there, faults),
            error: faults.iter().find(|fault| fault.pointer == at).map(|fault| fault.wording.text(&cx.locale)),
        })
    }

    /// The inputs of a record that is made, and what stood in them at first.
    async fn controls(
        &self,
        target: &OfferedTarget,
        far: &EntityDef,
        values: &Map<String, Json>,
        faults: &[Violation],
    ) -> Result<(Vec<Control>, Vec<(String, String)>), Missed> {
        let (cx, at) = (&self.page.cx, format!("/values/{}/", escape_pointer(&target.name)));
        let own: Vec<Violation> = faults.iter().filter(|fault| fault.pointer.starts_with(&at)).cloned().collect();
        let said = self.asked.values.get(&target.name).and_then(Input::as_map);
        let mut names: Vec<String> = values.keys().cloned().collect();
        let more = own.iter().filter_map(|fault| fault.field.clone()).chain(said.into_iter().flatten().map(|(name, _)| name.clone()));
        for name in more.filter(|name| far.find(name).is_some_and(|field| !field.system || name == "owner")) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let is_new = |json: &Json| json.get("target").is_some() && json.as_object().is_some_and(|map| map.len() == 1);
        let mut sent: IndexMap<String, Input> =
            values.iter().filter(|(_, json)| !is_new(json)).map(|(name, json)| (name.clone(), Input::from(json))).collect();
        sent.extend(said.into_iter().flatten().map(|(name, input)| (name.clone(), input.clone())));
        let offers = self.offers.get(&target.name).cloned().unwrap_or_default();
        let refused = Refused { sent, faults: &own, offers };
        let mut made = controls(self.state, self.page, far, None, &names, &refused).await?;
        let mut given = Vec::new();
        for control in &mut made {
            // What is asked for here is asked for, also where a form would show it only afterwards.
            control.visible = true;
            let json = values.get(&control.name).unwrap_or(&Json::Null);
            let field = far.find(&control.name);
            if let Some(other) = json["target"].as_str().filter(|_| is_new(json)) {
                let label = self.targets.iter().find(|there| there.name == other).map_or(other, |there| there.label.as_str());
                (control.kind, control.error) = ("shown", None);
                control.value = format!("{} ({})", label, env::text(&cx.locale, "new_record"));
            } else if let Some(field) = field.filter(|_| control.kind == "shown") {
                control.value = text_of(cx, field, json);
            }
            let name = format!("{}.{}", target.name, control.name);
            if control.kind != "shown" {
                let first = format!("{name}{GIVEN}");
                given.push((first.clone(), self.fields.get(&first).map_or_else(|| control.value.clone(), str::to_owned)));
            }
            control.name = name;
        }
        Ok((made, given))
    }

    fn lines(&self, target: &OfferedTarget, far: &EntityDef, there: &Json, faults: &[Violation]) -> Vec<Lines> {
        let cx = &self.page.cx;
        let mut all = Vec::new();
        for (field, rows) in there["lines"].as_object().into_iter().flatten() {
            let Some(line) = far.inverses.get(field.as_str()).map(|inverse| cx.app.schema.entity(inverse.entity)) else { continue };
            let name = format!("lines:{}:{field}", target.name);
            let seen: Vec<&Json> = rows.as_array().into_iter().flatten().collect();
            let ids = seen.iter().filter_map(|row| row["id"].as_str());
            let offered: Vec<String> = match self.fields.get(&name) {
                Some(before) => before.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect(),
                None => ids.map(str::to_owned).collect(),
            };
            let columns: Vec<&model::FieldDef> = line
                .fields
                .iter()
                .filter(|own| seen.iter().any(|row| row["values"].get(own.name.as_str()).is_some_and(|json| !json.is_null())))
                .filter(|own| own.doc.kind != "reference" && own.typed.is_some() && !own.system)
                .collect();
            let shown = offered.iter().map(|id| {
                let row = seen.iter().position(|row| row["id"] == id.as_str());
                let at = row.map(|row| format!("/lines/{}/{}/{row}/", escape_pointer(&target.name), escape_pointer(field)));
                self.line(&format!("line:{}:{field}:{id}", target.name), row.map(|row| seen[row]), &columns, at, faults)
            });
            all.push(Lines {
                rows: shown.collect(),
                label: label_of(cx, far.find(field).unwrap_or_else(|| far.field(model::FieldId(0)))),
                columns: columns.iter().map(|own| label_of(cx, own)).collect(),
                all: offered.join(","),
                name,
            });
        }
        all
    }

    fn line(&self, name: &str, row: Option<&Json>, columns: &[&model::FieldDef], at: Option<String>, faults: &[Violation]) -> Line {
        let cx = &self.page.cx;
        let nothing = Json::Null;
        let row_json = row.unwrap_or(&nothing);
        let cells = columns.iter().map(|own| {
            let json = row_json["values"].get(own.name.as_str()).unwrap_or(&Json::Null);
            let left = row_json["left"].get(own.name.as_str());
            let input = left.map(|_| format!("{name}:{}", own.name));
            let error = at.as_ref().and_then(|at| faults.iter().find(|fault| fault.pointer == format!("{at}{}", own.name)));
            LineCell {
                label: label_of(cx, own),
                text: match (&input, left) {
                    (Some(input), _) => self.fields.get(input).map_or_else(|| plain(json), str::to_owned),
                    (None, _) => text_of(cx, own, json),
                },
                name: input,
                most: left.map(plain).unwrap_or_default(),
                error: error.map(|fault| fault.wording.text(&cx.locale)),
            }
        });
        Line {
            cells: cells.collect(),
            title: row_json["title"].as_str().or_else(|| self.fields.get(&format!("title:{name}"))).unwrap_or("…").to_owned(),
            used: row.is_some(),
            name: name.to_owned(),
        }
    }
}

impl Part {
    /// What is told beside its inputs.
    fn errors(&self) -> impl Iterator<Item = &String> {
        let cells = self.lines.iter().flat_map(|lines| &lines.rows).flat_map(|line| &line.cells).filter_map(|cell| cell.error.as_ref());
        self.controls.iter().filter_map(|control| control.error.as_ref()).chain(cells).chain(self.error.as_ref())
    }
}

/// A number as an input holds it.
fn plain(json: &Json) -> String {
    json.as_str().map_or_else(|| if json.is_null() { String::new() } else { json.to_string() }, str::to_owned)
}

/// The parameters whose names begin so, without that.
fn below(fields: &Query, prefix: &str) -> Query {
    Query::of(fields.pairs().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value.to_owned()))).collect())
}

/// Whether a title was typed for a reference, where no script put an id in its place.
fn is_typed(own: &Query, field: &str) -> bool {
    let key = format!("{field}{}", super::query::TYPED);
    own.get(&key).is_some() && !super::query::is_untouched(own, &key)
}

/// What a record that is there gets, for people.
fn gains(cx: &Ctx, far: &EntityDef, values: &Map<String, Json>) -> Vec<(String, String)> {
    let shown =
        values.iter().filter_map(|(name, json)| Some((far.find(name)?, json))).filter(|(_, json)| !json.is_null() && json.get("target").is_none());
    shown.filter(|(field, _)| field.doc.kind != "reference").map(|(field, json)| (label_of(cx, field), text_of(cx, field, json))).collect()
}
