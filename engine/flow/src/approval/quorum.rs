//! In charge of what votes come to: one pure function from the seats of a visit to its outcome.
//! Invariant: the outcome depends on the votes alone, not on their order; it is told as soon as no vote can change it.
//! Invariant: with one seat every mode says the same; when nobody is left to vote there is an outcome.

use model::doc::approval::{Mode, RejectCounts};

/// What a seat says; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    /// Nothing yet.
    Open,
    /// Yes.
    Approved,
    /// No.
    Rejected,
}

/// One seat as it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// What it says.
    pub vote: Vote,
    /// What it weighs.
    pub weight: u32,
    /// Whether its rejection decides.
    pub veto: bool,
}

/// What votes come to; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passes.
    Passed,
    /// It is rejected.
    Rejected,
}

/// What the votes of a visit come to; none while it depends on those that are open.
#[must_use]
pub fn outcome(mode: Mode, counts: RejectCounts, ballots: &[Ballot]) -> Option<Outcome> {
    if ballots.iter().any(|ballot| ballot.veto && ballot.vote == Vote::Rejected) {
        return Some(Outcome::Rejected);
    }
    let count = |vote| ballots.iter().filter(|ballot| ballot.vote == vote).count() as u64;
    let (all, yes, no, open) = (ballots.len() as u64, count(Vote::Approved), count(Vote::Rejected), count(Vote::Open));
    let told = |passes: bool, fails: bool| match (passes, fails) {
        (true, _) => Some(Outcome::Passed),
        (false, true) => Some(Outcome::Rejected),
        (false, false) => None,
    };
    match mode {
        Mode::All | Mode::Random | Mode::Claim => {
            let fails = match counts {
                RejectCounts::First => no > 0,
                RejectCounts::WaitAll | RejectCounts::All => open == 0 && no > 0,
            };
            told(yes == all, fails)
        }
        Mode::Sequential => told(yes == all, no > 0),
        Mode::Any => {
            let fails = match counts {
                RejectCounts::First => no > 0,
                RejectCounts::WaitAll | RejectCounts::All => no == all,
            };
            told(yes > 0, fails)
        }
        Mode::Percent { percent } => {
            let needed = u64::from(percent.clamp(1, 100)) * all;
            told(100 * yes >= needed, 100 * (all - no) < needed)
        }
        // More approvals than there are seats cannot be asked for.
        Mode::Count { approvals: Some(needed), .. } => {
            let needed = u64::from(needed).clamp(1, all.max(1));
            told(yes >= needed, no + needed > all)
        }
        Mode::Count { approvals: None, rejections } => {
            let needed = u64::from(rejections.unwrap_or(1)).clamp(1, all.max(1));
            told(no < needed && (open == 0 || yes + needed > all), no >= needed)
        }
        Mode::Weight { weight } => {
            let sum =
                |fits: &dyn Fn(&Ballot) -> bool| ballots.iter().filter(|ballot| fits(ballot)).map(|ballot| u64::from(ballot.weight)).sum::<u64>();
            let total = sum(&|_| true);
            let needed = u64::from(weight).clamp(1, total.max(1));
            if total == 0 {
                // What weighs nothing is counted: nobody passes or falls by themselves.
                return told(yes == all, no > 0);
            }
            told(sum(&|ballot| ballot.vote == Vote::Approved) >= needed, total - sum(&|ballot| ballot.vote == Vote::Rejected) < needed)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ballots(votes: &str) -> Vec<Ballot> {
        let vote = |letter| match letter {
            'a' => Vote::Approved,
            'r' => Vote::Rejected,
            _ => Vote::Open,
        };
        votes.chars().map(|letter| Ballot { vote: vote(letter), weight: 1, veto: false }).collect()
    }

    fn says(mode: Mode, counts: RejectCounts, votes: &str) -> char {
        match outcome(mode, counts, &ballots(votes)) {
            Some(Outcome::Passed) => 'P',
            Some(Outcome::Rejected) => 'R',
            None => '-',
        }
    }

    #[test]
    fn the_table_of_modes() {
        use RejectCounts::{All as AllReject, First, WaitAll};
        let percent = |percent| Mode::Percent { percent };
        let yes = |approvals| Mode::Count { approvals: Some(approvals), rejections: None };
        let no = |rejections| Mode::Count { approvals: None, rejections: Some(rejections) };
        for (mode, counts, votes, expected) in [
            (Mode::All, First, "aa-", '-'),
            (Mode::All, First, "aaa", 'P'),
            (Mode::All, First, "r--", 'R'),
            (Mode::All, WaitAll, "r--", '-'),
            (Mode::All, WaitAll, "raa", 'R'),
            (Mode::Any, First, "---", '-'),
            (Mode::Any, First, "a--", 'P'),
            (Mode::Any, First, "r--", 'R'),
            (Mode::Any, AllReject, "rr-", '-'),
            (Mode::Any, AllReject, "rrr", 'R'),
            (Mode::Any, AllReject, "rra", 'P'),
            (Mode::Sequential, First, "a--", '-'),
            (Mode::Sequential, First, "ar-", 'R'),
            // K15: one rejection of three does not end 60 %.
            (percent(60), First, "r--", '-'),
            (percent(60), First, "ra-", '-'),
            (percent(60), First, "raa", 'P'),
            (percent(60), First, "rr-", 'R'),
            (percent(60), First, "aa-", 'P'),
            (percent(100), First, "r--", 'R'),
            (yes(2), First, "a--", '-'),
            (yes(2), First, "aa-", 'P'),
            (yes(2), First, "rr-", 'R'),
            (yes(5), First, "aa-", '-'),
            (yes(5), First, "aaa", 'P'),
            (no(2), First, "r--", '-'),
            (no(2), First, "rr-", 'R'),
            (no(2), First, "aa-", 'P'),
            (no(2), First, "raa", 'P'),
            (percent(0), First, "--", '-'),
            (percent(120), First, "aa", 'P'),
        ] {
            assert_eq!(says(mode, counts, votes), expected, "{mode:?} {counts:?} {votes}");
        }
    }

    fn modes() -> impl Strategy<Value = (Mode, RejectCounts)> {
        let mode = prop_oneof![
            Just(Mode::All),
            Just(Mode::Any),
            Just(Mode::Sequential),
            (1u32..=100).prop_map(|percent| Mode::Percent { percent }),
            (1u32..6).prop_map(|approvals| Mode::Count { approvals: Some(approvals), rejections: None }),
            (1u32..6).prop_map(|rejections| Mode::Count { approvals: None, rejections: Some(rejections) }),
            (1u32..20).prop_map(|weight| Mode::Weight { weight }),
        ];
        (mode, prop_oneof![Just(RejectCounts::First), Just(RejectCounts::WaitAll), Just(RejectCounts::All)])
    }

    fn seats() -> impl Strategy<Value = Vec<(u32, bool)>> {
        prop::collection::vec((1u32..5, prop::bool::weighted(0.1)), 1..7)
    }

    fn made(seats: &[(u32, bool)], votes: u32) -> Vec<Ballot> {
        let vote = |index: usize| match votes / 3u32.pow(u32::try_from(index).unwrap_or_default()) % 3 {
            0 => Vote::Open,
            1 => Vote::Approved,
            _ => Vote::Rejected,
        };
        seats.iter().enumerate().map(|(index, (weight, veto))| Ballot { vote: vote(index), weight: *weight, veto: *veto }).collect()
    }

    proptest! {
        /// P6: what is told early holds whatever is voted afterwards. Where the first vote decides, whatever it is, there
        /// is no afterwards.
        #[test]
        fn early_stop_is_sound((mode, counts) in modes(), seats in seats(), votes in 0u32..729) {
            prop_assume!((mode, counts) != (Mode::Any, RejectCounts::First));
            let now = made(&seats, votes);
            let told = outcome(mode, counts, &now);
            let open: Vec<usize> = now.iter().enumerate().filter(|(_, ballot)| ballot.vote == Vote::Open).map(|(index, _)| index).collect();
            let veto_left = open.iter().any(|index| now[*index].veto);
            if let Some(told) = told.filter(|_| !veto_left) {
                for mask in 0u32..(1 << open.len()) {
                    let mut later = now.clone();
                    for (place, index) in open.iter().enumerate() {
                        later[*index].vote = if mask >> place & 1 == 1 { Vote::Approved } else { Vote::Rejected };
                    }
                    prop_assert_eq!(outcome(mode, counts, &later), Some(told));
                }
            }
        }

        /// P8: when all have voted there is an outcome.
        #[test]
        fn a_full_house_decides((mode, counts) in modes(), seats in seats(), votes in 0u32..729) {
            let mut ballots = made(&seats, votes);
            for ballot in &mut ballots {
                if ballot.vote == Vote::Open {
                    ballot.vote = Vote::Approved;
                }
            }
            prop_assert!(outcome(mode, counts, &ballots).is_some());
        }

        /// P5: who votes first does not matter: cast one by one until there is an outcome, it is the same in any order. Where
        /// the first vote decides whatever it is, it is another one's; in a row there is one order only.
        #[test]
        fn order_does_not_matter(
            (mode, counts) in modes(),
            seats in seats(),
            votes in 0u32..729,
            order in prop::collection::vec(any::<u32>(), 7),
        ) {
            prop_assume!((mode, counts) != (Mode::Any, RejectCounts::First) && mode != Mode::Sequential);
            let meant: Vec<Ballot> = made(&seats, votes)
                .into_iter()
                .map(|ballot| Ballot { vote: if ballot.vote == Vote::Open { Vote::Approved } else { ballot.vote }, veto: false, ..ballot })
                .collect();
            let cast = |order: &[usize]| {
                let mut there: Vec<Ballot> = meant.iter().map(|ballot| Ballot { vote: Vote::Open, ..*ballot }).collect();
                order.iter().find_map(|index| {
                    there[*index].vote = meant[*index].vote;
                    outcome(mode, counts, &there)
                })
            };
            let one: Vec<usize> = (0..meant.len()).collect();
            let mut other = one.clone();
            other.sort_by_key(|index| order.get(*index).copied().unwrap_or_default());
            prop_assert_eq!(cast(&one), cast(&other));
        }

        /// With one seat all modes say the same.
        #[test]
        fn one_seat_is_one_seat((mode, counts) in modes(), approves in any::<bool>()) {
            let vote = if approves { Vote::Approved } else { Vote::Rejected };
            let told = outcome(mode, counts, &[Ballot { vote, weight: 1, veto: false }]);
            prop_assert_eq!(told, Some(if approves { Outcome::Passed } else { Outcome::Rejected }));
        }
    }
}
