//! In charge of `trellis doctor` and `trellis migrate`: whether all is well, and what to do where it is not.

use engine::{Engine, Error, Examined};
use model::Severity;

use crate::cli::Doctor;
use crate::terminal::Terminal;

/// A moment before this program was written: 2026-01-01.
const EARLIEST: i64 = 1_767_225_600;
/// Less room on the disk, in MiB, is too little.
const LEAST_FREE: u64 = 200;

/// What was found, a line each.
struct Findings<'a> {
    terminal: &'a Terminal,
    bad: usize,
}

impl Findings<'_> {
    fn good(&self, text: &str) {
        self.terminal.say(format!("ok       {text}"));
    }

    fn bad(&mut self, text: &str, remedy: &str) {
        self.bad += 1;
        self.terminal.complain(format!("PROBLEM  {text}\n         {remedy}"));
    }
}

pub(super) async fn run(engine: &Engine, asked: Doctor, terminal: &Terminal) -> Result<u8, Error> {
    if asked.sweep {
        for leftover in engine.sweep_leftovers().await? {
            terminal.say(format!("removed  {leftover}"));
        }
    }
    let mut findings = Findings { terminal, bad: 0 };
    database(engine, &mut findings).await;
    folder(engine, &mut findings);
    space(engine, &mut findings);
    let found = engine.examine().await?;
    if damaged(&found, &mut findings) {
        return Ok(crate::FAILED);
    }
    tables(engine, &found, &mut findings).await?;
    contents(&found, &mut findings);
    clock(engine, &found, &mut findings);
    mail(engine, &mut findings).await;
    apps(engine, &mut findings);
    people(engine, &mut findings).await?;
    Ok(if findings.bad == 0 { crate::DONE } else { crate::FAILED })
}

async fn database(engine: &Engine, findings: &mut Findings<'_>) {
    match engine.store().read::<_, Error, _>(|tx| Ok(tx.revision()?)).await {
        Ok(revision) => findings.good(&format!("the database ({}) answers; revision {revision}", engine.store().dialect_name())),
        Err(error) => findings.bad(&format!("the database does not answer: {error}"), "See that it runs and that --database is right."),
    }
}

fn folder(engine: &Engine, findings: &mut Findings<'_>) {
    let Some(folder) = engine.data_dir() else { return };
    match tempfile::tempfile_in(folder) {
        Ok(_) => findings.good(&format!("the data folder {} can be written", folder.display())),
        Err(error) => findings.bad(
            &format!("the data folder {} cannot be written: {error}", folder.display()),
            "Give its owner the right to write, and look for space on the disk.",
        ),
    }
    let key = folder.join("key");
    match std::fs::metadata(&key).map(|about| std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o077) {
        Ok(0) => findings.good("the master key is for its owner alone"),
        Ok(_) => findings.bad("the master key can be read by others", &format!("chmod 600 {}", key.display())),
        Err(_) if std::env::var_os("TRELLIS_KEY").is_some() => findings.good("the master key comes from TRELLIS_KEY"),
        Err(error) => findings.bad(
            &format!("the master key cannot be read: {error}"),
            "Bring it back from where you keep it: encrypted fields cannot be read without it.",
        ),
    }
}

/// Room on the disk, without which nothing is written any more.
fn space(engine: &Engine, findings: &mut Findings<'_>) {
    let Some(folder) = engine.data_dir() else { return };
    match rustix::fs::statvfs(folder) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize) >> 20;
            if free >= LEAST_FREE {
                findings.good(&format!("{free} MiB are free on the disk"));
            } else {
                findings.bad(&format!("{free} MiB are free on the disk"), "Make room: without any nothing can be written.");
            }
        }
        Err(error) => findings.bad(&format!("the disk does not tell its free space: {error}"), "Look at the disk and the data folder's rights."),
    }
}

/// What the database itself says is damaged; whether something is.
fn damaged(found: &Examined, findings: &mut Findings<'_>) -> bool {
    for damage in &found.damages {
        findings.bad(&format!("the database is damaged: {damage}"), "Stop the server, keep a copy of the data folder, restore the newest backup.");
    }
    if found.damages.is_empty() {
        findings.good("the database finds no damage in itself");
    }
    !found.damages.is_empty()
}

