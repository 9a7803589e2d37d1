//! The ZIP format, written from front to back (PKWARE's APPNOTE 6.3.10).
//!
//! A file's checksum is known only once it has been sent, so it follows in a data descriptor (4.3.9). A reader that cannot
//! seek has to find the end of the file without it: contents are deflate streams of uncompressed blocks
//! (method 8; RFC 1951, 3.2.4), which say where they end, at five bytes for each 64 KiB.
//! ZIP64 (4.5.3, 4.3.14) is used where a number needs it and nowhere else: not every reader knows it. Names are
//! UTF-8 (4.4.4, bit 11). Dates stand twice: as MS-DOS has them, in UTC, and by the clock of Unix (extra field 0x5455).

use bytes::Bytes;
use types::WallMillis;

/// Bytes of the directory at the end, which is kept until then: some 250 000 files.
pub(super) const DIRECTORY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Files from here on are announced as ZIP64: well below where their deflated size outgrows 32 bits.
const LARGE: u64 = 4_000_000_000;
/// Bytes in an uncompressed block.
const BLOCK_MAX: usize = 0xffff;
/// In place of a number that stands in the ZIP64 fields.
const ELSEWHERE: u32 = u32::MAX;
const BY_UNIX: u16 = 3 << 8;
const FILE_MODE: u32 = 0o100_644 << 16;
const FOLDER_MODE: u32 = (0o040_755 << 16) | 0x10;

/// Why an archive cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ZipError {
    #[error("more files than one archive holds")]
    TooMany,
    #[error("a content is not as long as its file is said to be")]
    OtherSize,
}

/// An archive as far as it has been written.
#[derive(Default)]
pub(super) struct Zip {
    /// Bytes written.
    at: u64,
    directory: Vec<u8>,
    entries: u64,
    open: Option<Open>,
}

/// An entry under way.
struct Open {
    name: String,
    stamp: Stamp,
    offset: u64,
    large: bool,
    size: u64,
    said: u64,
    packed: u64,
    sum: crc32fast::Hasher,
}

/// What the directory says of an entry beside its name.
struct Listed {
    flags: u16,
    method: u16,
    sum: u32,
    packed: u64,
    size: u64,
    large: bool,
    offset: u64,
    mode: u32,
}

impl Zip {
    /// An empty folder, or one before what is in it. The name has no slash at its end.
    pub fn folder(&mut self, name: &str, modified: WallMillis) -> Result<Bytes, ZipError> {
        let (name, stamp, offset) = (format!("{name}/"), Stamp::of(modified), self.at);
        let flags = 1 << 11;
        let mut out = local(&name, &stamp, flags, 0, false);
        out.extend_from_slice(&stamp.extra());
        let listed = Listed { flags, method: 0, sum: 0, packed: 0, size: 0, large: false, offset, mode: FOLDER_MODE };
        self.list(&name, &stamp, &listed)?;
        Ok(self.written(out))
    }

    /// What stands before a file's content.
    pub fn begin(&mut self, name: &str, size: u64, modified: WallMillis) -> Result<Bytes, ZipError> {
        let (stamp, large) = (Stamp::of(modified), size >= LARGE);
        let mut out = local(name, &stamp, FILE_FLAGS, 8, large);
        if large {
            out.extend_from_slice(&fields(&[1, 16]));
            out.extend_from_slice(&[0; 16]);
        }
        out.extend_from_slice(&stamp.extra());
        let (name, offset, sum) = (name.to_string(), self.at, crc32fast::Hasher::new());
        // Said before its bytes are sent, rather than after.
        if self.directory.len() + name.len() + 128 > DIRECTORY_BYTES_MAX {
            return Err(ZipError::TooMany);
        }
        self.open = Some(Open { name, stamp, offset, large, size: 0, said: size, packed: 0, sum });
        Ok(self.written(out))
    }

