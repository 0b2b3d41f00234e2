//! In charge of checking pipelines: stages, moves between them, what stages ask for.

use serde_json::Value as Json;

use super::checking::Checking;
use super::world::{Known, qualify};
use crate::doc::{Next, OptionList, Pipeline, Stage, Transition};
use crate::field::number::exact;
use crate::name::Name;

/// Checks every pipeline and every list of options of the app.
pub(super) fn check(c: &mut Checking<'_, '_>) {
    let app = c.app;
    for (name, pipeline) in &app.pipelines {
        one(c, &format!("/pipelines/{name}"), name, pipeline);
    }
    for (name, list) in &app.options {
        let at = format!("/options/{name}");
        if let Some(target) = &list.extends {
            extension(c, &at, list, target);
        }
        if list.options.is_empty() && list.edit.is_empty() {
            c.warn(format!("{at}/options"), "this list has no options, and no role may add any");
        }
        c.order(&format!("{at}/order"), "option", list.order.iter().flatten().map(Name::as_str), list.options.keys().map(Name::as_str));
        c.roles(&format!("{at}/edit"), &list.edit);
    }
}

/// What a list adds to another app's.
fn extension(c: &mut Checking<'_, '_>, at: &str, list: &OptionList, target: &str) {
    let Some((app, bare)) = target.split_once('.') else {
        return c.error(format!("{at}/extends"), format!("`{target}` names no list of another app, such as sales.industry"));
    };
    if !c.reaches(&format!("{at}/extends"), app) {
        return;
    }
    let Some(there) = c.world.apps.get(app) else { return };
    let Some(extended) = there.options.get(bare) else {
        let offered: Vec<String> = there.options.keys().map(|name| format!("{app}.{name}")).collect();
        return c.missing(format!("{at}/extends"), "option list", target, offered.iter().map(String::as_str));
    };
    for name in list.options.keys().filter(|name| extended.options.contains_key(*name)) {
        c.error(format!("{at}/options/{name}"), format!("`{target}` has an option `{name}` already"));
    }
}

fn one(c: &mut Checking<'_, '_>, at: &str, name: &Name, pipeline: &Pipeline) {
    c.order(&format!("{at}/order"), "stage", pipeline.order.iter().flatten().map(Name::as_str), pipeline.stages.keys().map(Name::as_str));
    if pipeline.stages.values().all(|stage| stage.retired) {
        c.error(format!("{at}/stages"), "a pipeline needs a stage that is not retired");
    }
    if let Some(start) = &pipeline.start {
        match pipeline.stages.get(start) {
            None => c.missing(format!("{at}/start"), "stage", start.as_str(), pipeline.stages.keys().map(Name::as_str)),
            Some(stage) if stage.retired => c.error(format!("{at}/start"), format!("the stage `{start}` is retired: no record can begin there")),
            Some(_) => {}
        }
    }
    let Some(entity) = c.entity(&format!("{at}/entity"), &pipeline.entity) else { return };
    if !entity.pipelines().any(|(app, used)| app == c.name && used == name.as_str()) {
        c.warn(at, format!("no stage field of `{}` uses this pipeline", pipeline.entity));
    }
    for (stage_name, stage) in &pipeline.stages {
        self::stage(c, &format!("{at}/stages/{stage_name}"), pipeline, entity, stage);
    }
    switch(c, at, pipeline, entity);
}

fn stage<'a>(c: &mut Checking<'_, 'a>, at: &str, pipeline: &Pipeline, entity: &Known<'a>, stage: &Stage) {
    for (index, requirement) in stage.requires.iter().enumerate() {
        c.field(format!("{at}/requires/{index}"), entity, requirement.field().as_str());
    }
    if let Some(probability) = &stage.probability {
        let number = match probability {
            Json::Number(number) => exact(&number.to_string()),
            Json::String(digits) => exact(digits),
            _ => None,
        };
        if !number.is_some_and(|number| number >= 0.into() && number <= 100.into()) {
            c.error(format!("{at}/probability"), "a probability is a number from 0 to 100");
        }
    }
    if let Some(span) = &stage.stale_after {
        c.duration(&format!("{at}/stale_after"), span);
    }
    match &stage.next {
        None => {}
        Some(Next::List(names)) => {
            for (index, name) in names.iter().enumerate() {
                next(c, &format!("{at}/next/{index}"), pipeline, name.as_str());
            }
        }
        Some(Next::Map(moves)) => {
            for (name, transition) in moves {
                let at = format!("{at}/next/{name}");
                next(c, &at, pipeline, name.as_str());
                self::transition(c, &at, entity, transition);
            }
        }
    }
}

fn next(c: &mut Checking<'_, '_>, at: &str, pipeline: &Pipeline, name: &str) {
    match pipeline.stages.get(name) {
        None => c.missing(at, "stage", name, pipeline.stages.keys().map(Name::as_str)),
        Some(stage) if stage.retired => c.error(at, format!("the stage `{name}` is retired: nothing moves there")),
        Some(_) => {}
    }
}

fn transition<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, transition: &Transition) {
    c.roles(&format!("{at}/roles"), &transition.roles);
    for (index, field) in transition.ask.iter().enumerate() {
        c.field(format!("{at}/ask/{index}"), entity, field.as_str());
    }
    let Some(name) = &transition.approval else { return };
    let at = format!("{at}/approval");
    match c.app.approvals.get(name) {
        None => c.missing(at, "approval", name.as_str(), c.app.approvals.keys().map(Name::as_str)),
        Some(approval) if qualify(c.name, &approval.entity) != entity.name => {
            c.error(at, format!("the approval `{name}` is for `{}`", approval.entity));
        }
        Some(_) => {}
    }
}

/// Where records of other pipelines go: by that pipeline, from its stages to these, or from these to its stages.
fn switch<'a>(c: &mut Checking<'_, 'a>, at: &str, pipeline: &Pipeline, entity: &Known<'a>) {
    let app = c.app;
    for (other_name, map) in &pipeline.switch {
        let at = format!("{at}/switch/{other_name}");
        let Some(other) = app.pipelines.get(other_name) else {
            c.missing(at, "pipeline", other_name.as_str(), app.pipelines.keys().map(Name::as_str));
            continue;
        };
        if qualify(c.name, &other.entity) != entity.name {
            c.error(&at, format!("the pipeline `{other_name}` is for `{}`", other.entity));
        }
        for (from, to) in map {
            let arrives = other.stages.contains_key(from) && pipeline.stages.contains_key(to);
            let leaves = pipeline.stages.contains_key(from) && other.stages.contains_key(to);
            if arrives || leaves {
                continue;
            }
            let (unknown, offered) = if other.stages.contains_key(from) { (to, &pipeline.stages) } else { (from, &other.stages) };
            c.missing(format!("{at}/{from}"), "stage", unknown.as_str(), offered.keys().map(Name::as_str));
        }
    }
}
