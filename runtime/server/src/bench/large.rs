//! In charge of the section over ten times as much: the same questions cost the same, and a new field holds nobody up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::child::{Child, Failure, Site, command};
use super::load::{Load, Outcome};
use super::questions::Questions;
use super::sides::{CLIENTS, Questioner, Side, both};
use super::table::Target;
use super::{Run, data, timed};

/// Measures a large workspace beside `small`.
pub(super) fn measure(run: &mut Run<'_>, small: &Site) -> Result<(), Failure> {
    let rows = run.asked.large;
    run.tell(&format!("making {rows} deals"));
    let (site, imported) = data::make(run.scratch, "large", None, rows)?;
    let name = |what: &str| format!("{rows} deals: {what}");
    run.table.add(&name("import, rows/s"), imported.rows_per_second, None, Target::None);
    run.table.add(&name("import, most memory, MB"), imported.most_memory, None, Target::None);
    let (of_few, of_many) = (Questions::of(small)?, Questions::of(&site)?);
    let few = Child::trellis(small, &run.scratch.join("trellis.log"))?;
    let (took, many) = timed(|| Child::trellis(&site, &run.scratch.join("large.log")))?;
    run.table.add(&name("start, ms"), took, None, Target::AtMost(300.0));
    let pairs: [(&str, Questioner<'_>, Questioner<'_>); 2] =
        [("get one", &|n| of_many.get(n), &|n| of_few.get(n)), ("page of 50, filtered and sorted", &|n| of_many.page(n), &|n| of_few.page(n))];
    for (what, question, other) in pairs {
        run.tell(&format!("measuring: {}", name(what)));
        let large = Side { child: &many, token: &site.token, question };
        let (ours, limit) = both(run, large, Side { child: &few, token: &small.token, question: other })?;
        let what = format!("{what}; limit: {} deals", run.asked.rows);
        run.table.add(&name(&format!("{what}, answers/s")), ours.per_second(), Some(limit.per_second()), Target::RatioAtLeast(1.0 / 1.2));
        run.table.add(&name(&format!("{what}, CPU ms")), ours.cpu_millis(), Some(limit.cpu_millis()), Target::RatioAtMost(1.2));
    }
    few.stop();
    run.tell(&format!("measuring: {}", name("a new field")));
    let app = data::app_with_a_new_field(run.scratch)?;
    let question: Questioner<'_> = &|n| of_many.get(n);
    let publish = || command(&site, &["app", "upgrade", &app.to_string_lossy()], None).map(drop);
    let quiet = reading_while(&many, &site.token, question, || Ok(()))?.1;
    let (took, during) = reading_while(&many, &site.token, question, publish)?;
    run.table.add(&name("a new field, ms of the whole publish"), took, None, Target::AtMost(100.0));
    let what = name("longest wait of a reader while it is published, ms; limit: without");
    run.table.add(&what, during.quantile(1.0), Some(quiet.quantile(1.0)), Target::AtMost(100.0));
    many.stop();
    std::fs::remove_dir_all(&site.folder)?;
    Ok(())
}

/// Reads all the while that `work` is done, and a while before and after; how long the work took, and what readers saw.
fn reading_while(
    child: &Child,
    token: &str,
    question: Questioner<'_>,
    work: impl FnOnce() -> Result<(), Failure>,
) -> Result<(f64, Outcome), Failure> {
    const AROUND: Duration = Duration::from_secs(1);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = Load { address: child.address, clients: CLIENTS / 4, lasts: Duration::MAX, token };
        let over = &over;
        let reading = scope.spawn(move || load.drive_until(question, &|| over.load(Ordering::Acquire)));
        std::thread::sleep(AROUND);
        let worked = timed(work);
        std::thread::sleep(AROUND);
        over.store(true, Ordering::Release);
        let seen = reading.join().map_err(|_| Failure::Process("the readers ended".to_owned()))??;
        Ok((worked?.0, seen))
    })
}
