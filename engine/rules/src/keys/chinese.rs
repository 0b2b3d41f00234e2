//! In charge of what search knows of Chinese: simplified forms and readings.
//! Invariant: the simplified form of a simplified form is itself.

use std::collections::HashMap;
use std::sync::LazyLock;

use pinyin::ToPinyinMulti;

/// Pairs of a traditional and its simplified character, one after the other, from the transform
/// `Traditional-Simplified` of the Unicode CLDR (Unicode License V3); only pairs of single characters.
const PAIRS: &str = include_str!("../../data/simplified.txt");

static SIMPLIFIED: LazyLock<HashMap<char, char>> = LazyLock::new(|| {
    let characters: Vec<char> = PAIRS.chars().filter(|character| !character.is_whitespace()).collect();
    characters.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))).collect()
});

/// The simplified form of a character; most characters are their own.
pub(super) fn simplified(character: char) -> char {
    if character.is_ascii() { character } else { SIMPLIFIED.get(&character).copied().unwrap_or(character) }
}

/// Whether texts of this script are written without spaces between words.
pub(super) fn is_unspaced(character: char) -> bool {
    is_han(character)
        || matches!(character,
            '\u{3005}' | '\u{3007}'
            | '\u{3041}'..='\u{3096}' | '\u{309D}'..='\u{309F}'
            | '\u{30A1}'..='\u{30FA}' | '\u{30FC}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}'
            | '\u{AC00}'..='\u{D7A3}')
}

/// Whether this is a Chinese character.
pub(super) fn is_han(character: char) -> bool {
    matches!(character, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFD}')
}

/// How a character is read, the usual reading first, in letters a to z (ü is typed v); empty where unknown.
pub(super) fn readings(character: char) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for reading in character.to_pinyin_multi().into_iter().flatten() {
        let plain: String = reading.plain().chars().map(|letter| if letter == 'ü' { 'v' } else { letter }).collect();
        if plain.bytes().all(|byte| byte.is_ascii_lowercase()) && !found.contains(&plain) {
            found.push(plain);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_folds_once() {
        assert!(SIMPLIFIED.len() > 2_000);
        for (traditional, form) in SIMPLIFIED.iter() {
            assert_ne!(traditional, form);
            assert_eq!(simplified(*form), *form, "{traditional}");
        }
        assert_eq!("張國業電話".chars().map(simplified).collect::<String>(), "张国业电话");
    }

    #[test]
    fn readings_are_typed_letters() {
        assert_eq!(readings('重')[..2], ["zhong", "chong"]);
        assert_eq!(readings('女')[0], "nv");
        assert!(readings('a').is_empty());
    }
}
