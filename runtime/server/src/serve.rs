//! In charge of serving: opens the workspace, says how to sign in, and stops in good order.
//! Invariant: a demonstration is for this machine alone: its passwords are printed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::Engine;
use engine::demo::Loaded;
use engine::effects::world::{Reach, World};
use model::doc::Package;
use runtime::{RuntimeState, Settings};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Common, DemoDates, Serve};
use crate::terminal::{print_error, print_line};
use crate::workspace::{self, Refusal};

/// The example that a demonstration shows: documents and data inside the program.
#[derive(rust_embed::RustEmbed)]
#[folder = "../../examples/sales"]
struct Sales;

/// How long the whole stop may take.
const STOP: Duration = Duration::from_secs(10);

/// Serves until it is told to stop; the exit code.
pub(crate) async fn run(common: &Common, options: &Serve) -> u8 {
    match serve(common, options).await {
        Ok(()) => crate::DONE,
        Err(refusal) => {
            print_error(&format!("trellis: {refusal}"));
            if matches!(refusal, Refusal::Held(_)) {
                print_error("Only one server may work on a data folder. Stop the other one, or use another folder with --data.");
            }
            if matches!(refusal, Refusal::Wrong(_)) { crate::WRONG_USE } else { crate::FAILED }
        }
    }
}

fn check(options: &Serve) -> Result<(), Refusal> {
    if options.demo && !options.listen.ip().is_loopback() {
        return Err(Refusal::Wrong(format!(
            "--demo listens on this machine only, and {} is beyond it: its passwords are known to everybody",
            options.listen
        )));
    }
    let is_url = |url: &String| url.starts_with("https://") || url.starts_with("http://");
    if options.base_url.as_ref().is_some_and(|url| !is_url(url)) {
        return Err(Refusal::Wrong("--base-url begins with https:// or http://".to_owned()));
    }
    Ok(())
}

/// What speaks to mail servers and other systems.
fn world(options: &Serve) -> Result<World, Refusal> {
    let smtp_ca = match &options.smtp_ca {
        Some(path) => Some(std::fs::read(path).map_err(|error| Refusal::Wrong(format!("--smtp-ca {}: {error}", path.display())))?),
        None => None,
    };
    if options.smtp.is_some() != options.mail_from.is_some() {
        return Err(Refusal::Wrong("--smtp and --mail-from go together".to_owned()));
    }
    let reach = Reach {
        smtp: options.smtp.clone(),
        mail_from: options.mail_from.clone(),
        smtp_ca,
        allow_private: options.allow_private_addresses,
        patience: None,
    };
    World::new(&reach).map_err(|error| Refusal::Wrong(error.to_string()))
}

async fn serve(common: &Common, options: &Serve) -> Result<(), Refusal> {
    check(options)?;
    let held = workspace::hold(common)?;
    let broken = |what: &str, error: &dyn std::fmt::Display| Refusal::Broken(format!("{what}: {error}"));
    // Taken first: whoever cannot listen should not load a demonstration.
    let listener = TcpListener::bind(options.listen).await.map_err(|error| broken(&options.listen.to_string(), &error))?;
    let address = listener.local_addr().map_err(|error| broken("no address", &error))?;
    let mut told_to_stop = signals().map_err(|error| broken("signals", &error))?;
    let world = world(options)?;
    let engine = workspace::open(common, &held).await?;
    engine.set_outside(Arc::new(world));
    engine.start_jobs();
    engine.start_scheduler();
    let base = options.base_url.clone().map_or_else(|| format!("http://{address}"), |url| url.trim_end_matches('/').to_owned());
    if options.demo {
        demonstrate(&engine, options).await.map_err(|error| broken("the demonstration could not be loaded", &error))?;
    }
    let settings = Settings {
        behind_proxy: options.behind_proxy.clone(),
        base_url: options.base_url.as_ref().map(|_| base.clone()),
        open_metrics: options.open_metrics,
        demo: options.demo,
    };
    let state = RuntimeState::new(engine.clone(), settings);
    greet(&state, options, &base).await.map_err(|error| broken("the owner's account", &error))?;
    let commands = crate::remote::listen(&held.socket(), state.auth().clone()).map_err(|error| broken("the socket for commands", &error))?;
    tracing::info!(%address, database = engine.store().dialect_name(), data = %common.data.display(), "serving");
    let stopping = state.clone();
    let stop = async move {
        let signal = told_to_stop.recv().await;
        tracing::info!(signal, "stopping");
        stopping.stop();
        tokio::spawn(give_up());
    };
    runtime::serve(listener, runtime::router(state), stop).await;
    commands.abort();
    engine.jobs().stop();
    engine.close().await;
    // The next server makes its own; a socket that nobody listens to only confuses.
    let _left_behind = std::fs::remove_file(held.socket());
    tracing::info!("stopped");
    Ok(())
}

/// Ends the process where a stop takes too long: what was answered is on disk.
async fn give_up() {
    tokio::time::sleep(STOP).await;
    tracing::warn!("stopping took too long; ending at once");
    std::process::exit(i32::from(crate::DONE));
}

/// The signals that end a server.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

fn signals() -> std::io::Result<Signals> {
    Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
}

impl Signals {
    async fn recv(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

async fn demonstrate(engine: &Engine, options: &Serve) -> Result<(), engine::Error> {
    if engine.current().app("sales").is_none() {
        let files = Sales::iter().filter_map(|path| Sales::get(&path).map(|file| (path.to_string(), file.data.into_owned()))).collect();
        let package = Package::from_files(Some("sales"), files).map_err(engine::Error::Documents)?;
        engine.install(&engine.system(), package, "the demonstration").await?;
    }
    let began = std::time::Instant::now();
    let loaded = engine::demo::load(engine, "sales", &options.demo_password, options.demo_dates == DemoDates::Original).await?;
    if !loaded.already {
        told(&loaded, began.elapsed());
    }
    Ok(())
}

fn told(loaded: &Loaded, took: Duration) {
    tracing::info!(rows = loaded.rows, failed = loaded.failed, seconds = took.as_secs_f32(), "the demonstration is loaded");
    for reason in &loaded.reasons {
        tracing::warn!(%reason, "a row of the demonstration");
    }
    print_line(&format!("{} records loaded in {:.1} s. People to sign in as:", loaded.rows, took.as_secs_f32()));
    for person in &loaded.people {
        print_line(&format!("  {:<36} {} ({})", person.email, person.name, person.roles.join(", ")));
    }
}

/// Says where the server is and how to sign in.
async fn greet(state: &RuntimeState, options: &Serve, base: &str) -> Result<(), engine::Error> {
    print_line(&format!("Trellis is at {base}"));
    if options.demo {
        print_line(&format!("Sign in as {} with the password {}", engine::demo::ADMIN, options.demo_password));
    } else if let Some(owner) = state.auth().unclaimed_owner(&options.owner).await? {
        let secret = state.auth().make_link(owner).await?;
        let email = state.auth().user(owner).await?.email;
        print_line(&format!("Set the password of {email} once, within a day: {base}/reset/{secret}"));
    }
    Ok(())
}

/// A path for a message.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
