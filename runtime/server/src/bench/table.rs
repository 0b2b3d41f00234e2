//! In charge of the table that is printed: each figure with its limit, its ratio, and whether it meets its target.

use std::fmt;

/// What a figure should reach; closed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    None,
    /// The figure itself.
    AtLeast(f64),
    /// The figure itself.
    AtMost(f64),
    /// The figure by its limit.
    RatioAtLeast(f64),
    /// The figure by its limit.
    RatioAtMost(f64),
}

#[derive(Debug)]
struct Line {
    name: String,
    ours: f64,
    limit: Option<f64>,
    target: Target,
}

/// All that was measured.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Line>);

impl Table {
    pub(super) fn add(&mut self, name: &str, ours: f64, limit: Option<f64>, target: Target) {
        self.0.push(Line { name: name.to_owned(), ours, limit, target });
    }
}

impl Line {
    fn ratio(&self) -> Option<f64> {
        self.limit.filter(|limit| *limit > 0.0).map(|limit| self.ours / limit)
    }

    fn target(&self) -> String {
        match self.target {
            Target::None => String::new(),
            Target::AtLeast(least) => format!("≥ {}", number(least)),
            Target::AtMost(most) => format!("≤ {}", number(most)),
            Target::RatioAtLeast(least) => format!("ratio ≥ {least:.2}"),
            Target::RatioAtMost(most) => format!("ratio ≤ {most:.2}"),
        }
    }

    fn met(&self) -> &'static str {
        let met = match self.target {
            Target::None => return "",
            Target::AtLeast(least) => self.ours >= least,
            Target::AtMost(most) => self.ours <= most,
            Target::RatioAtLeast(least) => self.ratio().is_some_and(|ratio| ratio >= least),
            Target::RatioAtMost(most) => self.ratio().is_some_and(|ratio| ratio <= most),
        };
        if met { "yes" } else { "no" }
    }
}

/// With as many places as tell something.
fn number(value: f64) -> String {
    if value >= 1_000.0 {
        let digits = format!("{value:.0}");
        let mut text = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        return text;
    }
    if value >= 10.0 { format!("{value:.1}") } else { format!("{value:.3}") }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| measured | Trellis | bare limit | ratio | target | met |")?;
        writeln!(f, "|---|---:|---:|---:|---|---|")?;
        for line in &self.0 {
            let limit = line.limit.map(number).unwrap_or_default();
            let ratio = line.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
            writeln!(f, "| {} | {} | {limit} | {ratio} | {} | {} |", line.name, number(line.ours), line.target(), line.met())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_whether_its_target_is_met() {
        let mut table = Table::default();
        table.add("a", 12_345.0, Some(20_000.0), Target::RatioAtLeast(0.5));
        table.add("b", 0.2, None, Target::AtMost(0.15));
        let text = table.to_string();
        assert!(text.contains("| a | 12,345 | 20,000 | 0.62 | ratio ≥ 0.50 | yes |"), "{text}");
        assert!(text.contains("| b | 0.200 |  |  | ≤ 0.150 | no |"), "{text}");
    }
}
