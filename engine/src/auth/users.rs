//! In charge of people from the administrator's side: made, found, switched off, given a password.
//! Invariant: a person is written like any record, with the rights, rules and history of one.
//! Invariant: a role that nobody declared is refused, so that none is granted by a later app of that name.

use std::sync::Arc;

use indexmap::IndexMap;
use model::fault::escape_pointer;
use model::{Code, EntityId, Input, Message, Violation};
use serde_json::{Value as Json, json};
use store::system::access::CREDENTIAL;
use uuid::Uuid;

use super::{Auth, password};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::published::Published;
use crate::records::{Batch, ListRequest, Shape, Submission};

/// A person to be made.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    /// The address that they sign in with.
    pub email: String,
    /// Their name.
    pub name: String,
    /// Their roles; bare names are good while only one app has them.
    pub roles: Vec<String>,
    /// Their department, by name or id.
    pub department: Option<String>,
    /// Their manager, by address or id.
    pub manager: Option<String>,
    /// Their password; without one they set it by a link.
    pub password: Option<String>,
    /// Further fields of `core.user`; one of these wins over the ones above.
    pub more: IndexMap<String, Input>,
}

impl NewUser {
    fn values(&self) -> IndexMap<String, Input> {
        let mut values = IndexMap::new();
        for (key, value) in
            [("email", Some(&self.email)), ("name", Some(&self.name)), ("department", self.department.as_ref()), ("manager", self.manager.as_ref())]
        {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                values.insert(key.to_owned(), Input::Text(value.clone()));
            }
        }
        if !self.roles.is_empty() {
            values.insert("roles".to_owned(), Input::List(self.roles.iter().cloned().map(Input::Text).collect()));
        }
        values.extend(self.more.clone());
        values
    }
}

/// A person as the administrator's list shows them.
#[derive(Clone, Debug)]
pub struct UserInfo {
    /// The record.
    pub id: Uuid,
    /// Their address.
    pub email: String,
    /// Their name.
    pub name: String,
    /// Whether they may sign in.
    pub active: bool,
    /// Their roles, qualified.
    pub roles: Vec<String>,
}

impl Auth {
    /// Makes a person.
    ///
    /// # Errors
    /// Every fault of the values and of the password.
    pub async fn create_user(&self, cx: &Ctx, new: NewUser) -> Result<Uuid, Error> {
        let mut values = new.values();
        let mut faults = self.resolve(cx, &mut values).await?;
        let email = values.get("email").and_then(Input::as_text).unwrap_or_default().to_owned();
        if let Some(password) = &new.password
            && let Err(Error::Invalid(weak)) = password::judge(password, &email)
        {
            faults.extend(weak);
        }
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        // Hashed first: what can still go wrong afterwards is the store alone.
        let hash = match new.password {
            Some(password) => Some(self.0.hasher.hash(password).await?),
            None => None,
        };
        let user = self.write(cx, "core.user", Submission::Create { id: None, values }).await?;
        if let Some(hash) = hash {
            let row = vec![user.into(), hash.as_str().into(), self.0.engine.now().into()];
            self.0.engine.store().write::<_, Error, _>(move |tx| Ok(tx.put_over(&CREDENTIAL, row.clone())?)).await?;
        }
        Ok(user)
    }

    /// Changes a person; who is switched off is signed out everywhere.
    ///
    /// # Errors
    /// Every fault of the values.
    pub async fn update_user(&self, cx: &Ctx, user: Uuid, version: Option<i64>, mut values: IndexMap<String, Input>) -> Result<(), Error> {
        let faults = self.resolve(cx, &mut values).await?;
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        self.write(cx, "core.user", Submission::Update { id: user, version, values }).await?;
        if self.0.engine.person(user).await?.is_none() {
            self.end_all(user, None).await?;
            self.end_tokens(user).await?;
        }
        Ok(())
    }

    /// Lets a person sign in, or not any more: then every session and token of theirs ends.
    ///
    /// # Errors
    /// Where there is no such person, or the caller may not.
    pub async fn set_active(&self, cx: &Ctx, user: Uuid, active: bool) -> Result<(), Error> {
        self.update_user(cx, user, None, IndexMap::from([("active".to_owned(), Input::Bool(active))])).await
    }