    /// A piece of its content.
    pub fn data(&mut self, content: &[u8]) -> Bytes {
        let Some(open) = &mut self.open else { return Bytes::new() };
        let blocks = content.len().div_ceil(BLOCK_MAX);
        let mut out = Vec::with_capacity(content.len() + 5 * blocks);
        for block in content.chunks(BLOCK_MAX) {
            out.extend_from_slice(&block_head(block.len() as u16, false));
            out.extend_from_slice(block);
        }
        open.sum.update(content);
        open.size += content.len() as u64;
        open.packed += out.len() as u64;
        self.written(out)
    }

    /// What follows its content.
    pub fn end(&mut self) -> Result<Bytes, ZipError> {
        let Some(open) = self.open.take() else { return Ok(Bytes::new()) };
        if open.size != open.said {
            return Err(ZipError::OtherSize);
        }
        let mut out = block_head(0, true).to_vec();
        let (packed, sum) = (open.packed + out.len() as u64, open.sum.finalize());
        out.extend_from_slice(&0x0807_4b50_u32.to_le_bytes());
        out.extend_from_slice(&sum.to_le_bytes());
        if open.large {
            out.extend_from_slice(&packed.to_le_bytes());
            out.extend_from_slice(&open.size.to_le_bytes());
        } else {
            out.extend_from_slice(&(packed as u32).to_le_bytes());
            out.extend_from_slice(&(open.size as u32).to_le_bytes());
        }
        let (size, large, offset) = (open.size, open.large, open.offset);
        let listed = Listed { flags: FILE_FLAGS, method: 8, sum, packed, size, large, offset, mode: FILE_MODE };
        self.list(&open.name, &open.stamp, &listed)?;
        Ok(self.written(out))
    }

    /// The directory and what leads to it: without these nothing takes it for an archive.
    pub fn finish(mut self) -> Bytes {
        let (begin, length, entries) = (self.at, self.directory.len() as u64, self.entries);
        let mut out = std::mem::take(&mut self.directory);
        if entries >= u64::from(u16::MAX) || length >= u64::from(ELSEWHERE) || begin >= u64::from(ELSEWHERE) {
            out.extend_from_slice(&0x0606_4b50_u32.to_le_bytes());
            out.extend_from_slice(&44u64.to_le_bytes());
            out.extend_from_slice(&fields(&[BY_UNIX | 45, 45]));
            out.extend_from_slice(&[0; 8]);
            for number in [entries, entries, length, begin] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(&0x0706_4b50_u32.to_le_bytes());
            out.extend_from_slice(&0u32.to_le_bytes());
            out.extend_from_slice(&(begin + length).to_le_bytes());
            out.extend_from_slice(&1u32.to_le_bytes());
        }
        out.extend_from_slice(&0x0605_4b50_u32.to_le_bytes());
        let entries = u16::try_from(entries).unwrap_or(u16::MAX);
        out.extend_from_slice(&fields(&[0, 0, entries, entries]));
        out.extend_from_slice(&narrow(length).to_le_bytes());
        out.extend_from_slice(&narrow(begin).to_le_bytes());
        out.extend_from_slice(&fields(&[0]));
        out.into()
    }

    fn list(&mut self, name: &str, stamp: &Stamp, it: &Listed) -> Result<(), ZipError> {
        let mut large = Vec::new();
        if it.large {
            large.extend_from_slice(&it.size.to_le_bytes());
            large.extend_from_slice(&it.packed.to_le_bytes());
        }
        if it.offset >= u64::from(ELSEWHERE) {
            large.extend_from_slice(&it.offset.to_le_bytes());
        }
        let mut extra = Vec::new();
        if !large.is_empty() {
            extra.extend_from_slice(&fields(&[1, large.len() as u16]));
            extra.extend_from_slice(&large);
        }
        extra.extend_from_slice(&stamp.extra());
        let version = if large.is_empty() { 20 } else { 45 };
        let out = &mut self.directory;
        out.extend_from_slice(&0x0201_4b50_u32.to_le_bytes());
        out.extend_from_slice(&fields(&[BY_UNIX | version, version, it.flags, it.method, stamp.time, stamp.date]));
        out.extend_from_slice(&it.sum.to_le_bytes());
        for size in [it.packed, it.size] {
            out.extend_from_slice(&(if it.large { ELSEWHERE } else { size as u32 }).to_le_bytes());
        }
        out.extend_from_slice(&fields(&[name.len() as u16, extra.len() as u16, 0, 0, 0]));
        out.extend_from_slice(&it.mode.to_le_bytes());
        out.extend_from_slice(&narrow(it.offset).to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&extra);
        self.entries += 1;
        if out.len() > DIRECTORY_BYTES_MAX { Err(ZipError::TooMany) } else { Ok(()) }
    }

