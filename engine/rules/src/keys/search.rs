//! In charge of the tokens that texts are found by, and those that a person's words ask for.
//! Invariant: a text is found by each of its words, by any part of at least two characters of its Chinese,
//! and by the pinyin and the initials of any part of a short Chinese text.
//! Invariant: tokens hold letters and digits only, so no database reads anything into them.

use indexmap::IndexSet;
use unicode_normalization::UnicodeNormalization;

use super::chinese::{is_han, is_unspaced, readings, simplified};

/// How much of a text is looked at, in characters.
const MAX_TEXT: usize = 10_000;
/// The longest text, in characters, whose Chinese is found by pinyin too: names and titles, not essays.
const MAX_SPELLED: usize = 100;
/// The most syllables in one pinyin token; longer pinyin finds nothing.
const MAX_SYLLABLES: usize = 12;
/// The most spellings of one stretch of Chinese whose characters have several readings.
const MAX_SPELLINGS: usize = 8;
/// The longest word, in characters; the rest of it is not looked at.
const MAX_WORD: usize = 64;
/// Words with digits up to this length are also found by any part of them of [`MIN_PART`] characters.
const MAX_CODE: usize = 24;
/// The shortest end of a phone number or code that is kept as a token.
const MIN_PART: usize = 4;
/// The most tokens of one query.
const MAX_QUERY: usize = 32;

/// One token that a found text must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryToken {
    /// Letters and digits.
    pub text: String,
    /// Whether a token that begins so is enough.
    pub prefix: bool,
}

/// A stretch of text.
enum Run {
    /// Letters and digits of a script with spaces.
    Word(String),
    /// Characters of a script without.
    Unspaced(Vec<char>),
}

/// The tokens of `text` for the index, each once, with spaces between.
#[must_use]
pub fn search_tokens(text: &str) -> String {
    let spelled = text.chars().nth(MAX_SPELLED).is_none();
    let mut tokens: IndexSet<String> = IndexSet::new();
    for run in runs(text) {
        match run {
            Run::Word(word) => {
                tokens.extend(parts_of_code(&word));
                tokens.insert(word);
            }
            Run::Unspaced(characters) => {
                tokens.extend(characters.iter().map(char::to_string));
                tokens.extend(characters.windows(2).map(String::from_iter));
                if spelled {
                    spell(&characters, &mut tokens);
                }
            }
        }
    }
    tokens.into_iter().collect::<Vec<_>>().join(" ")
}

/// The tokens that a text must all have to be found by `words`.
///
/// The last word may be the beginning of one. So may words of Latin letters before it: they may be pinyin, whose
/// tokens run on to the end of the stretch of Chinese that they spell.
#[must_use]
pub fn query_tokens(words: &str) -> Vec<QueryToken> {
    let runs = runs(words);
    let last = runs.len().saturating_sub(1);
    let mut tokens: Vec<QueryToken> = Vec::new();
    for (index, run) in runs.into_iter().enumerate() {
        match run {
            Run::Word(word) => {
                let may_be_pinyin = word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase());
                tokens.push(QueryToken { text: word, prefix: index == last || may_be_pinyin });
            }
            Run::Unspaced(characters) if characters.len() == 1 => {
                tokens.push(QueryToken { text: characters.into_iter().collect(), prefix: false });
            }
            Run::Unspaced(characters) => {
                tokens.extend(characters.windows(2).map(|pair| QueryToken { text: pair.iter().collect(), prefix: false }));
            }
        }
    }
    let mut kept: Vec<QueryToken> = Vec::new();
    for token in tokens {
        if kept.len() < MAX_QUERY && !kept.contains(&token) {
            kept.push(token);
        }
    }
    kept
}

/// Whether a text with these index tokens is found by a query: what the index of a database does.
#[must_use]
pub fn found_by(tokens: &str, query: &[QueryToken]) -> bool {
    !query.is_empty()
        && query
            .iter()
            .all(|wanted| tokens.split(' ').any(|token| if wanted.prefix { token.starts_with(wanted.text.as_str()) } else { token == wanted.text }))
}

/// The text in runs: compatibility forms and accents folded, case folded, Chinese simplified.
fn runs(text: &str) -> Vec<Run> {
    let head: String = text.chars().take(MAX_TEXT).collect();
    let folded = if head.is_ascii() { head.to_ascii_lowercase() } else { fold(&head) };
    let mut runs: Vec<Run> = Vec::new();
    let mut fresh = true;
    for character in folded.chars() {
        if is_unspaced(character) {
            match runs.last_mut() {
                Some(Run::Unspaced(characters)) if !fresh => characters.push(character),
                _ => runs.push(Run::Unspaced(vec![character])),
            }
            fresh = false;
        } else if character.is_alphanumeric() {
            match runs.last_mut() {
                Some(Run::Word(word)) if !fresh => {
                    if word.chars().count() < MAX_WORD {
                        word.push(character);
                    }
                }
                _ => runs.push(Run::Word(character.to_string())),
            }
            fresh = false;
        } else {
            fresh = true;
        }
    }
    runs
}

fn fold(text: &str) -> String {
    // The accents of Latin, Greek and Cyrillic; marks of other scripts are part of their letters.
    let bare = text.nfkd().filter(|character| !matches!(character, '\u{300}'..='\u{36F}')).nfkc().collect::<String>();
    model::text::fold(&bare).nfkc().map(simplified).collect()
}

