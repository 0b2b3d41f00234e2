//! In charge of the encoding of a text file: finding it out, and reading the file as UTF-8.
//! Invariant: what cannot be decoded is marked, never dropped: the row that holds it is told as faulty.
//! Invariant: memory does not grow with the file.

use std::io::{self, Read};

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Stands for what could not be decoded; a character that no text may hold.
pub(crate) const MARK: char = '\u{FDD0}';

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;
/// Bytes beyond the first that is not ASCII which the detector looks at: more make it no wiser.
const ENOUGH: usize = 2 << 20;
/// Bytes at the start in which zero bytes tell UTF-16 from what is no text.
const HEAD: usize = 4 << 10;
/// How much a right sequence of so many bytes speaks for UTF-8, against a wrong one that speaks against it: what looks like
/// one of three or four bytes hardly ever comes about by chance.
const WEIGHTS: [u64; 5] = [0, 0, 1, 3, 4];

/// What a file's bytes are; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detected {
    /// A text of this encoding.
    Text(&'static Encoding),
    /// No text.
    Binary,
}

/// The encoding called `label`, `utf-8`, `gbk`, `big5`; none where there is no such thing.
pub(crate) fn named(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label(label.trim().as_bytes())
}

/// Finds out the encoding by looking at the whole input once; `locale` tips the scales between like ones.
pub(crate) fn detect(input: &mut dyn Read, locale: &str) -> io::Result<Detected> {
    let mut scan = Scan::new();
    let mut chunk = vec![0; CHUNK];
    let mut first = true;
    loop {
        let length = fill(input, &mut chunk)?;
        let bytes = chunk.get(..length).unwrap_or_default();
        if first && let Some(detected) = of_head(bytes) {
            return Ok(detected);
        }
        first = false;
        scan.feed(bytes, length == 0);
        if length == 0 {
            return Ok(Detected::Text(scan.verdict(locale)));
        }
    }
}

/// What the first bytes say beyond doubt.
fn of_head(bytes: &[u8]) -> Option<Detected> {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return Some(Detected::Text(encoding));
    }
    let head = bytes.get(..HEAD.min(bytes.len())).unwrap_or_default();
    let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    match (even, odd) {
        (0, 0) => None,
        (0, odd) if odd * 5 >= head.len() => Some(Detected::Text(UTF_16LE)),
        (even, 0) if even * 5 >= head.len() => Some(Detected::Text(UTF_16BE)),
        _ => Some(Detected::Binary),
    }
}

/// Reads until the buffer is full or the input ends.
fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

struct Scan {
    detector: EncodingDetector,
    looked_at: usize,
    /// What speaks for UTF-8: its sequences of several bytes, by [`WEIGHTS`].
    right: u64,
    /// Sequences that are not.
    wrong: u64,
    /// The start of a sequence that the chunk before ended in.
    carry: Vec<u8>,
}

impl Scan {
    fn new() -> Self {
        Self { detector: EncodingDetector::new(Iso2022JpDetection::Deny), looked_at: 0, right: 0, wrong: 0, carry: Vec::new() }
    }

    fn feed(&mut self, bytes: &[u8], last: bool) {
        if (self.looked_at > 0 || !bytes.is_ascii()) && self.looked_at < ENOUGH {
            self.detector.feed(bytes, last);
            self.looked_at += bytes.len();
        }
        if self.carry.is_empty() && bytes.is_ascii() {
            return;
        }
        let mut joined = std::mem::take(&mut self.carry);
        joined.extend_from_slice(bytes);
        let mut rest = joined.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.count(text);
                    return;
                }
                Err(error) => {
                    let (valid, behind) = rest.split_at(error.valid_up_to());
                    self.count(std::str::from_utf8(valid).unwrap_or_default());
                    match error.error_len() {
                        Some(length) => {
                            self.wrong += 1;
                            rest = behind.get(length..).unwrap_or_default();
                        }
                        None if last => {
                            self.wrong += 1;
                            return;
                        }
                        None => {
                            self.carry = behind.to_vec();
                            return;
                        }
                    }
                }
            }
        }
    }

    fn count(&mut self, text: &str) {
        if !text.is_ascii() {
            self.right += text.chars().filter_map(|letter| WEIGHTS.get(letter.len_utf8())).sum::<u64>();
        }
    }

    fn verdict(&self, locale: &str) -> &'static Encoding {
        if self.wrong == 0 {
            return UTF_8;
        }
        let country: Option<&[u8]> = match locale {
            "zh-CN" => Some(b"cn"),
            "zh-TW" => Some(b"tw"),
            _ => None,
        };
        let guess = self.detector.guess(country, Utf8Detection::Deny);
        // A file in UTF-8 with a broken row stays one: the row is told, where another encoding would turn all the others
        // into other letters without a word. Two bytes of a Chinese encoding look like UTF-8 by chance, of a western one not.
        let against = if guess.is_single_byte() { self.wrong } else { self.wrong * 2 };
        if self.right > 0 && self.right >= against { UTF_8 } else { guess }
    }
}

/// Reads any encoding as UTF-8; what is wrong comes as [`MARK`].
pub(crate) struct Decoding<R> {
    input: R,
    decoder: Decoder,
    raw: Vec<u8>,
    raw_at: usize,
    raw_end: usize,
    text: Vec<u8>,
    text_at: usize,
    ended: bool,
}

