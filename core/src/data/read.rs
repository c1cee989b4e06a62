//! Opening files: gzip or not is decided by the first bytes, never by the name.
//!
//! Invariant: what is unpacked is bounded by the size of what is packed ([`unpacked_limit`]), so that no small file
//! fills the memory.

use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::DataError;

/// Bytes at the start of a file that tell the formats apart (a tar says so at 257), and hold the header of an array.
const HEAD: u64 = 4096;
/// Packed images are rarely a tenth of what they unpack to.
const UNPACKED_PER_BYTE: u64 = 16;
/// Whatever the size of a file, it may unpack to so much.
const UNPACKED_ANYWAY: u64 = 256 << 20;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How many bytes a file or an entry of an archive of so many bytes may unpack to.
pub(super) fn unpacked_limit(packed: u64) -> u64 {
    packed.saturating_mul(UNPACKED_PER_BYTE).saturating_add(UNPACKED_ANYWAY)
}

/// Unpacked bytes, up to a limit.
struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            let times = UNPACKED_PER_BYTE;
            io::Error::new(ErrorKind::FileTooLarge, format!("it unpacks to more than {times} times its size"))
        })?;
        Ok(count)
    }
}

/// A file opened for reading, unpacked on the way if it is gzipped.
pub(super) struct Opened {
    /// As it was given.
    pub path: PathBuf,
    /// The unpacked bytes from the first one on.
    pub reader: Box<dyn Read>,
    /// A copy of the first unpacked bytes, 4096 or all that there are.
    pub head: Vec<u8>,
    /// Length of the unpacked file, where it is known without unpacking it.
    pub length: Option<u64>,
}

/// Opens `path` and looks at its first bytes.
pub(super) fn open(path: &Path) -> Result<Opened, DataError> {
    let fail = |got| read_error(path, "a data file", got);
    // Only regular files: opening a pipe would wait for ever.
    let metadata = fs::metadata(path).map_err(fail)?;
    if !metadata.is_file() {
        return Err(DataError::Format {
            path: path.to_path_buf(),
            wanted: "a file".into(),
            got: if metadata.is_dir() { "a folder".into() } else { "a device or pipe".into() },
            fix: "give the path of a data file".into(),
        });
    }
    let mut stored = BufReader::with_capacity(1 << 16, File::open(path).map_err(fail)?);
    let start = take(&mut stored, 2).map_err(fail)?;
    let gzip = start == GZIP_MAGIC;
    let whole = Cursor::new(start).chain(stored);
    let unpacked = |whole| Limited { inner: MultiGzDecoder::new(whole), left: unpacked_limit(metadata.len()) };
    let mut reader: Box<dyn Read> = if gzip { Box::new(BufReader::new(unpacked(whole))) } else { Box::new(whole) };
    let head = take(&mut reader, HEAD).map_err(fail)?;
    Ok(Opened {
        path: path.to_path_buf(),
        reader: Box::new(Cursor::new(head.clone()).chain(reader)),
        head,
        length: (!gzip).then_some(metadata.len()),
    })
}

fn take(reader: &mut dyn Read, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Opened {
    /// Everything, if it is at most `limit` bytes.
    pub fn read_all(self, limit: u64, wanted: &str) -> Result<Vec<u8>, DataError> {
        let path = self.path.clone();
        let bytes = self.read_up_to(limit.saturating_add(1), wanted)?;
        if bytes.len() as u64 > limit {
            return Err(DataError::TooLarge {
                path,
                limit,
                what: format!("more, for {wanted}"),
                fix: "take a smaller file".into(),
            });
        }
        Ok(bytes)
    }

    /// At most `count` bytes. Memory grows with what is really there, so `count` may come
    /// from an untrusted header.
    pub fn read_up_to(self, count: u64, wanted: &str) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        if let Some(length) = self.length {
            bytes.reserve_exact(length.min(count) as usize);
        }
        self.reader.take(count).read_to_end(&mut bytes).map_err(|got| read_error(&self.path, wanted, got))?;
        Ok(bytes)
    }
}

/// An error of the system while reading `path`, with the fix for its kind.
pub(super) fn read_error(path: &Path, wanted: &str, got: io::Error) -> DataError {
    let fix = match got.kind() {
        ErrorKind::NotFound => "check the spelling of the path",
        ErrorKind::PermissionDenied => "allow reading it",
        ErrorKind::FileTooLarge => "if you trust it, unpack it yourself and give what is in it",
        ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            "the file is damaged or cut short; get it again"
        }
        _ => "check the file and the disk",
    };
    DataError::Read { path: path.to_path_buf(), wanted: wanted.to_owned(), got, fix: fix.to_owned() }
}

/// Gzips `bytes`, for tests.
#[cfg(test)]
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_found_by_its_bytes_not_by_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let text: Vec<u8> = (0..2000u32).map(|i| (i * i) as u8).collect();
        for (name, stored) in [
            ("plain.gz", text.clone()),
            ("packed", gzip(&text)),
            ("twice.bin", [gzip(&text[..7]), gzip(&text[7..])].concat()),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, stored).unwrap();
            let opened = open(&path).unwrap();
            assert_eq!(opened.head, text, "{name}");
            assert_eq!(opened.read_all(2000, "x").unwrap(), text, "{name}");
            let text = open(&path).unwrap().read_all(1999, "x").unwrap_err().to_string();
            assert!(text.contains("1999"), "{text}");
        }
    }

    /// 13 MB of packed zeros took 3 GB of memory.
    #[test]
    fn a_small_file_that_unpacks_to_a_large_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bomb.npy.gz");
        fs::write(&path, gzip(&vec![0; 4 << 20].repeat(80))).unwrap();
        let text = open(&path).unwrap().read_all(u64::MAX - 1, "an array").unwrap_err().to_string();
        assert!(
            text.contains("bomb.npy.gz") && text.contains("16 times its size\"; if you trust it, unpack"),
            "{text}"
        );
        assert_eq!(open(&path).unwrap().read_up_to(9, "an array").unwrap(), [0; 9], "what is asked for is given");
    }

    #[test]
    fn empty_absent_folder_and_damaged_are_no_panics() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let text = open(&path).err().unwrap().to_string();
        assert!(text.contains("spelling"), "{text}");
        fs::write(&path, []).unwrap();
        assert!(open(&path).unwrap().head.is_empty());
        assert!(open(folder.path()).is_err());
        let packed = gzip(&[1; 5000]);
        fs::write(&path, &packed[..packed.len() - 6]).unwrap();
        let text = open(&path).unwrap().read_all(9999, "x").unwrap_err().to_string();
        assert!(text.contains("cut short"), "{text}");
    }
}
