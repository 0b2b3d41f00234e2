//! In charge of the order of texts: one byte string per text, compared byte by byte.
//! Invariant: the key of a text depends on the text and on [`COLLATION`] alone.

use std::sync::LazyLock;

use icu_collator::options::CollatorOptions;
use icu_collator::{Collator, CollatorBorrowed, CollatorPreferences};
use icu_locale_core::locale;

/// What the keys were made with. Stored keys are made anew when it differs from what a workspace remembers.
pub const COLLATION: &str = "zh-pinyin icu4x 2.4";

/// The longest key in bytes. Texts whose keys agree so far are equal in order.
pub const MAX_SORT_KEY: usize = 200;

/// More characters cannot reach into a key of [`MAX_SORT_KEY`] bytes in a way that people notice.
const MAX_CHARACTERS: usize = 200;

/// Chinese by pinyin; other scripts as everywhere. None only if the compiled data lacked it.
static COLLATOR: LazyLock<Option<CollatorBorrowed<'static>>> =
    LazyLock::new(|| Collator::try_new(CollatorPreferences::from(&locale!("zh")), CollatorOptions::default()).ok());

/// The key that orders `text`: empty texts first, Chinese by pinyin, else letters without regard to case and accents
/// before those with.
#[must_use]
pub fn sort_key(text: &str) -> Vec<u8> {
    let end = text.char_indices().nth(MAX_CHARACTERS).map_or(text.len(), |(index, _)| index);
    let head = text.get(..end).unwrap_or(text);
    let mut key = Vec::with_capacity(head.len() + 8);
    match &*COLLATOR {
        Some(collator) => {
            // Writing to a Vec cannot fail: its error type has no values.
            let Ok(()) = collator.write_sort_key_to(head, &mut key);
        }
        None => key.extend_from_slice(model::text::fold(head).as_bytes()),
    }
    key.truncate(MAX_SORT_KEY);
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sorted(mut texts: Vec<&str>) -> Vec<&str> {
        texts.sort_by_key(|text| sort_key(text));
        texts
    }

    #[test]
    fn chinese_is_ordered_by_pinyin() {
        assert_eq!(sorted(vec!["张三", "王五", "阿里", "李四", "北京", "重庆"]), ["阿里", "北京", "重庆", "李四", "王五", "张三"]);
    }

    #[test]
    fn case_and_accents_matter_last() {
        assert_eq!(sorted(vec!["Zebra", "b", "A", "a", "B"]), ["a", "A", "b", "B", "Zebra"]);
        assert!(sort_key("resume b") > sort_key("résumé a"));
        assert_eq!(sort_key("é"), sort_key("e\u{301}"));
    }

    #[test]
    fn the_collator_has_its_data() {
        assert!(COLLATOR.is_some());
    }

    proptest! {
        #[test]
        fn any_text_has_a_short_key(text in "\\PC{0,400}") {
            let key = sort_key(&text);
            prop_assert!(key.len() <= MAX_SORT_KEY);
            prop_assert_eq!(&key, &sort_key(&text));
            prop_assert!(sort_key("") <= key);
        }
    }
}
