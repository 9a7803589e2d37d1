//! The parts of a document that is an archive (zip).

use crate::text::Stop;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use zip::ZipArchive;

/// Bytes of all parts together, unpacked; what is larger is not read to its end. Much less than a child may have, for one element may be all of it.
const UNPACKED_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Parts of a document.
const PARTS_MAX: usize = 20_000;

pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// Bytes that may yet be unpacked.
    left: u64,
}

impl<'a> Archive<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<Archive<'a>, Stop> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|_| Stop::Unreadable)?;
        if zip.len() > PARTS_MAX {
            return Err(Stop::Unreadable);
        }
        Ok(Archive { zip, left: UNPACKED_BYTES_MAX })
    }

    pub fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(name).is_some()
    }

    /// A part, as it is unpacked.
    pub fn part(&mut self, name: &str) -> Result<impl BufRead, Stop> {
        let part = self.zip.by_name(name).map_err(|_| Stop::Unreadable)?;
        Ok(BufReader::new(Unpacked { part, left: &mut self.left }))
    }

    /// The names of all parts, as they are packed.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.zip.file_names_raw().filter_map(|name| std::str::from_utf8(name).ok())
    }

    /// Parts whose names are that beginning, a number and `.xml`, by number.
    pub fn numbered(&self, begin: &str) -> Vec<String> {
        let number = |name: &str| name.strip_prefix(begin)?.strip_suffix(".xml")?.parse::<u32>().ok();
        let mut found: Vec<(u32, String)> =
            self.names().filter_map(|name| Some((number(name)?, name.to_string()))).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, name)| name).collect()
    }
}

struct Unpacked<'a, R> {
    part: R,
    left: &'a mut u64,
}

impl<R: Read> Read for Unpacked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.part.read(buffer)?;
        *self.left = self.left.checked_sub(read as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(read)
    }
}
