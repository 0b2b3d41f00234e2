//! In charge of versions of apps and the ranges that `requires` names: `1.2.0`, `^1`, `~1.2`, `>=1.0, <2`.
//! Invariant: the meaning is that of semantic versioning without pre-releases.

/// A version, `1.2.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// The version that `text` spells.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match parts(text)?.as_slice() {
            [major, minor, patch] => Some(Self(*major, *minor, *patch)),
            _ => None,
        }
    }
}

/// Which versions fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range(Vec<(Version, Option<Version>)>);

impl Range {
    /// The range that `text` spells: comparisons joined by commas, all of which must hold.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.split(',').map(|part| comparison(part.trim())).collect::<Option<Vec<_>>>().filter(|list| !list.is_empty()).map(Self)
    }

    /// Whether `version` is in it.
    #[must_use]
    pub fn contains(&self, version: Version) -> bool {
        self.0.iter().all(|(from, below)| version >= *from && below.is_none_or(|below| version < below))
    }
}

fn parts(text: &str) -> Option<Vec<u32>> {
    let parts: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()))).collect();
    parts.filter(|parts| parts.len() <= 3)
}

/// One comparison as the versions from the first on, below the second.
fn comparison(text: &str) -> Option<(Version, Option<Version>)> {
    const LEAST: Version = Version(0, 0, 0);
    if text == "*" {
        return Some((LEAST, None));
    }
    let digits = text.find(|letter: char| letter.is_ascii_digit())?;
    let (sign, rest) = text.split_at(digits);
    let given = parts(rest)?;
    let from = Version(given[0], given.get(1).copied().unwrap_or(0), given.get(2).copied().unwrap_or(0));
    // The first version that no longer has the digits given.
    let after = match given.len() {
        1 => Version(from.0 + 1, 0, 0),
        2 => Version(from.0, from.1 + 1, 0),
        _ => Version(from.0, from.1, from.2 + 1),
    };
    Some(match sign.trim() {
        "^" | "" => (from, Some(compatible(from, given.len()))),
        "~" if given.len() == 1 => (from, Some(after)),
        "~" => (from, Some(Version(from.0, from.1 + 1, 0))),
        "=" => (from, Some(after)),
        ">=" => (from, None),
        ">" => (after, None),
        "<" => (LEAST, Some(from)),
        "<=" => (LEAST, Some(after)),
        _ => return None,
    })
}

/// The first version that may break what `from` promised: the leftmost digit that is not zero changes.
fn compatible(from: Version, given: usize) -> Version {
    match from {
        Version(0, 0, patch) if given == 3 => Version(0, 0, patch + 1),
        Version(0, minor, _) if given >= 2 => Version(0, minor + 1, 0),
        Version(major, ..) => Version(major + 1, 0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::{Range, Version};

    fn fits(range: &str, version: &str) -> Option<bool> {
        Some(Range::parse(range)?.contains(Version::parse(version)?))
    }

    #[test]
    fn ranges_mean_what_they_do_elsewhere() {
        for (range, version, expected) in [
            ("^1", "1.9.0", true),
            ("^1", "2.0.0", false),
            ("^1.2", "1.1.9", false),
            ("1.2.3", "1.3.0", true),
            ("^0.2.3", "0.3.0", false),
            ("^0.0.3", "0.0.4", false),
            ("^0", "0.9.0", true),
            ("~1.2", "1.2.9", true),
            ("~1.2", "1.3.0", false),
            ("=1.2", "1.2.9", true),
            (">=1.0, <2", "1.5.0", true),
            (">=1.0, <2", "2.0.0", false),
            (">1", "1.9.9", false),
            ("<=1.2", "1.2.7", true),
            ("*", "0.0.1", true),
        ] {
            assert_eq!(fits(range, version), Some(expected), "{range} {version}");
        }
        for wrong in ["", "x", "^", "1.2.3.4", "=>1", "1..2"] {
            assert_eq!(Range::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Version::parse("1.0"), None);
    }
}
