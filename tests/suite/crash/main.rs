//! In charge of what the program survives: killed while it writes, imports, publishes and counts time; connections cut; a second server.
//! Invariant: what was answered is there, what was not answered is whole or absent; each fault is tried twenty times.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod approvals;
mod automations;
mod clocks;
mod imports;
mod publishing;
mod servers;
mod writes;

use tests::backend::Backend;

/// How often each fault is tried; `TRELLIS_KILLS` sets it for a soak.
fn kills() -> usize {
    std::env::var("TRELLIS_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// Runs a story to its end.
fn run(story: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime").block_on(story);
}

/// What the database itself says of its pages, and what the doctor finds in them.
fn file_is_sound(workspace: &tests::program::Workspace, backend: Backend) {
    let (code, said) = workspace.try_run(&["doctor"], "");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the database finds no damage in itself"), "{said}");
    if backend == Backend::Sqlite {
        let file = rusqlite::Connection::open(workspace.path().join("trellis.sqlite")).expect("the file");
        let told: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer");
        assert_eq!(told, "ok");
    }
}
