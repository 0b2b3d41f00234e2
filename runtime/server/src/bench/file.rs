//! In charge of the section over one file: a workspace of its own, measured from its import to a new field.

use super::child::{Child, Failure, Site};
use super::questions::Questions;
use super::sides::{self, Aims};
use super::table::Target;
use super::{Run, data, timed};

/// Measures it; the workspace, for what is measured beside it.
pub(super) fn measure(run: &mut Run<'_>) -> Result<Site, Failure> {
    let rows = run.asked.rows;
    let few = (rows / 5).max(1);
    run.tell(&format!("making {few} deals, and {rows}"));
    let (_, small) = data::make(run.scratch, "few", None, few)?;
    let (site, imported) = data::make(run.scratch, "data", None, rows)?;
    run.table.add("import, rows/s", imported.rows_per_second, None, Target::AtLeast(20_000.0));
    // A fifth of the rows takes as much: what an import holds does not grow with its file.
    run.table.add("import, most memory, MB; limit: a fifth of the rows", imported.most_memory, Some(small.most_memory), Target::RatioAtMost(1.2));
    let questions = Questions::of(&site)?;
    let (took, trellis) = timed(|| Child::trellis(&site, &run.scratch.join("trellis.log")))?;
    run.table.add("start on an existing workspace, ms", took, None, Target::AtMost(300.0));
    let bare = Child::bare(&site, &run.scratch.join("bare.log"))?;
    let aims = Aims { prefix: "", most_cpu: Some((0.15, 0.35)), create: 0.25 };
    sides::measure(run, (&trellis, &bare), &site.token, &questions, &aims)?;
    trellis.stop();
    bare.stop();
    Ok(site)
}
