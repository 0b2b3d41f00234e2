//! In charge of archives that pretend to be small: office files are zips.
//! Invariant: what comes out is counted while it comes out; sizes that an archive declares are not believed.

use std::io::{Read, Seek};

/// The most parts of an office file.
const MAX_PARTS: usize = 20_000;
/// The most bytes of parts that are read row by row.
const MAX_STREAMED: u64 = 8 << 30;
/// The most bytes of all other parts, which are held in memory: shared texts, styles.
const MAX_HELD: u64 = 512 << 20;
/// So many times larger than the archive nothing honest becomes.
const MAX_RATIO: u64 = 400;
/// Below this many bytes no ratio is asked about.
const SMALL: u64 = 32 << 20;

/// What an archive holds; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Office {
    /// Sheets in XML.
    Xlsx,
    /// Sheets in binary parts.
    Xlsb,
    /// Open document sheets.
    Ods,
}

/// Why an archive is refused; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is no office file of sheets.
    NotSheets,
    /// What comes out of it is too much.
    Bomb,
}

/// Which office file `input` is, having counted what comes out of it.
pub(crate) fn check<R: Read + Seek>(input: &mut R) -> Result<Office, Refused> {
    let packed = input.seek(std::io::SeekFrom::End(0)).map_err(|_| Refused::NotSheets)?;
    let mut archive = zip::ZipArchive::new(input).map_err(|_| Refused::NotSheets)?;
    if archive.len() > MAX_PARTS {
        return Err(Refused::Bomb);
    }
    let has = |name: &str| archive.file_names().flatten().any(|there| there.eq_ignore_ascii_case(name));
    let office = match (has("xl/workbook.xml"), has("xl/workbook.bin"), has("content.xml")) {
        (true, _, _) => Office::Xlsx,
        (false, true, _) => Office::Xlsb,
        (false, false, true) => Office::Ods,
        (false, false, false) => return Err(Refused::NotSheets),
    };
    let (mut streamed, mut held) = (0_u64, 0_u64);
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(|_| Refused::NotSheets)?;
        let is_streamed = office == Office::Xlsx && part.name().is_ok_and(|name| name.to_ascii_lowercase().starts_with("xl/worksheets/"));
        let (sum, most) = if is_streamed { (&mut streamed, MAX_STREAMED) } else { (&mut held, MAX_HELD) };
        // A media file is never unpacked by anybody here, but it is counted like the rest.
        let allowed = most.saturating_sub(*sum).min(packed.saturating_mul(MAX_RATIO).max(SMALL));
        let came_out = std::io::copy(&mut part.take(allowed + 1), &mut std::io::sink()).map_err(|_| Refused::NotSheets)?;
        if came_out > allowed {
            return Err(Refused::Bomb);
        }
        *sum += came_out;
    }
    Ok(office)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};

    fn archive(parts: &[(&str, u64)]) -> Cursor<Vec<u8>> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let zeros = vec![0_u8; 1 << 20];
        for (name, size) in parts {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).expect("starts");
            let mut left = *size;
            while left > 0 {
                let step = left.min(zeros.len() as u64);
                writer.write_all(&zeros[..usize::try_from(step).expect("small")]).expect("writes");
                left -= step;
            }
        }
        writer.finish().expect("finishes")
    }

    #[test]
    fn what_comes_out_is_counted() {
        assert_eq!(check(&mut archive(&[("xl/workbook.xml", 10), ("xl/worksheets/sheet1.xml", 1 << 20)])), Ok(Office::Xlsx));
        assert_eq!(check(&mut archive(&[("content.xml", 10)])), Ok(Office::Ods));
        assert_eq!(check(&mut archive(&[("readme.txt", 10)])), Err(Refused::NotSheets));
        assert_eq!(check(&mut Cursor::new(b"PK\x03\x04 not really".to_vec())), Err(Refused::NotSheets));
        assert_eq!(check(&mut archive(&[("xl/workbook.xml", 10), ("xl/sharedStrings.xml", 40 << 20)])), Err(Refused::Bomb));
    }
}
