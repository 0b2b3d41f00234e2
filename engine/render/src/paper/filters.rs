//! In charge of the filters of papers: which there are, what each is put on, and those that the template language lacks.
//! Invariant: `FILTERS` is closed: what is not in it is refused when the paper is checked. None of them leaves HTML unescaped
//! but those that make it themselves.

use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, Value};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::value::{Plain, Text};
use crate::words::grouped;

/// What a filter is put on; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Anything that is shown as text.
    Text,
    /// A plain number: `record.total.value`, or one that was worked out.
    Number,
    /// A list.
    List,
}

/// What comes of a filter; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    /// A plain text or number.
    Plain,
    /// A value as a field's: shown as text, with `value`.
    Value,
    /// The same list in another order.
    Same,
    /// One of the list.
    One,
}

/// A filter.
pub(super) struct Filter {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    pub(super) gives: Gives,
    /// Whether `attribute` names a field of the list's records.
    pub(super) attribute: bool,
}

const fn filter(name: &'static str, takes: Takes, gives: Gives) -> Filter {
    Filter { name, takes, gives, attribute: false }
}

const fn by_field(name: &'static str, gives: Gives) -> Filter {
    Filter { name, takes: Takes::List, gives, attribute: true }
}

/// Every filter.
pub(super) const FILTERS: &[Filter] = &[
    filter("upper", Takes::Text, Gives::Plain),
    filter("lower", Takes::Text, Gives::Plain),
    filter("title", Takes::Text, Gives::Plain),
    filter("capitalize", Takes::Text, Gives::Plain),
    filter("trim", Takes::Text, Gives::Plain),
    filter("replace", Takes::Text, Gives::Plain),
    filter("split", Takes::Text, Gives::Plain),
    filter("default", Takes::Text, Gives::Plain),
    filter("escape", Takes::Text, Gives::Plain),
    filter("string", Takes::Text, Gives::Plain),
    filter("cny_words", Takes::Text, Gives::Plain),
    filter("qr", Takes::Text, Gives::Plain),
    filter("image", Takes::Text, Gives::Plain),
    filter("paragraphs", Takes::Text, Gives::Plain),
    filter("number", Takes::Number, Gives::Plain),
    filter("round", Takes::Number, Gives::Plain),
    filter("abs", Takes::Number, Gives::Plain),
    filter("int", Takes::Number, Gives::Plain),
    filter("float", Takes::Number, Gives::Plain),
    filter("length", Takes::List, Gives::Plain),
    filter("first", Takes::List, Gives::One),
    filter("last", Takes::List, Gives::One),
    filter("reverse", Takes::List, Gives::Same),
    filter("list", Takes::List, Gives::Same),
    by_field("sort", Gives::Same),
    by_field("unique", Gives::Same),
    by_field("sum", Gives::Value),
    by_field("join", Gives::Plain),
];

/// The tests of the language that papers may use.
pub(super) const TESTS: &[&str] =
    &["defined", "undefined", "none", "odd", "even", "divisibleby", "eq", "ne", "lt", "le", "gt", "ge", "in", "true", "false"];

/// The longest side of a code, in modules of its largest version.
const MOST_QR_BYTES: usize = 1_000;