    fn written(&mut self, out: Vec<u8>) -> Bytes {
        self.at += out.len() as u64;
        out.into()
    }
}

/// A descriptor follows; the name is UTF-8.
const FILE_FLAGS: u16 = (1 << 3) | (1 << 11);

/// The local header (4.3.7) up to its extra fields: checksum and sizes come later, or are none.
fn local(name: &str, stamp: &Stamp, flags: u16, method: u16, large: bool) -> Vec<u8> {
    let extra = stamp.extra().len() + if large { 20 } else { 0 };
    let version = if large { 45 } else { 20 };
    let mut out = 0x0403_4b50_u32.to_le_bytes().to_vec();
    out.extend_from_slice(&fields(&[version, flags, method, stamp.time, stamp.date]));
    out.extend_from_slice(&0u32.to_le_bytes());
    let size = if large { ELSEWHERE } else { 0 };
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&fields(&[name.len() as u16, extra as u16]));
    out.extend_from_slice(name.as_bytes());
    out
}

/// Before the bytes of an uncompressed block: is it the last, and its length, twice.
fn block_head(length: u16, last: bool) -> [u8; 5] {
    let ([a, b], [c, d]) = (length.to_le_bytes(), (!length).to_le_bytes());
    [u8::from(last), a, b, c, d]
}

fn fields(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(ELSEWHERE)
}

/// A time as archives have it.
struct Stamp {
    time: u16,
    date: u16,
    /// Seconds since 1970, if they fit.
    unix: Option<i32>,
}

impl Stamp {
    fn of(at: WallMillis) -> Stamp {
        let seconds = at.0 / 1000;
        let (year, month, day) = crate::web::format::civil(seconds / 86_400);
        let unix = i32::try_from(seconds).ok();
        if !(1980..2108).contains(&year) {
            return Stamp { time: 0, date: (1 << 5) | 1, unix };
        }
        let of_day = seconds % 86_400;
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        let time = (hour << 11) | (minute << 5) | (second / 2);
        let date = ((year - 1980) << 9) | (month << 5) | day;
        Stamp { time: time as u16, date: date as u16, unix }
    }

