//! In charge of likely meant names: what an author wanted to write.
//! Invariant: a hint is one of the names that were offered, and never the name that was asked for.

/// The offered name nearest to `written`, or none where none is near.
#[must_use]
pub fn nearest<'a>(written: &str, offered: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = written.to_lowercase().replace(['-', ' '], "_");
    let longest = ((lower.chars().count() + 1) / 3).clamp(1, 4);
    let bare = lower.rsplit('.').next().unwrap_or(&lower);
    offered
        .into_iter()
        .filter(|name| *name != written)
        .filter_map(|name| {
            distance(&lower, bare, name, longest).map(|distance| (distance, !lower.starts_with(name) && !name.starts_with(&lower), name))
        })
        .min()
        .map(|(_, _, name)| name.to_owned())
}

/// How far `name` is from what was written; none where it is too far to be meant.
fn distance(written: &str, bare: &str, name: &str, longest: usize) -> Option<usize> {
    let edits = strsim::damerau_levenshtein(written, name);
    if edits <= longest && edits < written.chars().count().max(name.chars().count()) {
        return Some(edits);
    }
    // A name without its app, with it, or cut short.
    let cut = written.len() >= 3 && (name.starts_with(written) || (name.len() >= 3 && written.starts_with(name)));
    (name.rsplit('.').next() == Some(bare) || cut).then_some(longest)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_likely_name_is_offered() {
        let names = ["name", "amount", "close_date", "account", "core.user"];
        assert_eq!(nearest("amuont", names).as_deref(), Some("amount"));
        assert_eq!(nearest("closeDate", names).as_deref(), Some("close_date"));
        assert_eq!(nearest("acount", names).as_deref(), Some("account"));
        assert_eq!(nearest("user", names).as_deref(), Some("core.user"));
        assert_eq!(nearest("zebra", names), None);
        assert_eq!(nearest("name", ["name"]), None);
    }
}
