//! In charge of the scenarios of the example apps and of the kitchen sink: all of them pass.
#![allow(clippy::expect_used, reason = "a test ends where what it expects is not so")]

use std::path::Path;

use engine::packages::read_folder;
use model::doc::Package;

mod replays;

/// An app of the repository.
fn package(folder: &str) -> Package {
    read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder)).expect("an app")
}

async fn passes(folder: &str) {
    let package = package(folder);
    let outcomes = engine::scenarios::run_all(&package, &[]).await.expect("the app installs");
    assert!(!outcomes.is_empty());
    let failed: Vec<String> = outcomes
        .iter()
        .filter_map(|outcome| outcome.failure.as_ref().map(|(step, reason)| format!("{} step {step}: {reason}", outcome.name)))
        .collect();
    assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), outcomes.len(), failed.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sales() {
    passes("examples/sales").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn service_desk() {
    passes("examples/service_desk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kitchen_sink() {
    passes("tests/apps/kitchen_sink").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn automations() {
    passes("tests/apps/automations").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals() {
    passes("tests/apps/approvals").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conversions() {
    passes("tests/apps/conversions").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks() {
    passes("tests/apps/clocks").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts() {
    passes("tests/apps/scripts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pools() {
    passes("tests/apps/pools").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights() {
    passes("tests/apps/rights").await;
}
