//! In charge of tests of readers over whole files: encodings, delimiters, broken rows, workbooks, files that lie.

use std::io::{Cursor, Write};

use bytes::Bytes;
use chrono::NaiveDate;
use model::{Message, Value};
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};

use super::encoding::encode;
use super::{Options, Piece, Row, rows};
use crate::files::Content;

fn read_with(bytes: Vec<u8>, options: &Options) -> Result<(Vec<String>, Vec<Row>), Message> {
    let (mut header, mut all) = (Vec::new(), Vec::new());
    rows(&Content::Bytes(Bytes::from(bytes)), options, &mut |piece| {
        match piece {
            Piece::Header(names) => header = names,
            Piece::Row(row) => all.push(row),
        }
        true
    })?;
    Ok((header, all))
}

fn read(bytes: impl Into<Vec<u8>>) -> (Vec<String>, Vec<Row>) {
    read_with(bytes.into(), &Options::default()).expect("reads")
}

fn refusal(bytes: impl Into<Vec<u8>>) -> &'static str {
    read_with(bytes.into(), &Options::default()).expect_err("is refused").key
}

fn texts(row: &Row) -> Vec<&str> {
    row.cells.iter().map(|cell| cell.as_text().unwrap_or_default()).collect()
}

#[test]
fn texts_come_in_many_encodings() {
    let text = "客户名称,行业,所在城市\n上海机械制造有限公司,机械,上海\n北京科技发展公司,软件,北京\n";
    let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    for bytes in [text.as_bytes().to_vec(), [b"\xEF\xBB\xBF", text.as_bytes()].concat(), encode(text, "gbk"), encode(text, "gb18030"), utf16] {
        let (header, all) = read(bytes);
        assert_eq!(header, ["客户名称", "行业", "所在城市"]);
        assert_eq!(texts(&all[0]), ["上海机械制造有限公司", "机械", "上海"]);
        assert!(all.iter().all(|row| row.fault.is_none()));
    }
    let text = "客戶名稱,產業,所在城市\n臺灣電子股份有限公司,電子,臺北\n高雄機械工業許功蓋,機械,高雄\n";
    let (_, all) = read(encode(text, "big5"));
    assert_eq!(texts(&all[1]), ["高雄機械工業許功蓋", "機械", "高雄"]);
    let options = Options { encoding: Some("windows-1252".to_owned()), ..Options::default() };
    let (_, all) = read_with(encode("a;b\nMüller;Größe\n", "windows-1252"), &options).expect("reads");
    assert_eq!(texts(&all[0]), ["Müller", "Größe"]);
    let options = Options { encoding: Some("klingon".to_owned()), ..Options::default() };
    assert_eq!(read_with(b"a,b\n".to_vec(), &options).expect_err("no such encoding").key, "import_encoding");
}

#[test]
fn delimiters_are_found_out() {
    for (text, cell) in
        [("a;b\n1,5;2\n", "1,5"), ("a\tb\n1,5\t2\n", "1,5"), ("a|b\n1|2\n", "1"), ("a,b\n\"1;2;3\",2\n", "1;2;3"), ("sep=;\na;b\n1;2\n", "1")]
    {
        let (header, all) = read(text);
        assert_eq!(header, ["a", "b"], "{text:?}");
        assert_eq!(texts(&all[0]), [cell, if text.contains("5") || text.contains('|') || text.contains(';') { "2" } else { "" }], "{text:?}");
    }
    let (header, all) = read("only\nx\ny\n");
    assert_eq!((header.len(), all.len()), (1, 2));
}

#[test]
fn broken_rows_are_told_with_their_line_and_the_rest_goes_on() {
    let mut bytes = b"name,city\nA,Rome\nB\nC,Paris,more\n\"D\nE,Oslo\n".to_vec();
    bytes.extend_from_slice("è".repeat(40).as_bytes());
    bytes.extend_from_slice(b",x\nF\xff,Bonn\n,\n\nG,Kyiv\n");
    let (_, all) = read(bytes);
    let told: Vec<(u64, Option<&str>)> = all.iter().map(|row| (row.number, row.fault.as_ref().map(|fault| fault.key))).collect();
    assert_eq!(
        told,
        [
            (2, None),
            (3, Some("row_ragged")),
            (4, Some("row_ragged")),
            (5, Some("row_quote")),
            (6, None),
            (7, None),
            (8, Some("row_encoding")),
            (11, None)
        ]
    );
}

