//! In charge of asking two servers the same, one after the other, and of the lines of the table that this gives.
//! Invariant: both are warm before they are measured, and the measurements of a pair stand next to each other in time.

use super::Run;
use super::child::{Child, Failure};
use super::load::{Load, Outcome, Request};
use super::questions::Questions;
use super::table::Target;

/// Connections that ask at once.
pub(super) const CLIENTS: usize = 32;

/// Makes the bytes of the n-th request to be sent to either side.
pub(super) type Questioner<'a> = &'a (dyn Fn(u64) -> Request + Sync);

/// A server and who asks it.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) child: &'a Child,
    pub(super) token: &'a str,
    pub(super) question: Questioner<'a>,
}

/// What both came to: the first, then the second.
pub(super) fn both(run: &Run<'_>, first: Side<'_>, second: Side<'_>) -> Result<(Outcome, Outcome), Failure> {
    let ask = |side: Side<'_>, lasts| -> Result<Outcome, Failure> {
        let before = side.child.cpu()?;
        let mut outcome = Load { address: side.child.address, clients: CLIENTS, lasts, token: side.token }.drive(side.question)?;
        outcome.cpu = side.child.cpu()?.saturating_sub(before);
        Ok(outcome)
    };
    // The first answers of a process are not what is asked about.
    let warm = run.lasts() / 5;
    ask(second, warm)?;
    ask(first, warm)?;
    let limit = ask(second, run.lasts())?;
    let ours = ask(first, run.lasts())?;
    Ok((ours, limit))
}

/// What a pair of servers should come to.
pub(super) struct Aims {
    /// What stands before the name of each line.
    pub(super) prefix: &'static str,
    /// The most processor time of a get and of a page, in milliseconds, where our process does all the work.
    pub(super) most_cpu: Option<(f64, f64)>,
    /// The least share of the limit that creates reach.
    pub(super) create: f64,
}

/// Measures this program beside its limit, in all that it is asked most.
pub(super) fn measure(run: &mut Run<'_>, (trellis, bare): (&Child, &Child), token: &str, questions: &Questions, aims: &Aims) -> Result<(), Failure> {
    let prefix = aims.prefix;
    let most = |of: fn((f64, f64)) -> f64| aims.most_cpu.map(of);
    let asked: [(&str, Questioner<'_>, Target, Option<f64>, bool); 5] = [
        ("get one", &|n| questions.get(n), Target::RatioAtLeast(0.5), most(|(get, _)| get), true),
        ("page of 50, filtered and sorted", &|n| questions.page(n), Target::RatioAtLeast(0.5), most(|(_, page)| page), true),
        ("group by, with sum", &|_| questions.group(), Target::RatioAtLeast(1.0 / 1.2), None, false),
        ("search", &|n| questions.search(n), Target::RatioAtLeast(0.5), None, false),
        ("durable create", &|n| questions.create(n), Target::RatioAtLeast(aims.create), None, true),
    ];
    for (name, question, target, most_cpu, tells_cpu) in asked {
        run.tell(&format!("measuring: {prefix}{name}"));
        let side = |child| Side { child, token, question };
        let (ours, limit) = both(run, side(trellis), side(bare))?;
        run.table.add(&format!("{prefix}{name}, answers/s"), ours.per_second(), Some(limit.per_second()), target);
        if tells_cpu {
            let target = most_cpu.map_or(Target::None, Target::AtMost);
            run.table.add(&format!("{prefix}{name}, CPU ms"), ours.cpu_millis(), Some(limit.cpu_millis()), target);
        }
        run.table.add(&format!("{prefix}{name}, p99 ms"), ours.quantile(0.99), Some(limit.quantile(0.99)), Target::None);
        if name == "durable create" && aims.most_cpu.is_some() {
            run.table.add("durable create, at least 4,000 a second", ours.per_second(), None, Target::AtLeast(4_000.0));
        }
    }
    Ok(())
}
