//! In charge of the sheet around a paper: its size and margins, its style, the page that holds it.
//! Invariant: what a document says of the sheet goes into a style only where it was read and fits: lengths, known words.
//! Invariant: a page needs nothing from elsewhere: no font, picture or script.

use std::fmt::Write;

use model::doc::Paper;

/// Sizes that printers know.
pub const SIZES: [&str; 7] = ["A3", "A4", "A5", "B4", "B5", "letter", "legal"];
/// Ways to hold a sheet.
pub const ORIENTATIONS: [&str; 2] = ["portrait", "landscape"];
const UNITS: [&str; 4] = ["mm", "cm", "in", "pt"];

/// The style of every paper: fonts of the reader's own system that hold its language, tables whose head comes again on each
/// sheet, rows and pictures that are not cut.
const STYLE: &str = "
:root { color-scheme: light; font-size: 10.5pt; line-height: 1.45; }
body { margin: 0; background: #fff; color: #111; font-family: system-ui, -apple-system, \"Segoe UI\", Roboto, \"Helvetica Neue\", Arial, \"PingFang SC\", \"Hiragino Sans GB\", \"Microsoft YaHei\", \"Noto Sans CJK SC\", \"Source Han Sans SC\", \"WenQuanYi Micro Hei\", \"Droid Sans Fallback\", sans-serif; }
:lang(zh-TW) body, body:lang(zh-TW) { font-family: system-ui, -apple-system, \"Segoe UI\", Roboto, Arial, \"PingFang TC\", \"Microsoft JhengHei\", \"Noto Sans CJK TC\", \"Source Han Sans TC\", \"Droid Sans Fallback\", sans-serif; }
h1 { font-size: 1.7em; margin: 0 0 .6em; } h2 { font-size: 1.2em; margin: 1.4em 0 .4em; } p { margin: .4em 0; }
h1, h2, h3 { break-after: avoid; }
table { width: 100%; border-collapse: collapse; margin: .8em 0; }
th, td { padding: .35em .5em; border-bottom: 1px solid #bbb; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { border-bottom: 2px solid #555; } .number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
thead { display: table-header-group; } tfoot { display: table-row-group; } tr, img, svg, figure { break-inside: avoid; }
tfoot td, tfoot th { border-bottom: 0; font-weight: 600; }
img { max-width: 100%; } .qr { width: 26mm; height: 26mm; } .signed { height: 14mm; }
.sheet { margin: 0 auto; }
.print-bar { display: flex; gap: 1rem; align-items: center; padding: .75rem 1rem; margin-bottom: 1rem; background: #f2f2f2; border-bottom: 1px solid #ccc; }
.print-bar button { font: inherit; padding: .4em 1.2em; min-height: 44px; border: 1px solid #333; border-radius: 6px; background: #fff; cursor: pointer; }
.print-bar a { color: #114; } .print-bar span { color: #555; }
@media screen { .sheet { max-width: 210mm; padding: 0 8mm 12mm; box-sizing: border-box; overflow-x: auto; } }
@media print { .print-bar { display: none; } }
";

/// Whether a text is a length of a style: `15mm`.
#[must_use]
pub fn is_length(text: &str) -> bool {
    UNITS.iter().any(|unit| {
        text.strip_suffix(unit).is_some_and(|digits| {
            let is_plain = !digits.is_empty() && digits.len() <= 7 && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            is_plain && digits.parse::<f64>().is_ok()
        })
    })
}

/// Whether a text is a size of paper: one that printers know, or its two sides, `241mm 140mm`.
#[must_use]
pub fn is_size(text: &str) -> bool {
    SIZES.iter().any(|size| size.eq_ignore_ascii_case(text)) || text.split_whitespace().count() == 2 && text.split_whitespace().all(is_length)
}

/// Whether a text is one to four margins: `15mm`, `20mm 15mm`.
#[must_use]
pub fn is_margin(text: &str) -> bool {
    (1..=4).contains(&text.split_whitespace().count()) && text.split_whitespace().all(|part| part == "0" || is_length(part))
}

/// What is put around a paper.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Its language.
    pub locale: &'a str,
    /// The page's title: what a printed file is called.
    pub title: &'a str,
    /// The sheet.
    pub paper: Option<&'a Paper>,
    /// What stands above the sheet on a screen and is not printed, as HTML of ours; nothing in a file.
    pub bar: &'a str,
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn page(paper: Option<&Paper>) -> String {
    let of = |pick: fn(&Paper) -> Option<&String>, fits: fn(&str) -> bool| paper.and_then(pick).map(String::as_str).filter(|text| fits(text));
    let size = of(|paper| paper.size.as_ref(), is_size).unwrap_or("A4");
    let orientation = of(|paper| paper.orientation.as_ref(), |word| ORIENTATIONS.contains(&word)).unwrap_or_default();
    let margin = of(|paper| paper.margin.as_ref(), is_margin).unwrap_or("15mm");
    format!("@page {{ size: {size} {orientation}; margin: {margin}; }}")
}

/// The whole page of a paper whose inside is `body`.
#[must_use]
pub fn whole(frame: Frame<'_>, body: &str) -> String {
    let mut out = String::with_capacity(body.len() + STYLE.len() + 600);
    // Writing to a String cannot fail.
    let _infallible = write!(
        out,
        "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n<style>{}\n{STYLE}</style>\n</head>\n<body>\n{}<main class=\"sheet\">\n{body}\n</main>\n</body>\n</html>\n",
        escape(frame.locale),
        escape(frame.title),
        page(frame.paper),
        frame.bar,
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lengths_reach_a_style() {
        assert!(is_size("A4") && is_size("241mm 140mm") && is_size("Letter") && !is_size("A4; } body { x: url(//e.org)"));
        assert!(is_margin("0") && is_margin("20mm 15.5mm") && !is_margin("") && !is_margin("1e9mm") && !is_margin("calc(1mm)"));
        let sly = Paper { size: Some("A4} *{".to_owned()), margin: Some("10mm".to_owned()), orientation: Some("landscape".to_owned()) };
        assert_eq!(page(Some(&sly)), "@page { size: A4 landscape; margin: 10mm; }");
    }
}
