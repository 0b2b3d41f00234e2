//! In charge of comparing text: Unicode form and case.
//! Invariant: two texts are equal to a person exactly when their folds are equal; the fold of a fold is itself.

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizer;

/// The text in NFC with case folded: what equality, `contains` and uniqueness compare.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let normalizer = ComposingNormalizer::new_nfc();
    let folded = CaseMapper::new().fold_string(text);
    normalizer.normalize(&folded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn form_and_case_do_not_matter() {
        assert_eq!(fold("Café"), fold("CAFE\u{301}"));
        assert_eq!(fold("Straße"), fold("STRASSE"));
        assert_eq!(fold("重庆"), "重庆");
        assert_eq!(fold(&fold("ẞ")), fold("ẞ"));
    }
}
