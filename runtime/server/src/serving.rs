//! In charge of serving a workspace until somebody says stop.
//! Invariant: a demonstration is for this machine alone; when the server stops, requests under way are finished.

use std::collections::BTreeMap;
use std::path::Path;

use engine::Engine;
use engine::auth::Auth;
use runtime::{RuntimeState, Settings};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Place, Serve};
use crate::commands::told;
use crate::place::Refused;
use crate::socket;

#[derive(rust_embed::RustEmbed)]
#[folder = "../../examples/sales"]
struct SalesFiles;

/// The password of demo users that no setting names.
const DEMO_PASSWORD: &str = "trellis-demo";

/// Serves.
///
/// # Errors
/// Why it cannot, for people.
pub async fn serve(place: &Place, serve: &Serve) -> Result<(), String> {
    if serve.demo && !serve.listen.ip().is_loopback() {
        return Err("the demonstration has well-known passwords: it listens on this machine only (--listen 127.0.0.1:8080)".to_owned());
    }
    let opened = match place.open().await {
        Ok(opened) => opened,
        Err(Refused::Held) => return Err(format!("{} is in use by another server", place.data.display())),
        Err(Refused::Failed(reason)) => return Err(reason),
    };
    let engine = opened.engine.clone();
    let listener = TcpListener::bind(serve.listen).await.map_err(|error| format!("{}: {error}", serve.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let base = serve.base_url.clone().unwrap_or_else(|| format!("http://{address}"));
    if serve.demo {
        demo(&engine, serve).await?;
    } else if let Some(owner) = Auth::new(engine.clone()).unclaimed_owner("owner@localhost").await.map_err(|error| told(&error))? {
        let secret = Auth::new(engine.clone()).make_link(owner).await.map_err(|error| told(&error))?;
        say(&format!("Set up the owner's account: {base}/reset/{secret}"));
    }
    socket::listen(&place.socket(), engine.clone(), base.clone()).map_err(|error| error.to_string())?;
    engine.start_jobs();
    let behind_proxy = serve.behind_proxy.iter().map(|text| text.parse().map_err(|_| format!("`{text}` is no address"))).collect::<Result<Vec<_>, String>>()?;
    let settings = Settings { behind_proxy, base_url: serve.base_url.clone(), demo: serve.demo, ..Settings::default() };
    let state = RuntimeState::new(engine.clone(), settings);
    say(&format!("Trellis serves {base}"));
    let stopping = state.clone();
    runtime::serve(listener, runtime::router(state), async move {
        stop_signal().await;
        stopping.stop();
    })
    .await;
    engine.close().await;
    let _absent = std::fs::remove_file(place.socket());
    drop(opened);
    Ok(())
}

/// A line for whoever started the program.
#[expect(clippy::print_stdout, reason = "the program's own words to its user")]
fn say(line: &str) {
    println!("{line}");
}

async fn stop_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::error!("signals cannot be heard: end the program by force");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Installs the example with its data, once.
async fn demo(engine: &Engine, serve: &Serve) -> Result<(), String> {
    let password = std::env::var("TRELLIS_DEMO_PASSWORD").unwrap_or_else(|_| DEMO_PASSWORD.to_owned());
    if engine.current().app("sales").is_none() {
        let files: BTreeMap<String, Vec<u8>> =
            SalesFiles::iter().filter(|path| !is_hidden(path)).filter_map(|path| SalesFiles::get(&path).map(|file| (path.to_string(), file.data.into_owned()))).collect();
        let package = model::doc::Package::from_files(Some("sales"), files).map_err(|faults| told(&engine::Error::Documents(faults)))?;
        engine.install(&engine.system(), package, "demonstration").await.map_err(|error| told(&error))?;
    }
    let original = serve.demo_dates.as_deref() == Some("original");
    let loaded = engine::demo::load(engine, "sales", &password, original).await.map_err(|error| told(&error))?;
    if !loaded.already {
        say(&format!("{} demo rows loaded, {} refused", loaded.rows, loaded.failed));
        for reason in loaded.reasons.iter().take(5) {
            say(&format!("  {reason}"));
        }
        say(&format!("Sign in with the password {password} as:"));
        for person in &loaded.people {
            say(&format!("  {} ({}, {})", person.email, person.name, person.roles.join(", ")));
        }
    } else {
        say("Sign in as admin@demo.local with the password of the first start");
    }
    Ok(())
}

fn is_hidden(path: &str) -> bool {
    Path::new(path).components().any(|part| part.as_os_str().to_string_lossy().starts_with('.'))
}