    /// Sets a person's own language and time zone, which everybody may, whatever their roles say of other people.
    /// An empty text leaves the choice to the browser and to the workspace.
    ///
    /// # Errors
    /// `Unauthenticated` where no person asks; every fault of the values.
    pub async fn set_own(&self, cx: &Ctx, locale: &str, time_zone: &str) -> Result<(), Error> {
        let user = cx.caller.user().ok_or(Error::Unauthenticated)?;
        if !time_zone.is_empty() && time_zone.parse::<chrono_tz::Tz>().is_err() {
            let fault = Violation::of_field("time_zone", Code::BadFormat, Message::new("bad_time_zone").with("name", time_zone));
            return Err(fault.into());
        }
        let value = |text: &str| if text.is_empty() { Input::Null } else { Input::Text(text.to_owned()) };
        let values = IndexMap::from([("locale".to_owned(), value(locale)), ("time_zone".to_owned(), value(time_zone))]);
        let own = Ctx { grants: Arc::clone(&cx.app.all_grants), ..cx.clone() };
        self.write(&own, "core.user", Submission::Update { id: user, version: None, values }).await?;
        Ok(())
    }

    /// The language and the time zone that a person chose; empty where they did not.
    ///
    /// # Errors
    /// Where there is no such person.
    pub async fn own(&self, user: Uuid) -> Result<(String, String), Error> {
        let cx = self.0.engine.system();
        let shape = Shape { fields: Some(vec!["locale".to_owned(), "time_zone".to_owned()]), ..Shape::default() };
        let answer = self.0.engine.get(&cx, self.entity(&cx, "core.user")?, user, &shape).await?;
        let row: Json = serde_json::from_slice(&answer.json).unwrap_or_default();
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        Ok((text("locale"), text("time_zone")))
    }

    /// Ends a person's sessions; the secret of a link by which they set a new password.
    ///
    /// # Errors
    /// Where there is no such person.
    pub async fn reset_password(&self, user: Uuid) -> Result<String, Error> {
        self.user(user).await?;
        self.end_all(user, None).await?;
        self.make_link(user).await
    }

    /// The person who signs in with `email`.
    ///
    /// # Errors
    /// Where the store cannot.
    pub async fn find_user(&self, email: &str) -> Result<Option<Uuid>, Error> {
        if email.is_empty() || email.len() > 320 || email.contains('\0') {
            return Ok(None);
        }
        self.find_one("core.user", "email", email).await
    }

    /// All people.
    ///
    /// # Errors
    /// What the list says.
    pub async fn list_users(&self, cx: &Ctx) -> Result<Vec<UserInfo>, Error> {
        let entity = self.entity(cx, "core.user")?;
        let (mut people, mut after) = (Vec::new(), None);
        loop {
            let request = ListRequest { sort: Some("email".to_owned()), limit: Some(1000), after, shape: user_shape(), ..ListRequest::of(entity) };
            let page = self.0.engine.list(cx, request).await?;
            people.extend(page.rows.iter().filter_map(|row| info(row)));
            after = page.next;
            if after.is_none() {
                return Ok(people);
            }
        }
    }

    /// One person.
    ///
    /// # Errors
    /// Not found where there is none.
    pub async fn user(&self, user: Uuid) -> Result<UserInfo, Error> {
        let cx = self.0.engine.system();
        let entity = self.entity(&cx, "core.user")?;
        let answer = self.0.engine.get(&cx, entity, user, &user_shape()).await?;
        info(&answer.json).ok_or(Error::NotFound)
    }

    /// The owner of a workspace in which nobody has a password yet, made where there are no people at all.
    ///
    /// # Errors
    /// Where the store cannot.
    pub async fn unclaimed_owner(&self, email: &str) -> Result<Option<Uuid>, Error> {
        let anybody = self.0.engine.store().read::<_, Error, _>(|tx| Ok(tx.find(&CREDENTIAL, &[], &[], 1)?)).await?;
        if !anybody.is_empty() {
            return Ok(None);
        }
        let cx = self.0.engine.system();
        if let Some(owner) = self.list_users(&cx).await?.into_iter().find(|user| user.roles.iter().any(|role| role == crate::people::ADMIN)) {
            return Ok(Some(owner.id));
        }
        let owner = NewUser { email: email.to_owned(), name: "Owner".to_owned(), roles: vec![crate::people::ADMIN.to_owned()], ..NewUser::default() };
        self.create_user(&cx, owner).await.map(Some)
    }