impl<R: Read> Decoding<R> {
    /// Reads `input`, which is of `encoding`; a byte order mark is left out.
    pub(crate) fn new(input: R, encoding: &'static Encoding) -> Self {
        Self {
            input,
            decoder: encoding.new_decoder_with_bom_removal(),
            raw: vec![0; CHUNK],
            raw_at: 0,
            raw_end: 0,
            text: Vec::new(),
            text_at: 0,
            ended: false,
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.text.clear();
        self.text_at = 0;
        if self.raw_at == self.raw_end {
            self.raw_end = fill(&mut self.input, &mut self.raw)?;
            self.raw_at = 0;
            self.ended = self.raw_end == 0;
        }
        let source = self.raw.get(self.raw_at..self.raw_end).unwrap_or_default();
        let most = self.decoder.max_utf8_buffer_length_without_replacement(source.len()).unwrap_or(CHUNK * 4);
        self.text.resize(most.max(16), 0);
        let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(source, &mut self.text, self.ended);
        self.raw_at += read;
        self.text.truncate(written);
        if let DecoderResult::Malformed(..) = result {
            let mut mark = [0; 4];
            self.text.extend_from_slice(MARK.encode_utf8(&mut mark).as_bytes());
        }
        // After the end the decoder may still have a marker to give for what was cut off.
        self.ended = self.ended && matches!(result, DecoderResult::InputEmpty);
        Ok(())
    }
}

impl<R: Read> Read for Decoding<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.text_at == self.text.len() {
            if self.ended {
                return Ok(0);
            }
            self.refill()?;
        }
        let rest = self.text.get(self.text_at..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), rest.get(..length)) {
            to.copy_from_slice(from);
        }
        self.text_at += length;
        Ok(length)
    }
}

/// The text in an encoding, for tests of readers.
#[cfg(test)]
pub(crate) fn encode(text: &str, label: &str) -> Vec<u8> {
    let encoding = named(label).expect("an encoding");
    let (bytes, _, had_errors) = encoding.encode(text);
    assert!(!had_errors, "{label} cannot hold the text");
    bytes.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], encoding: &'static Encoding) -> String {
        let mut text = String::new();
        Decoding::new(bytes, encoding).read_to_string(&mut text).expect("decodes");
        text
    }

    fn detected(bytes: &[u8], locale: &str) -> &'static str {
        match detect(&mut &bytes[..], locale).expect("reads") {
            Detected::Text(encoding) => encoding.name(),
            Detected::Binary => "binary",
        }
    }

    #[test]
    fn encodings_are_found_out() {
        let simplified = "客户名称,行业,所在城市\n上海机械制造有限公司,机械,上海\n北京科技发展公司,软件,北京\n";
        let traditional = "客戶名稱,產業,所在城市\n臺灣電子股份有限公司,電子,臺北\n高雄機械工業,機械,高雄\n";
        let western = "Name;Straße;Größe\nMüller;Königsallee 1;groß\nLefèvre;Café de la Gare;élevé\n";
        assert_eq!(detected(&encode(simplified, "gbk"), "en"), "GBK");
        assert_eq!(detected(&encode(traditional, "big5"), "en"), "Big5");
        assert_eq!(detected(&encode(western, "windows-1252"), "en"), "windows-1252");
        assert_eq!(detected(simplified.as_bytes(), "en"), "UTF-8");
        assert_eq!(detected(&[b"\xEF\xBB\xBF", simplified.as_bytes()].concat(), "en"), "UTF-8");
        assert_eq!(detected(b"plain,text\n", "en"), "UTF-8");
        assert_eq!(detected(&encode("客户,城市\n张三,上海\n", "gbk"), "zh-CN"), "GBK");
        assert_eq!(detected(&encode("Company,Staff\n华为技术有限公司,5\n", "gbk"), "en"), "GBK");
        let utf16: Vec<u8> = "a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(detected(&utf16, "en"), "UTF-16LE");
        assert_eq!(detected(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", "en"), "binary");
    }

    #[test]
    fn one_broken_row_does_not_make_utf8_something_else() {
        let mut bytes = "名称,城市\n".repeat(50).into_bytes();
        bytes.extend_from_slice(b"\xff\xfe,x\n");
        assert_eq!(detected(&bytes, "en"), "UTF-8");
        assert!(read(&bytes, UTF_8).ends_with("\u{FDD0}\u{FDD0},x\n"));
        for (small, expected) in [
            (&b"name\n\xe5\xbc\xa0\xe4\xb8\x89\nbad\xff\n\xe6\x9d\x8e\xe5\x9b\x9b\n"[..], "name\n张三\nbad\u{FDD0}\n李四\n"),
            (b"name\nM\xc3\xbcller\nJ\xc3\xbcrgen\nbad\xff\n", "name\nMüller\nJürgen\nbad\u{FDD0}\n"),
        ] {
            for locale in ["en", "zh-CN", "zh-TW"] {
                assert_eq!(detected(small, locale), "UTF-8");
            }
            assert_eq!(read(small, UTF_8), expected);
        }
    }

    #[test]
    fn decoding_marks_what_is_wrong_and_keeps_the_rest() {
        let mut bytes = encode("客户", "gbk");
        bytes.extend_from_slice(b",\xff,");
        bytes.extend_from_slice(&encode("上海", "gbk"));
        bytes.push(0xC9);
        assert_eq!(read(&bytes, encoding_rs::GBK), "客户,\u{FDD0},上海\u{FDD0}");
        let long = "客户,上海\n".repeat(20_000);
        assert_eq!(read(&encode(&long, "gbk"), encoding_rs::GBK), long);
        assert_eq!(read(b"\xEF\xBB\xBFa,b", UTF_8), "a,b");
    }
}