#[test]
fn headers_are_trimmed_named_once_and_may_stand_lower() {
    let options = Options { header_row: 3, ..Options::default() };
    let (header, all) = read_with(b"Report of May\nmade by hand\n Name , City\n,Name,\nx,y,z,\n".to_vec(), &options).expect("reads");
    assert_eq!(header, ["Name", "City"]);
    assert_eq!(all.len(), 2);
    assert_eq!(read("a,a,b,\n1,2,3,\n").0, ["a", "a (2)", "b"]);
}

#[test]
fn files_that_are_no_tables_are_refused() {
    assert_eq!(refusal(""), "import_empty");
    assert_eq!(refusal("\n\n"), "import_empty");
    assert_eq!(refusal(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01".to_vec()), "import_not_rows");
    assert_eq!(refusal(b"%PDF-1.7\n\0\0\0\x01\x02\0".to_vec()), "import_not_rows");
    assert_eq!(refusal(b"PK\x03\x04garbage".to_vec()), "import_not_rows");
    assert_eq!(refusal([&[0xD0_u8, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1][..], &[0_u8; 600][..]].concat()), "import_unreadable");
}

fn workbook() -> Vec<u8> {
    let mut book = Workbook::new();
    let (day, moment) = (Format::new().set_num_format("yyyy-mm-dd"), Format::new().set_num_format("yyyy-mm-dd hh:mm"));
    let time = Format::new().set_num_format("hh:mm");
    let sheet = book.add_worksheet();
    sheet.set_name("Notes").expect("a name").write(0, 0, "nothing here").expect("writes");
    let sheet = book.add_worksheet();
    sheet.set_name("客户").expect("a name");
    for (column, name) in ["Name", "Amount", "Day", "Moment", "Time", "Active", "Phone"].into_iter().enumerate() {
        sheet.write(0, u16::try_from(column).expect("few"), name).expect("writes");
    }
    sheet.write(1, 0, "Acme").expect("writes");
    sheet.write(1, 1, 0.1 + 0.2).expect("writes");
    sheet.write_with_format(1, 2, ExcelDateTime::from_ymd(2026, 1, 5).expect("a day"), &day).expect("writes");
    sheet
        .write_with_format(1, 3, ExcelDateTime::from_ymd(2026, 1, 5).and_then(|day| day.and_hms(9, 30, 0)).expect("a moment"), &moment)
        .expect("writes");
    sheet.write_with_format(1, 4, ExcelDateTime::from_hms(9, 30, 0).expect("a time"), &time).expect("writes");
    sheet.write(1, 5, true).expect("writes");
    sheet.write(1, 6, 13_800_138_000_i64).expect("writes");
    sheet.write(3, 0, "Later").expect("writes");
    sheet.write(3, 9, "beside the table").expect("writes");
    book.save_to_buffer().expect("saves")
}

#[test]
fn workbooks_keep_their_types() {
    let options = Options { sheet: Some("客户".to_owned()), zone: chrono_tz::Asia::Shanghai, ..Options::default() };
    let (header, all) = read_with(workbook(), &options).expect("reads");
    assert_eq!(header.len(), 7);
    assert_eq!(all.iter().map(|row| row.number).collect::<Vec<_>>(), [2, 4]);
    let cells = &all[0].cells;
    assert_eq!(cells[1], Value::Decimal("0.3".parse().expect("exact")));
    assert_eq!(cells[2], Value::Date(NaiveDate::from_ymd_opt(2026, 1, 5).expect("a day")));
    assert_eq!(super::super::words::text_of(&cells[3], chrono_tz::UTC), "2026-01-05 01:30:00");
    assert_eq!(super::super::words::text_of(&cells[4], chrono_tz::UTC), "09:30:00");
    assert_eq!((&cells[5], &cells[6]), (&Value::Bool(true), &Value::Int(13_800_138_000)));
    assert_eq!(all[1].cells.len(), 7);
    let options = Options { sheet: Some("nowhere".to_owned()), ..Options::default() };
    assert_eq!(read_with(workbook(), &options).expect_err("no such sheet").key, "import_no_sheet");
}

#[test]
fn a_bomb_in_a_workbook_is_refused_by_what_comes_out() {
    let mut parts = zip::ZipArchive::new(Cursor::new(workbook())).expect("a zip");
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..parts.len() {
        writer.raw_copy_file(parts.by_index_raw(index).expect("a part")).expect("copies");
    }
    writer.start_file("xl/media/bomb.bin", zip::write::SimpleFileOptions::default()).expect("starts");
    let zeros = vec![0_u8; 1 << 20];
    for _ in 0..40 {
        writer.write_all(&zeros).expect("writes");
    }
    assert_eq!(refusal(writer.finish().expect("finishes").into_inner()), "import_bomb");
}
