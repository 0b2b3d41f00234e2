//! In charge of checking roles: that what they give rights on is there.

use super::checking::Checking;
use super::world::Known;
use crate::doc::{Allowed, DesignRight, EntityRights, FieldRule, Scope, ThroughScope};
use crate::fault::escape_pointer;
use crate::name::Name;

/// Checks every role of the app.
pub(super) fn check(c: &mut Checking<'_, '_>) {
    let app = c.app;
    for (name, role) in &app.roles {
        let at = format!("/roles/{name}");
        for (entity_name, rights) in &role.entities {
            let at = format!("{at}/entities/{}", escape_pointer(entity_name));
            if let Some(entity) = c.entity(&at, entity_name) {
                self::rights(c, &at, entity, rights);
            }
        }
        if let Some(DesignRight::Apps { apps }) = &role.design {
            for (index, name) in apps.iter().enumerate() {
                c.one_of(format!("{at}/design/apps/{index}"), "app", name.as_str(), c.world.apps.keys().map(Name::as_str).collect::<Vec<_>>());
            }
        }
    }
}

fn rights<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, rights: &EntityRights) {
    for (action, scope) in [("read", &rights.read), ("update", &rights.update), ("delete", &rights.delete)] {
        if let Some(scope) = scope {
            self::scope(c, &format!("{at}/{action}"), entity, scope);
        }
    }
    if let Some(Allowed::Through(through)) = &rights.create {
        self::through(c, &format!("{at}/create"), entity, through);
    }
    for (name, rule) in &rights.fields {
        let at = format!("{at}/fields/{name}");
        // A clock is granted by its name.
        if !entity.is_clock(name.as_str()) {
            c.field(at.as_str(), entity, name.as_str());
        }
        if let FieldRule::Scoped(scoped) = rule {
            for (key, scope) in [("read", &scoped.read), ("write", &scoped.write)] {
                if let Some(scope) = scope {
                    self::scope(c, &format!("{at}/{key}"), entity, scope);
                }
            }
        }
    }
}

fn scope<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, scope: &Scope) {
    match scope {
        // The filter is checked where filters are understood; what a word matches is a matter of the record.
        Scope::Word(_) | Scope::Filter(_) => {}
        Scope::Through(through) => self::through(c, at, entity, through),
    }
}

fn through<'a>(c: &mut Checking<'_, 'a>, at: &str, entity: &Known<'a>, through: &ThroughScope) {
    let at = format!("{at}/through");
    if let Some(field) = c.field(&at, entity, through.through.as_str())
        && !matches!(field.kind.as_str(), "reference" | "any_reference")
    {
        c.error(at, format!("`{}` is of kind `{}`: rights go through a reference", through.through, field.kind));
    }
}