    fn extra(&self) -> Vec<u8> {
        let Some(unix) = self.unix else { return Vec::new() };
        // Only the time of modification is there.
        let mut out = fields(&[0x5455, 5]);
        out.push(1);
        out.extend_from_slice(&unix.to_le_bytes());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use std::process::Command;

    type Given = (String, Vec<Vec<u8>>, u64);

    fn written(files: &[Given]) -> Vec<u8> {
        let mut zip = Zip::default();
        let mut out = zip.folder("folder", WallMillis(1_700_000_000_000)).unwrap().to_vec();
        for (name, chunks, at) in files {
            let size = chunks.iter().map(|chunk| chunk.len() as u64).sum();
            out.extend_from_slice(&zip.begin(name, size, WallMillis(*at)).unwrap());
            for chunk in chunks {
                out.extend_from_slice(&zip.data(chunk));
            }
            out.extend_from_slice(&zip.end().unwrap());
        }
        out.extend_from_slice(&zip.finish());
        out
    }

    /// What Python makes of it: names, dates and contents, also read from front to back by the system's `unzip`.
    fn read(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(archive).unwrap();
        let script = "import sys, zipfile\n\
            with zipfile.ZipFile(sys.argv[1]) as z:\n    \
                assert z.testzip() is None\n    \
                for i in z.infolist():\n        \
                    print(i.filename.encode().hex() or '-', z.read(i).hex() or '-')\n";
        let out = Command::new("python3").args(["-c", script]).arg(file.path()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let tested = Command::new("unzip").arg("-tqq").arg(file.path()).output().unwrap();
        assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stdout));
        let bytes = |hex: &str| -> Vec<u8> {
            let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            if hex == "-" { Vec::new() } else { (0..hex.len()).step_by(2).map(digits).collect() }
        };
        let lines = String::from_utf8(out.stdout).unwrap();
        let line = |line: &str| {
            let (name, content) = line.split_once(' ').unwrap();
            (String::from_utf8(bytes(name)).unwrap(), bytes(content))
        };
        lines.lines().map(line).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn what_goes_in_comes_out(
            files in proptest::collection::vec(
                ("[a-zé日🏝]{1,9}", proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..4), any::<u64>()),
                0..6,
            ),
        ) {
            let files: Vec<Given> =
                files.into_iter().enumerate().map(|(n, (name, chunks, at))| (format!("{n}{name}"), chunks, at >> 8)).collect();
            let wanted: Vec<(String, Vec<u8>)> = std::iter::once(("folder/".to_string(), Vec::new()))
                .chain(files.iter().map(|(name, chunks, _)| (name.clone(), chunks.concat()))).collect();
            prop_assert_eq!(read(&written(&files)), wanted);
        }
    }

    #[test]
    fn long_contents_and_many_files() {
        let long: Vec<u8> = (0..300_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let chunks = vec![long[..200_001].to_vec(), long[200_001..].to_vec()];
        let back = read(&written(&[("long".into(), chunks, 0)]));
        assert_eq!(back[1], ("long".to_string(), long));
        // More than sixteen bits count.
        let many: Vec<Given> = (0..70_000).map(|n| (n.to_string(), Vec::new(), 0)).collect();
        assert_eq!(read(&written(&many)).len(), 70_001);
    }

    #[test]
    fn an_archive_cut_short_is_none() {
        let whole = written(&[("a".into(), vec![b"content".to_vec()], 0)]);
        for cut in [whole.len() - 1, whole.len() - 22, whole.len() - 60] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&whole[..cut]).unwrap();
            let out = Command::new("python3").args(["-m", "zipfile", "-t"]).arg(file.path()).output().unwrap();
            assert!(!out.status.success(), "{cut}");
        }
    }

    #[test]
    fn bounds_and_promises_hold() {
        let mut zip = Zip::default();
        zip.begin("a", 3, WallMillis(0)).unwrap();
        zip.data(b"ab");
        assert_eq!(zip.end(), Err(ZipError::OtherSize));
        let name = "n".repeat(60_000);
        let mut zip = Zip::default();
        let full = (0..1000).find_map(|_| zip.begin(&name, 0, WallMillis(0)).and_then(|_| zip.end()).err());
        assert_eq!(full, Some(ZipError::TooMany));
        assert!(zip.directory.len() <= DIRECTORY_BYTES_MAX);
    }

    /// 5 GB into a file with holes: what is larger than 32 bits count, and what comes after it.
    #[test]
    fn what_is_larger_than_four_gigabytes() {
        if std::env::var_os("ATOLL_TEST_LONG").is_none() {
            return;
        }
        let mut file = std::io::BufWriter::new(tempfile::NamedTempFile::new().unwrap());
        let (piece, pieces) = (vec![0u8; 1 << 20], 5000u64);
        let mut zip = Zip::default();
        file.write_all(&zip.begin("large", pieces << 20, WallMillis(0)).unwrap()).unwrap();
        for _ in 0..pieces {
            file.write_all(&zip.data(&piece)).unwrap();
        }
        file.write_all(&zip.end().unwrap()).unwrap();
        file.write_all(&zip.begin("after", 5, WallMillis(0)).unwrap()).unwrap();
        for bytes in [zip.data(b"after"), zip.end().unwrap(), zip.finish()] {
            file.write_all(&bytes).unwrap();
        }
        let file = file.into_inner().unwrap();
        for (program, args) in [("unzip", &["-tqq"][..]), ("python3", &["-m", "zipfile", "-t"])] {
            let out = Command::new(program).args(args).arg(file.path()).output().unwrap();
            assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stdout));
        }
    }
}
