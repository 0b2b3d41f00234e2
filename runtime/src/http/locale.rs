//! In charge of the language of an answer while a request is worked on.
//! Invariant: `?locale` wins, then the person's own language, then what the browser prefers, then English.

use std::cell::RefCell;

/// The languages that the engine itself speaks.
const SPOKEN: [&str; 3] = ["en", "zh-CN", "zh-TW"];

tokio::task_local! {
    static CURRENT: RefCell<String>;
}

/// Runs one request with a language that is settled on the way.
pub async fn within<F: Future>(locale: String, request: F) -> F::Output {
    CURRENT.scope(RefCell::new(locale), request).await
}

/// The language of the request at hand; English outside of one.
#[must_use]
pub fn current() -> String {
    CURRENT.try_with(|locale| locale.borrow().clone()).unwrap_or_else(|_| "en".to_owned())
}

/// Settles the language of the request at hand.
pub fn settle(locale: &str) {
    // Outside of a request there is nothing to settle.
    let _outside = CURRENT.try_with(|current| locale.clone_into(&mut current.borrow_mut()));
}

/// A language as a client writes it, where it looks like one.
#[must_use]
pub fn well_formed(text: &str) -> bool {
    (2..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The language that an `Accept-Language` header prefers among those spoken here.
#[must_use]
pub fn preferred(header: &str) -> Option<&'static str> {
    let mut wishes: Vec<(f32, &str)> = header
        .split(',')
        .take(20)
        .filter_map(|wish| {
            let (name, quality) = wish.split_once(";q=").unwrap_or((wish, "1"));
            Some((quality.trim().parse::<f32>().ok().filter(|quality| *quality > 0.0)?, name.trim()))
        })
        .collect();
    wishes.sort_by(|one, other| other.0.total_cmp(&one.0));
    wishes.into_iter().find_map(|(_, name)| spoken(name))
}

fn spoken(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let traditional = ["zh-tw", "zh-hk", "zh-mo", "zh-hant"];
    if name.starts_with("zh") {
        return Some(if traditional.iter().any(|prefix| name.starts_with(prefix)) { "zh-TW" } else { "zh-CN" });
    }
    SPOKEN.into_iter().find(|spoken| name.split('-').next() == Some(*spoken))
}

#[cfg(test)]
mod tests {
    use super::preferred;

    #[test]
    fn what_the_browser_prefers() {
        assert_eq!(preferred("zh-CN,zh;q=0.9,en;q=0.8"), Some("zh-CN"));
        assert_eq!(preferred("de, zh-Hant-HK;q=0.7, en;q=0.5"), Some("zh-TW"));
        assert_eq!(preferred("fr;q=0.3, en-GB;q=0.9"), Some("en"));
        assert_eq!(preferred("en;q=0"), None);
        assert_eq!(preferred(";;q=,,"), None);
    }
}
