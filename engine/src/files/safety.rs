//! In charge of what makes a file harmless: its name, its type, the headers it is handed out with.
//! Invariant: the type comes from the bytes; only what a browser shows without running anything is shown in place.

use std::fmt::Write;

/// The type of what is nothing known.
pub(super) const ANYTHING: &str = "application/octet-stream";

/// Types that are shown in place: no scripts in any of them.
const SHOWN: [&str; 6] = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "application/pdf"];
/// Types that a browser might run; they go out as anything.
const RUNNABLE: [&str; 6] = ["text/html", "text/xml", "application/xml", "application/xhtml+xml", "image/svg+xml", "text/javascript"];
/// The longest name in characters.
const LONGEST: usize = 180;

/// The type that the first bytes of a file say.
pub(super) fn sniff(head: &[u8], name: &str) -> String {
    if let Some(kind) = infer::get(head) {
        return kind.mime_type().to_owned();
    }
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The cut may go through a character.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(head.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default(),
        Err(_) => return ANYTHING.to_owned(),
    };
    if text.is_empty() || text.contains('\0') {
        return ANYTHING.to_owned();
    }
    let start = text.trim_start_matches('\u{FEFF}').trim_start().to_ascii_lowercase();
    let has_tag = |tag: &str| start.contains(tag);
    if start.starts_with("<!doctype html") || start.starts_with("<html") {
        // A page stays one where a drawing stands in it.
        "text/html"
    } else if has_tag("<svg") {
        "image/svg+xml"
    } else if has_tag("<html") || has_tag("<!doctype html") || has_tag("<script") {
        "text/html"
    } else if start.starts_with("<?xml") {
        "text/xml"
    } else if name.to_ascii_lowercase().ends_with(".csv") {
        "text/csv"
    } else {
        "text/plain"
    }
    .to_owned()
}

/// A name without paths, controls, and signs that turn the direction of writing.
pub(super) fn name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_turning = |c: char| matches!(c, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}');
    let clean: String = last.chars().filter(|c| !c.is_control() && !is_turning(*c)).map(|c| if "<>:\"|?*".contains(c) { '_' } else { c }).collect();
    let clean = clean.trim().trim_start_matches('.').trim_end_matches(['.', ' ']);
    if clean.is_empty() {
        return "file".to_owned();
    }
    let count = clean.chars().count();
    if count <= LONGEST {
        return clean.to_owned();
    }
    let ending = clean.rsplit_once('.').map(|(_, ending)| ending).filter(|ending| ending.chars().count() <= 10);
    let keep = LONGEST - ending.map_or(0, |ending| ending.chars().count() + 1);
    let start: String = clean.chars().take(keep).collect();
    ending.map_or(start.clone(), |ending| format!("{start}.{ending}"))
}

/// The headers of a file that is handed out.
pub(super) fn headers(name: &str, kind: &str) -> Vec<(&'static str, String)> {
    let shown = SHOWN.contains(&kind);
    let kind = if RUNNABLE.contains(&kind) { ANYTHING } else { kind };
    let kind = if kind.starts_with("text/") { format!("{kind}; charset=utf-8") } else { kind.to_owned() };
    vec![
        ("content-type", kind),
        ("content-disposition", disposition(name, shown)),
        ("x-content-type-options", "nosniff".to_owned()),
        ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox".to_owned()),
        ("cross-origin-resource-policy", "same-origin".to_owned()),
        ("cache-control", "private, no-cache".to_owned()),
    ]
}

fn disposition(name: &str, shown: bool) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' }).collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
            encoded.push(char::from(byte));
        } else {
            let _infallible = write!(encoded, "%{byte:02X}");
        }
    }
    let word = if shown { "inline" } else { "attachment" };
    format!("{word}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_say_what_a_file_is() {
        assert_eq!(sniff(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a.html"), "image/png");
        assert_eq!(sniff(b"<html><script>alert(1)</script>", "photo.png"), "text/html");
        assert_eq!(sniff("\u{FEFF} <?xml version='1.0'?><svg onload='x'>".as_bytes(), "a.png"), "image/svg+xml");
        assert_eq!(sniff(b"a,b\n1,2\n", "A.CSV"), "text/csv");
        assert_eq!(sniff("ein grüß".as_bytes(), "a.txt"), "text/plain");
        assert_eq!(sniff(b"\0\x01\x02", "a.txt"), ANYTHING);
        assert_eq!(sniff(b"", "a.txt"), ANYTHING);
    }

    #[test]
    fn names_are_only_names() {
        assert_eq!(name("../../etc/passwd"), "passwd");
        assert_eq!(name("C:\\Windows\\win.ini"), "win.ini");
        assert_eq!(name("in\u{202E}gpj.exe\r\nX: y"), "ingpj.exeX_ y");
        assert_eq!(name("..."), "file");
        assert_eq!(name("合同 2026.pdf"), "合同 2026.pdf");
        let long = name(&format!("{}.pdf", "长".repeat(500)));
        assert!(long.ends_with(".pdf") && long.chars().count() == LONGEST);
    }

    #[test]
    fn only_harmless_types_are_shown_in_place() {
        let of = |kind: &str| headers("合同.pdf", kind).into_iter().map(|(_, value)| value).collect::<Vec<_>>();
        assert!(of("application/pdf")[1].starts_with("inline;"));
        assert_eq!(of("text/html")[0], ANYTHING);
        assert!(of("image/svg+xml")[1].starts_with("attachment;"));
        assert!(of("text/plain")[1].starts_with("attachment;"));
        assert!(of("application/pdf")[1].ends_with("filename*=UTF-8''%E5%90%88%E5%90%8C.pdf"));
    }
}
