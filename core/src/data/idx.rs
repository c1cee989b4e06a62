//! The IDX format of MNIST, on bytes in memory.
//!
//! A file is two zero bytes, a type (8 = unsigned byte), the number of dimensions, each
//! dimension as a big-endian `u32`, then the elements in row-major order. Images have
//! three dimensions (magic 0x00000803: N, rows, columns), labels one (0x00000801: N).
//! Invariant: nothing is allocated by what a header says, only by what is there.

use std::io::{self, Write};
use std::path::Path;

use super::DataError;
use super::options::MAX_SIDE;

/// First four bytes of an image file.
pub const IMAGES_MAGIC: [u8; 4] = [0, 0, 8, 3];
/// First four bytes of a label file.
pub const LABELS_MAGIC: [u8; 4] = [0, 0, 8, 1];
/// Bytes before the first pixel.
pub(super) const IMAGES_HEADER: usize = 16;
/// Bytes before the first label.
pub(super) const LABELS_HEADER: usize = 8;

/// Images of an IDX file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdxImages {
    /// Pixels, N x H x W.
    pub pixels: Vec<u8>,
    /// Number of images.
    pub n: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// Bytes of a whole image file and its sizes (N, H, W), from its first 16 bytes.
pub(super) fn images_size(head: &[u8], path: &Path) -> Result<(u64, [usize; 3]), DataError> {
    check_magic(head, IMAGES_MAGIC, path)?;
    check_header(head, IMAGES_HEADER, path)?;
    let [n, height, width] = [4, 8, 12].map(|at| big_endian(head, at));
    if n == 0 {
        return Err(format(path, "IDX images", "none (N is 0)", "give a file with images"));
    }
    if height == 0 || width == 0 || height > MAX_SIDE || width > MAX_SIDE {
        return Err(format(
            path,
            &format!("IDX images with sides from 1 to {MAX_SIDE}"),
            &format!("{n} x {height} x {width} in the header"),
            "the header is damaged; get the file again",
        ));
    }
    // At most 2^32 * 2^14 * 2^14 + 16: fits.
    let bytes = n as u64 * height as u64 * width as u64 + IMAGES_HEADER as u64;
    Ok((bytes, [n, height, width]))
}

/// Bytes of a whole label file, from its first 8 bytes.
pub(super) fn labels_size(head: &[u8], path: &Path) -> Result<u64, DataError> {
    check_magic(head, LABELS_MAGIC, path)?;
    check_header(head, LABELS_HEADER, path)?;
    Ok(big_endian(head, 4) as u64 + LABELS_HEADER as u64)
}

/// Images of a whole (unpacked) IDX file; `path` is for messages.
pub fn parse_images(mut bytes: Vec<u8>, path: &Path) -> Result<IdxImages, DataError> {
    let (wanted, [n, height, width]) = images_size(&bytes, path)?;
    let what = format!("{n} images of {width}x{height} and a header of {IMAGES_HEADER}");
    check_length(bytes.len(), wanted, what, path)?;
    bytes.drain(..IMAGES_HEADER);
    Ok(IdxImages { pixels: bytes, n, height, width })
}

/// Labels of a whole (unpacked) IDX file; `path` is for messages.
pub fn parse_labels(mut bytes: Vec<u8>, path: &Path) -> Result<Vec<u8>, DataError> {
    let wanted = labels_size(&bytes, path)?;
    let what = format!("{} labels and a header of {LABELS_HEADER}", wanted - LABELS_HEADER as u64);
    check_length(bytes.len(), wanted, what, path)?;
    bytes.drain(..LABELS_HEADER);
    Ok(bytes)
}

/// Writes images (N x H x W bytes, as many as the sizes say) as an IDX file.
pub fn write_images(writer: &mut impl Write, pixels: &[u8], [n, height, width]: [usize; 3]) -> io::Result<()> {
    writer.write_all(&IMAGES_MAGIC)?;
    for side in [n, height, width] {
        write_u32(writer, side)?;
    }
    writer.write_all(pixels)
}

/// Writes labels as an IDX file.
pub fn write_labels(writer: &mut impl Write, labels: &[u8]) -> io::Result<()> {
    writer.write_all(&LABELS_MAGIC)?;
    write_u32(writer, labels.len())?;
    writer.write_all(labels)
}

fn write_u32(writer: &mut impl Write, value: usize) -> io::Result<()> {
    let value = u32::try_from(value).map_err(io::Error::other)?;
    writer.write_all(&value.to_be_bytes())
}

fn big_endian(bytes: &[u8], at: usize) -> usize {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize
}