/// Puts our own filters in, and takes out what would show HTML as it is.
pub(super) fn add(environment: &mut Environment<'_>) {
    environment.remove_filter("safe");
    environment.remove_filter("tojson");
    environment.add_filter("default", or_else);
    environment.add_filter("cny_words", cny_words);
    environment.add_filter("qr", qr);
    environment.add_filter("image", image);
    environment.add_filter("paragraphs", paragraphs);
    environment.add_filter("number", number);
    environment.add_filter("sum", sum);
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

fn own(value: &Value) -> Option<&Text> {
    value.downcast_object_ref::<Text>()
}

/// What stands there where nothing does: a zero and a no are something.
fn or_else(value: Value, otherwise: Option<Value>) -> Value {
    let nothing = value.is_undefined() || value.is_none() || own(&value).is_some_and(|text| text.text.is_empty());
    if nothing { otherwise.unwrap_or_else(|| Value::from("")) } else { value }
}

/// The number that a value is.
fn decimal(value: &Value) -> Option<Decimal> {
    match own(value) {
        Some(Text { plain: Plain::Number(number), .. }) => Some(*number),
        Some(Text { plain: Plain::Text(text), .. }) => model::field::number::exact(text),
        Some(_) => None,
        None => model::field::number::exact(&value.to_string()),
    }
}

/// A number that was worked out, with its thousands apart and so many digits behind the point.
fn number(value: &Value, digits: Option<u32>) -> Result<String, Error> {
    let number = decimal(value).ok_or_else(|| wrong("`number` is put on a number"))?;
    let digits = digits.unwrap_or(0).min(6);
    let mut rounded = model::field::number::round(number, u8::try_from(digits).unwrap_or_default());
    rounded.rescale(digits);
    Ok(grouped(&rounded.to_string()))
}

/// The sum of a field over records, exact, written as the field is.
fn sum(values: &Value, attribute: Option<String>, kwargs: Kwargs) -> Result<Value, Error> {
    let attribute = match attribute {
        Some(attribute) => Some(attribute),
        None => kwargs.get::<Option<String>>("attribute")?,
    };
    kwargs.assert_all_used()?;
    let mut total = Decimal::ZERO;
    let mut form: Option<(String, String, u32)> = None;
    for item in values.try_iter()? {
        let item = match &attribute {
            Some(path) => path.split('.').try_fold(item, |here, part| here.get_attr(part))?,
            None => item,
        };
        let Some(number) = decimal(&item) else { continue };
        total = total.checked_add(number).ok_or_else(|| wrong("the sum is too large"))?;
        let written = item.to_string();
        let (head, tail) = around(&written);
        match &mut form {
            None => form = Some((head.to_owned(), tail.to_owned(), number.scale())),
            Some((before, behind, digits)) if before == head && behind == tail => *digits = (*digits).max(number.scale()),
            Some(_) => return Err(wrong("amounts in several currencies have no sum")),
        }
    }
    let (head, tail, digits) = form.unwrap_or_default();
    total.rescale(digits);
    let text = format!("{head}{}{tail}", grouped(&total.to_string()));
    Ok(Value::from_object(Text::number(text, total)))
}

/// What stands before and behind the digits of a number, without its sign.
fn around(written: &str) -> (&str, &str) {
    let is_digit = |c: char| c.is_ascii_digit();
    let start = written.find(is_digit).unwrap_or(written.len());
    let end = written.rfind(is_digit).map_or(start, |at| at + 1);
    let head = written.get(..start).unwrap_or_default();
    (head.trim_end_matches('-'), written.get(end..).unwrap_or_default())
}

/// A picture of a file, an image or a drawn signature.
fn image(value: &Value, width: Option<String>) -> Result<Value, Error> {
    let Some(text) = own(value) else { return Err(wrong("`image` is put on a field that holds a picture")) };
    let Some(picture) = &text.picture else { return Ok(Value::from("")) };
    let style = match width {
        Some(width) if super::sheet::is_length(&width) => format!(" style=\"width:{}\"", width),
        Some(width) => return Err(wrong(format!("`{}` is no width such as 30mm", width))),
        None => String::new(),
    };
    let html = format!("<img src=\"{}\" alt=\"{}\"{style}>", escaped(picture), escaped(&text.text));
    Ok(Value::from_safe_string(html))
}

/// A text with its lines and paragraphs.
fn paragraphs(value: &Value) -> Value {
    let text = value.to_string().replace("\r\n", "\n");
    let paragraphs: Vec<String> = text
        .split("\n\n")
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| format!("<p>{}</p>", escaped(part).replace('\n', "<br>")))
        .collect();
    Value::from_safe_string(paragraphs.concat())
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A text as a QR code.
fn qr(value: &Value) -> Result<Value, Error> {
    let text = value.to_string();
    if text.is_empty() {
        return Ok(Value::from(""));
    }
    if text.len() > MOST_QR_BYTES {
        return Err(wrong(format!("a code holds {MOST_QR_BYTES} bytes at most")));
    }
    let code = qrcode::QrCode::new(text.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    let width = code.width();
    let mut path = String::new();
    for (index, color) in code.to_colors().into_iter().enumerate() {
        if color == qrcode::Color::Dark {
            path.push_str(&format!("M{} {}h1v1h-1z", index % width, index / width));
        }
    }
    // Four modules around it stay white.
    let side = width + 8;
    let label = escaped(&text);
    let html = format!(
        "<svg class=\"qr\" role=\"img\" aria-label=\"{label}\" viewBox=\"-4 -4 {side} {side}\" shape-rendering=\"crispEdges\"><path d=\"{path}\"/></svg>"
    );
    Ok(Value::from_safe_string(html))
}

const DIGITS: [char; 10] = ['零', '壹', '贰', '叁', '肆', '伍', '陆', '柒', '捌', '玖'];
const PLACES: [&str; 4] = ["", "拾", "佰", "仟"];

/// An amount in the words that Chinese contracts and invoices ask for.
fn cny_words(value: &Value) -> Result<String, Error> {
    if own(value).is_some_and(|text| text.text.is_empty()) || value.is_undefined() || value.is_none() {
        return Ok(String::new());
    }
    let number = decimal(value).ok_or_else(|| wrong("`cny_words` is put on an amount"))?;
    amount_in_words(number).ok_or_else(|| wrong("the amount is too large to be written in words"))
}

fn digit(number: u128) -> char {
    DIGITS.get(usize::try_from(number).unwrap_or_default()).copied().unwrap_or('零')
}

fn amount_in_words(number: Decimal) -> Option<String> {
    let cents = model::field::number::round(number.abs(), 2).checked_mul(Decimal::ONE_HUNDRED)?.to_u128()?;
    let (yuan, jiao, fen) = (cents / 100, cents / 10 % 10, cents % 10);
    let mut words = String::new();
    if number.is_sign_negative() && cents > 0 {
        words.push('负');
    }
    if yuan > 0 {
        words.push_str(&whole(yuan));
        words.push('元');
    } else if cents == 0 {
        return Some("零元整".to_owned());
    }
    match (jiao, fen) {
        (0, 0) => words.push('整'),
        (0, fen) => {
            if yuan > 0 {
                words.push('零');
            }
            words.push(digit(fen));
            words.push('分');
        }
        (jiao, fen) => {
            words.push(digit(jiao));
            words.push('角');
            if fen == 0 {
                words.push('整');
            } else {
                words.push(digit(fen));
                words.push('分');
            }
        }
    }
    Some(words)
}

/// A whole number in words; one `零` stands for any run of zeros between digits.
fn whole(number: u128) -> String {
    const WAN: u128 = 10_000;
    const YI: u128 = WAN * WAN;
    let (unit, name, least) = match number {
        YI.. => (YI, '亿', YI / 10),
        WAN.. => (WAN, '万', WAN / 10),
        _ => return group(number),
    };
    let (high, low) = (number / unit, number % unit);
    let mut words = whole(high);
    words.push(name);
    if low > 0 {
        if low < least {
            words.push('零');
        }
        words.push_str(&whole(low));
    }
    words
}

/// At most four digits in words.
fn group(number: u128) -> String {
    let mut words = String::new();
    let mut zero = false;
    for (place, name) in PLACES.iter().enumerate().rev() {
        let value = number / 10_u128.pow(u32::try_from(place).unwrap_or_default()) % 10;
        if value == 0 {
            zero = !words.is_empty();
            continue;
        }
        if zero {
            words.push('零');
            zero = false;
        }
        words.push(digit(value));
        words.push_str(name);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(digits: &str) -> String {
        amount_in_words(digits.parse().expect("a number")).expect("in words")
    }

    #[test]
    fn amounts_are_written_as_contracts_ask() {
        for (digits, expected) in [
            ("0", "零元整"),
            ("0.05", "伍分"),
            ("0.5", "伍角整"),
            ("1", "壹元整"),
            ("10.05", "壹拾元零伍分"),
            ("1005", "壹仟零伍元整"),
            ("10000", "壹万元整"),
            ("100500.30", "壹拾万零伍佰元叁角整"),
            ("1000001", "壹佰万零壹元整"),
            ("123456789.12", "壹亿贰仟叁佰肆拾伍万陆仟柒佰捌拾玖元壹角贰分"),
            ("100000000", "壹亿元整"),
            ("100010000", "壹亿零壹万元整"),
            ("1200000000000", "壹万贰仟亿元整"),
            ("-12.30", "负壹拾贰元叁角整"),
            ("1.005", "壹元零壹分"),
        ] {
            assert_eq!(words(digits), expected, "{digits}");
        }
    }

    #[test]
    fn what_stands_around_digits_is_kept_in_a_sum() {
        assert_eq!(around("USD 1,234.50"), ("USD ", ""));
        assert_eq!(around("USD -5.00"), ("USD ", ""));
        assert_eq!(around("15 %"), ("", " %"));
    }
}