/// Bytes of files, and figures that are kept beside the records that they are made of.
fn contents(found: &Examined, findings: &mut Findings<'_>) {
    for lost in &found.lost_files {
        let of = lost.of.as_ref().map(|(entity, record)| format!(" of {entity} {record}")).unwrap_or_default();
        findings.bad(
            &format!("the bytes of the file {} ({}){of} are not there", lost.name, lost.id),
            "Bring the folder `files` back from a backup of that day.",
        );
    }
    if found.lost_files.is_empty() {
        findings.good(&format!("the bytes of {} file(s) are there", found.files));
    }
    for wrong in &found.miscounted {
        let (count, entity, field) = (wrong.count, &wrong.entity, &wrong.field);
        let some: Vec<String> = wrong.some.iter().map(ToString::to_string).collect();
        findings.bad(
            &format!("{field} of {count} record(s) of {entity} is not what its records add up to ({})", some.join(", ")),
            "Change one of the records behind it, or publish the roll-up anew.",
        );
    }
    if found.miscounted.is_empty() {
        findings.good("every roll-up is what its records add up to");
    }
}

/// What sends mails, where something does.
async fn mail(engine: &Engine, findings: &mut Findings<'_>) {
    match engine.examine_mail().await {
        Ok(true) => findings.good("the mail server answers"),
        Ok(false) => {
            findings.terminal.say("note     no mail server is set up here: mails are sent by a server with --smtp and --mail-from".to_owned())
        }
        Err(reason) => findings.bad(&format!("the mail server: {reason}"), "See that --smtp is right and that it can be reached."),
    }
}

/// What the engine itself finds: tables that do not fit the documents.
async fn tables(engine: &Engine, found: &Examined, findings: &mut Findings<'_>) -> Result<(), Error> {
    let records: u64 = found.records.iter().map(|(_, count)| count).sum();
    if found.faults.is_empty() {
        findings.good(&format!("{} tables fit their documents; {records} records", found.records.len()));
    }
    for fault in &found.faults {
        findings.bad(fault, "Install the app again: `trellis app upgrade`.");
    }
    for failing in &found.failing {
        // No fault of the workspace: what is there stays until somebody writes it.
        let some: Vec<String> = failing.some.iter().map(ToString::to_string).collect();
        let (count, entity, reason) = (failing.count, &failing.entity, &failing.reason);
        findings.terminal.say(format!("note     {count} record(s) of {entity} would be refused now: {reason} ({})", some.join(", ")));
    }
    for (began, added) in engine.leftovers().await? {
        let what = if added.is_empty() { "nothing".to_owned() } else { added.join(", ") };
        findings.bad(
            &format!("a publish of {began} is not finished; it added {what}"),
            "Where none is under way, `trellis doctor --sweep` removes it; the next publish does so, too.",
        );
    }
    Ok(())
}

/// Times of records that lie ahead tell of a clock that was set back.
fn clock(engine: &Engine, found: &Examined, findings: &mut Findings<'_>) {
    let now = engine.now();
    match found.newest_change.filter(|newest| *newest > now + chrono::Duration::minutes(1)) {
        Some(newest) => {
            findings.bad(&format!("the clock says {now}, and the newest change was made at {newest}"), "Set the clock right, best by NTP.")
        }
        None if now.timestamp() > EARLIEST => findings.good(&format!("the clock says {now}")),
        None => findings.bad(&format!("the clock says {now}"), "Set the clock right, best by NTP."),
    }
}

fn apps(engine: &Engine, findings: &mut Findings<'_>) {
    let current = engine.current();
    for name in current.schema.apps.keys() {
        let faults = model::check::check(&current.schema.apps, name);
        let errors: Vec<_> = faults.iter().filter(|fault| fault.severity == Severity::Error).collect();
        match errors.first() {
            None => findings.good(&format!("the app {name} is sound")),
            Some(first) => findings.bad(
                &format!("the app {name} has {} fault(s), first {}", errors.len(), super::apps::line(first)),
                "Export it, repair it, upgrade it.",
            ),
        }
    }
}

async fn people(engine: &Engine, findings: &mut Findings<'_>) -> Result<(), Error> {
    let auth = engine::auth::Auth::new(engine.clone());
    let admins = auth
        .list_users(&engine.system())
        .await?
        .into_iter()
        .filter(|user| user.active && user.roles.iter().any(|role| role == engine::people::ADMIN))
        .count();
    if admins > 0 {
        findings.good(&format!("{admins} administrator(s)"));
    } else {
        findings.bad("nobody administers this workspace", "trellis user add EMAIL --role core.admin");
    }
    Ok(())
}

/// Opening the workspace has brought it up to date.
pub(super) async fn migrated(engine: &Engine, terminal: &Terminal) -> Result<u8, Error> {
    let revision = engine.store().read::<_, Error, _>(|tx| Ok(tx.revision()?)).await?;
    terminal.say(format!("up to date; revision {revision}"));
    Ok(crate::DONE)
}
