//! In charge of `trellis user` and `trellis token`: people without a browser.

use chrono::Duration;
use engine::Error;
use engine::auth::{Auth, NewToken, NewUser};
use model::{Code, Message, Violation};
use uuid::Uuid;

use crate::cli::{Token, User};
use crate::terminal::Terminal;

pub(super) async fn user(auth: &Auth, asked: User, terminal: &Terminal) -> Result<u8, Error> {
    let cx = auth.engine().system();
    match asked {
        User::Add { email, name, roles, department, manager, password_stdin } => {
            let password = terminal.input().map(str::to_owned);
            if password_stdin && password.is_none() {
                terminal.complain("trellis: --password-stdin reads a line, and there is none");
                return Ok(crate::WRONG_USE);
            }
            let name = name.unwrap_or_else(|| email.split('@').next().unwrap_or_default().to_owned());
            let new = NewUser { email: email.clone(), name, roles, department, manager, password, ..NewUser::default() };
            let user = auth.create_user(&cx, new).await?;
            terminal.say(format!("{email} added ({user})"));
            if !password_stdin {
                link(auth, user, terminal).await?;
            }
        }
        User::ResetPassword { email, password_stdin } => {
            let user = find(auth, &email).await?;
            if password_stdin {
                let Some(password) = terminal.input() else {
                    terminal.complain("trellis: --password-stdin reads a line, and there is none");
                    return Ok(crate::WRONG_USE);
                };
                auth.set_password(user, password).await?;
                terminal.say(format!("{email} has a new password; all sessions have ended"));
            } else {
                auth.end_all(user, None).await?;
                link(auth, user, terminal).await?;
            }
        }
        User::Enable { email } => {
            auth.set_active(&cx, find(auth, &email).await?, true).await?;
            terminal.say(format!("{email} may sign in"));
        }
        User::Disable { email } => {
            auth.set_active(&cx, find(auth, &email).await?, false).await?;
            terminal.say(format!("{email} is signed out and may not sign in"));
        }
        User::List => {
            for user in auth.list_users(&cx).await? {
                let state = if user.active { "" } else { " (not active)" };
                terminal.say(format!("{:<36} {:<24} {}{state}", user.email, user.name, user.roles.join(", ")));
            }
        }
    }
    Ok(crate::DONE)
}

async fn find(auth: &Auth, email: &str) -> Result<Uuid, Error> {
    let nobody = || Violation::of_field("email", Code::NotFound, Message::new("unknown_person").with("name", email));
    auth.find_user(email).await?.ok_or_else(|| nobody().into())
}

async fn link(auth: &Auth, user: Uuid, terminal: &Terminal) -> Result<(), Error> {
    let secret = auth.make_link(user).await?;
    terminal.say(format!("They set their password once, within a day, at the server's address: /reset/{secret}"));
    Ok(())
}

pub(super) async fn token(auth: &Auth, asked: Token, terminal: &Terminal) -> Result<u8, Error> {
    let Token::New { email, scopes, name, days } = asked;
    let user = find(auth, &email).await?;
    let expires_at = days.and_then(Duration::try_days).and_then(|days| auth.engine().now().checked_add_signed(days));
    let (secret, _) = auth.make_token(user, NewToken { name, scopes, expires_at }).await?;
    terminal.say(secret);
    Ok(crate::DONE)
}