/// The ends of a word with digits, so that the last digits of a phone number find it.
fn parts_of_code(word: &str) -> Vec<String> {
    let characters: Vec<char> = word.chars().collect();
    if characters.len() > MAX_CODE || !characters.iter().any(char::is_ascii_digit) {
        return Vec::new();
    }
    (1..=characters.len().saturating_sub(MIN_PART)).filter_map(|start| characters.get(start..)).map(String::from_iter).collect()
}

/// Adds the pinyin and the initials of the text from each of its characters on.
fn spell(characters: &[char], tokens: &mut IndexSet<String>) {
    let read: Vec<Vec<String>> = characters.iter().map(|character| if is_han(*character) { readings(*character) } else { Vec::new() }).collect();
    for start in 0..read.len() {
        let stretch: Vec<&Vec<String>> = read.iter().skip(start).take(MAX_SYLLABLES).take_while(|readings| !readings.is_empty()).collect();
        for spelling in spellings(&stretch) {
            tokens.insert(spelling.iter().filter_map(|syllable| syllable.chars().next()).collect());
            tokens.insert(spelling.concat());
        }
    }
}

/// The ways to read a stretch: all of them while they are few, else each other reading in turn.
fn spellings<'a>(stretch: &[&'a Vec<String>]) -> Vec<Vec<&'a str>> {
    let usual: Vec<&str> = stretch.iter().filter_map(|readings| readings.first()).map(String::as_str).collect();
    if usual.is_empty() {
        return Vec::new();
    }
    let all = stretch.iter().try_fold(1_usize, |count, readings| count.checked_mul(readings.len())).unwrap_or(usize::MAX);
    if all <= MAX_SPELLINGS {
        return stretch.iter().fold(vec![Vec::new()], |before, readings| {
            before
                .iter()
                .flat_map(|head| {
                    readings.iter().map(|reading| {
                        let mut longer = head.clone();
                        longer.push(reading.as_str());
                        longer
                    })
                })
                .collect()
        });
    }
    let mut found = vec![usual.clone()];
    for (index, readings) in stretch.iter().enumerate() {
        for reading in readings.iter().skip(1) {
            let mut other = usual.clone();
            if let Some(syllable) = other.get_mut(index) {
                *syllable = reading.as_str();
            }
            found.push(other);
        }
    }
    found.truncate(MAX_SPELLINGS);
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finds(text: &str, words: &str) -> bool {
        found_by(&search_tokens(text), &query_tokens(words))
    }

    #[test]
    fn chinese_is_found_by_its_parts_pinyin_and_initials() {
        let company = "浙江重庆张三科技有限公司";
        for words in
            ["张三", "三科技", "重", "zhangsan", "zs", "zsk", "zhangs", "cq", "zq", "chongqing", "zhongqing", "浙江 zs", "zs 浙江", "zhangsan keji"]
        {
            assert!(finds(company, words), "{words}");
        }
        for words in ["张科", "三张", "sz", "sanzhang", "李", "张三丰"] {
            assert!(!finds(company, words), "{words}");
        }
        assert!(finds("吕布", "lvbu"));
    }

    #[test]
    fn traditional_and_simplified_find_each_other() {
        assert!(finds("張國榮電話", "张国荣"));
        assert!(finds("张国荣", "張國榮"));
        assert!(finds("台灣", "tw"));
    }

    #[test]
    fn words_are_found_without_case_accents_and_width() {
        assert!(finds("Café Zürich GmbH", "cafe zur"));
        assert!(finds("ＡＢＣ公司", "abc"));
        assert!(finds("Straße", "STRASSE"));
        assert!(finds("GTX Plus Pro", "plus gtx"));
        assert!(!finds("GTX Plus Pro", "plus x"));
        assert!(finds("bob@acme.com", "acme"));
        assert!(!finds("Acme", ""));
        assert!(!finds("Acme", "--"));
    }

    #[test]
    fn numbers_are_found_by_a_part() {
        assert!(finds("+86 13800138000", "8000"));
        assert!(finds("+8613800138000", "138001"));
        assert!(finds("HT-20250305-0001", "ht 2025"));
        assert!(finds("HT-20250305-0001", "0305"));
    }

    #[test]
    fn many_readings_stay_few_tokens() {
        let tokens = search_tokens("重重重重重重重重长长长长");
        assert!(tokens.split(' ').count() < 400, "{}", tokens.split(' ').count());
        assert!(search_tokens(&"重庆".repeat(40_000)).len() < 1_000);
    }

    proptest! {
        #[test]
        fn tokens_are_plain_and_find_their_text(text in "\\PC{0,60}") {
            let tokens = search_tokens(&text);
            prop_assert!(tokens.chars().all(|character| character == ' ' || character.is_alphanumeric()), "{}", tokens);
            let query = query_tokens(&text);
            prop_assert!(query.is_empty() || found_by(&tokens, &query), "{:?} in {}", query, tokens);
        }

        #[test]
        fn any_part_of_chinese_finds_it(text in "[一-龥]{2,20}", from in 0_usize..10, length in 1_usize..6) {
            let part: String = text.chars().skip(from).take(length).collect();
            prop_assert!(part.is_empty() || finds(&text, &part));
        }
    }
}