fn format(path: &Path, wanted: &str, got: &str, fix: &str) -> DataError {
    DataError::Format { path: path.to_path_buf(), wanted: wanted.to_owned(), got: got.to_owned(), fix: fix.to_owned() }
}

fn check_magic(head: &[u8], wanted: [u8; 4], path: &Path) -> Result<(), DataError> {
    let name = |magic| match magic {
        IMAGES_MAGIC => "IDX images (magic 0x00000803)",
        _ => "IDX labels (magic 0x00000801)",
    };
    match head.first_chunk::<4>() {
        Some(magic) if *magic == wanted => Ok(()),
        Some(&magic) if magic == IMAGES_MAGIC || magic == LABELS_MAGIC => Err(format(
            path,
            name(wanted),
            name(magic),
            "the file seems to be misnamed; swap the names of images and labels",
        )),
        Some(&[0, 0, 8, dimensions]) => Err(format(
            path,
            name(wanted),
            &format!("IDX data of {dimensions} dimensions"),
            "convert it to N x rows x columns",
        )),
        Some(&[0, 0, kind, _]) => Err(format(
            path,
            name(wanted),
            &format!("IDX data of type 0x{kind:02x}"),
            "convert it to unsigned bytes (type 0x08)",
        )),
        Some(magic) => Err(format(
            path,
            name(wanted),
            &format!("a file that begins with {magic:02x?}"),
            "the file is damaged or of another format; get it again",
        )),
        None => Err(format(
            path,
            name(wanted),
            &format!("a file of {} bytes", head.len()),
            "the file is cut short; get it again",
        )),
    }
}

fn check_header(head: &[u8], wanted: usize, path: &Path) -> Result<(), DataError> {
    if head.len() >= wanted {
        return Ok(());
    }
    Err(DataError::Length {
        path: path.to_path_buf(),
        wanted: wanted as u64,
        what: "an IDX header".into(),
        got: head.len().to_string(),
        fix: "the file is cut short; get it again".into(),
    })
}

fn check_length(got: usize, wanted: u64, what: String, path: &Path) -> Result<(), DataError> {
    if got as u64 == wanted {
        return Ok(());
    }
    let fix = if (got as u64) < wanted {
        "the file is cut short; get it again"
    } else {
        "the file goes on after its data; get it again"
    };
    Err(DataError::Length { path: path.to_path_buf(), wanted, what, got: got.to_string(), fix: fix.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> Vec<u8> {
        let mut bytes = Vec::new();
        write_images(&mut bytes, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [2, 3, 2]).unwrap();
        bytes
    }

    fn error(bytes: Vec<u8>) -> String {
        parse_images(bytes, Path::new("a-images")).unwrap_err().to_string()
    }

    #[test]
    fn written_images_and_labels_come_back() {
        let back = parse_images(images(), Path::new("x")).unwrap();
        assert_eq!((back.n, back.height, back.width), (2, 3, 2));
        assert_eq!(back.pixels, (1..=12).collect::<Vec<u8>>());
        let mut bytes = Vec::new();
        write_labels(&mut bytes, &[3, 1]).unwrap();
        assert_eq!(bytes, [0, 0, 8, 1, 0, 0, 0, 2, 3, 1]);
        assert_eq!(parse_labels(bytes, Path::new("x")).unwrap(), [3, 1]);
    }

    #[test]
    fn lengths_are_compared_with_the_header() {
        let mut short = images();
        short.pop();
        let text = error(short);
        assert!(text.contains("a-images") && text.contains("28") && text.contains("27"), "{text}");
        let mut long = images();
        long.push(0);
        assert!(error(long).contains("goes on"));
        assert!(error(images()[..10].to_vec()).contains("cut short"));
        assert!(error(vec![]).contains("0 bytes"));
    }

    #[test]
    fn huge_header_is_an_error_without_an_allocation() {
        let mut bytes = images();
        bytes[4..8].fill(0xff);
        assert!(error(bytes.clone()).contains("cut short"));
        bytes[8..12].fill(0xff);
        assert!(error(bytes).contains("header is damaged"));
    }

    #[test]
    fn other_contents_are_named() {
        let mut labels = Vec::new();
        write_labels(&mut labels, &[3, 1]).unwrap();
        assert!(error(labels).contains("misnamed"));
        assert!(error(vec![0, 0, 0x0d, 3, 0]).contains("type 0x0d"));
        assert!(error(vec![0, 0, 8, 4, 0]).contains("4 dimensions"));
        assert!(error(b"<html>".to_vec()).contains("3c"));
        let mut none = images();
        none[4..8].fill(0);
        assert!(error(none).contains("none"));
    }
}