    async fn write(&self, cx: &Ctx, entity: &str, submission: Submission) -> Result<Uuid, Error> {
        let entity = self.entity(cx, entity)?;
        let batch = Batch { entity, submissions: vec![submission], atomic: true, idempotency: None, answer: None };
        let written = self.0.engine.write(cx, batch).await?.pop().ok_or_else(|| Error::Internal("a write without a result".to_owned()))??;
        Ok(written.id)
    }

    fn entity(&self, cx: &Ctx, name: &str) -> Result<EntityId, Error> {
        self.0.engine.entity(cx, name).map(|def| def.id)
    }

    async fn find_one(&self, entity: &str, field: &str, value: &str) -> Result<Option<Uuid>, Error> {
        let cx = self.0.engine.system();
        let shape = Shape { fields: Some(vec!["id".to_owned()]), ..Shape::default() };
        let filter = Some(json!({"field": field, "op": "=", "value": value}));
        let page = self.0.engine.list(&cx, ListRequest { filter, limit: Some(2), shape, ..ListRequest::of(self.entity(&cx, entity)?) }).await?;
        match page.rows.as_slice() {
            [row] => Ok(serde_json::from_slice::<Json>(row).ok().and_then(|row| row["id"].as_str()?.parse().ok())),
            _ => Ok(None),
        }
    }

    /// Puts qualified names and ids in the place of what people write; what cannot be found is a fault.
    async fn resolve(&self, cx: &Ctx, values: &mut IndexMap<String, Input>) -> Result<Vec<Violation>, Error> {
        let mut faults = Vec::new();
        if let Some(Input::List(roles)) = values.get_mut("roles") {
            for (index, role) in roles.iter_mut().enumerate() {
                match role.as_text().and_then(|name| role_named(&cx.app, name)) {
                    Some(name) => *role = Input::Text(name),
                    None => {
                        let word = role.as_text().unwrap_or_default();
                        let mut fault = Violation::of_field("roles", Code::BadReference, Message::new("unknown_role").with("name", word));
                        fault.pointer = format!("/roles/{index}");
                        faults.push(fault);
                    }
                }
            }
        }
        for (key, entity, by) in [("department", "core.department", "name"), ("manager", "core.user", "email")] {
            let Some(Input::Text(text)) = values.get(key) else { continue };
            if text.parse::<Uuid>().is_ok() {
                continue;
            }
            match self.find_one(entity, by, text).await? {
                Some(id) => {
                    values.insert(key.to_owned(), Input::Text(id.to_string()));
                }
                None => {
                    let mut fault = Violation::of_field(key, Code::BadReference, Message::new("bad_reference"));
                    fault.pointer = format!("/{}", escape_pointer(key));
                    faults.push(fault);
                }
            }
        }
        Ok(faults)
    }
}

/// The qualified name of a role: as it is, or the only one of a bare name.
fn role_named(app: &Arc<Published>, name: &str) -> Option<String> {
    if let Some((app_name, role)) = name.split_once('.') {
        return app.app(app_name)?.roles.contains_key(role).then(|| name.to_owned());
    }
    let mut named = app.schema.apps.iter().filter(|(_, app)| app.roles.contains_key(name)).map(|(app_name, _)| format!("{app_name}.{name}"));
    named.next().filter(|_| named.next().is_none())
}

fn user_shape() -> Shape {
    let fields = ["id", "email", "name", "active", "roles"];
    Shape { fields: Some(fields.map(str::to_owned).to_vec()), ..Shape::default() }
}

fn info(row: &[u8]) -> Option<UserInfo> {
    let row: Json = serde_json::from_slice(row).ok()?;
    Some(UserInfo {
        id: row["id"].as_str()?.parse().ok()?,
        email: row["email"].as_str().unwrap_or_default().to_owned(),
        name: row["name"].as_str().unwrap_or_default().to_owned(),
        active: row["active"].as_bool().unwrap_or(true),
        roles: row["roles"].as_array().into_iter().flatten().filter_map(|role| role.as_str().map(str::to_owned)).collect(),
    })
}
