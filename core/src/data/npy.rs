//! The `.npy` format of `NumPy`: images in, images and points out.
//!
//! A file is `\x93NUMPY`, a version, the length of the header (two bytes in version 1,
//! four in 2 and 3), a Python dictionary with `descr`, `fortran_order` and `shape`, then
//! the elements (NEP 1). Read are unsigned bytes in C order;
//! written are version 1 files of bytes or little-endian `f32`.

use std::io::{self, Write};
use std::path::Path;

use super::dataset::{check_len, product};
use super::npy_header::{Header, MAGIC, parse_header};
use super::{DataError, Dataset, LoadOptions, pixels};
use crate::files::atomic_write;

/// Bytes of a whole file of images, by the header at the start of `head`.
pub(super) fn images_size(head: &[u8], path: &Path, options: &LoadOptions) -> Result<u64, DataError> {
    let header = parse_header(head, path)?;
    check_type(&header, path)?;
    let shape = image_shape(&header.shape, path)?;
    pixels::check_bytes(path, shape, options.max_bytes)?;
    Ok(header.data_at as u64 + product(&shape).map_or(u64::MAX >> 1, |n| n as u64))
}

/// Images of a whole file: `uint8`, N x H x W or N x H x W x C with C 1 or 3.
///
/// `path` names the data set and is for messages.
pub fn parse_images(mut bytes: Vec<u8>, path: &Path) -> Result<Dataset, DataError> {
    let header = parse_header(&bytes, path)?;
    check_type(&header, path)?;
    let shape = image_shape(&header.shape, path)?;
    let wanted = product(&shape);
    let got = bytes.len() - header.data_at;
    if wanted != Some(got) {
        return Err(DataError::Length {
            path: path.to_path_buf(),
            wanted: wanted.map_or(u64::MAX, |n| n as u64),
            what: format!("an array of shape {shape:?}"),
            got: got.to_string(),
            fix: "the file is damaged or cut short; save it again".into(),
        });
    }
    bytes.drain(..header.data_at);
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(Dataset::new(name, bytes, shape)?.with_origin(path.display().to_string(), "unknown (your own files)"))
}

fn check_type(header: &Header, path: &Path) -> Result<(), DataError> {
    if let [_, columns] = header.shape[..] {
        return Err(DataError::Format {
            path: path.to_path_buf(),
            wanted: "points (N x 2, float32) or images (N x H x W or N x H x W x C, uint8)".into(),
            got: format!("dtype '{}' with {columns} columns", header.descr),
            fix: "save two columns, x[:, :2].astype(np.float32), or x.reshape(N, H, W)".into(),
        });
    }
    let byte_type = matches!(header.descr.as_str(), "|u1" | "<u1" | ">u1" | "=u1" | "u1");
    let (got, fix) = if !byte_type {
        let fix = match header.descr.trim_start_matches(['<', '>', '|', '=']) {
            "f2" | "f4" | "f8" => "scale it to 0..255 and save x.round().clip(0, 255).astype(np.uint8)",
            _ => "save x.astype(np.uint8), with values from 0 to 255",
        };
        (format!("dtype '{}'", header.descr), fix)
    } else if header.fortran_order {
        let fix = "save np.ascontiguousarray(x)";
        ("an array in Fortran order".into(), fix)
    } else {
        return Ok(());
    };
    Err(DataError::Format {
        path: path.to_path_buf(),
        wanted: "a uint8 array ('|u1') in C order".into(),
        got,
        fix: fix.into(),
    })
}

fn image_shape(shape: &[usize], path: &Path) -> Result<[usize; 4], DataError> {
    let fix = match *shape {
        [0, ..] => "save an array with images",
        [n, height, width] if height > 0 && width > 0 => return Ok([n, height, width, 1]),
        [n, height, width, channels @ (1 | 3)] if height > 0 && width > 0 => {
            return Ok([n, height, width, channels]);
        }
        [_, _, _, 4] => "drop the transparency: save x[..., :3]",
        [_, 1 | 3, _, _] => "save x.transpose(0, 2, 3, 1): the channels come last",
        _ => "reshape the array",
    };
    Err(DataError::Format {
        path: path.to_path_buf(),
        wanted: "an array of shape N x H x W or N x H x W x C with C 1 or 3".into(),
        got: format!("shape {shape:?}"),
        fix: fix.into(),
    })
}

/// Writes bytes of `shape` (such as N x H x W x C) as a `uint8` array, whole or not at all.
pub fn write_npy_u8(path: impl AsRef<Path>, shape: &[usize], data: &[u8]) -> Result<(), DataError> {
    write(path.as_ref(), "|u1", shape, data.len(), |file| file.write_all(data))
}

/// Writes numbers of `shape` (such as N x 2) as a `float32` array, whole or not at all.
pub fn write_npy_f32(path: impl AsRef<Path>, shape: &[usize], data: &[f32]) -> Result<(), DataError> {
    write(path.as_ref(), "<f4", shape, data.len(), |file| {
        data.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))
    })
}

fn write(
    path: &Path,
    descr: &str,
    shape: &[usize],
    len: usize,
    body: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), DataError> {
    check_len(&path.display().to_string(), shape, len)?;
    let sides: Vec<String> = shape.iter().map(ToString::to_string).collect();
    // A tuple of one element ends with a comma.
    let end = if shape.len() == 1 { "," } else { "" };
    let tuple = format!("({}{end})", sides.join(", "));
    let mut dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple}, }}");
    // Spaces and a line end bring the data to a multiple of 64 bytes, as the format asks.
    let unpadded = MAGIC.len() + 4 + dict.len() + 1;
    dict.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    dict.push('\n');
    let length = u16::try_from(dict.len()).map_err(|_| DataError::Shape {
        what: path.display().to_string(),
        shape: shape.to_vec(),
        wanted: "fewer dimensions and".into(),
        got: len,
    })?;
    atomic_write(path, |file| {
        file.write_all(MAGIC)?;
        file.write_all(&[1, 0])?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(dict.as_bytes())?;
        body(file)
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u8, dict: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([version, 0]);
        let length = dict.len() as u32;
        let width = if version == 1 { 2 } else { 4 };
        bytes.extend(&length.to_le_bytes()[..width]);
        bytes.extend(dict.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn dict(descr: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n")
    }

    fn error(dict: &str) -> String {
        parse_images(file(1, dict, &[0; 12]), Path::new("x.npy")).unwrap_err().to_string()
    }

    #[test]
    fn versions_and_ranks_are_read() {
        for version in 1..=3 {
            let bytes = file(version, &dict("|u1", "(2, 1, 2, 3)"), &[9; 12]);
            let data = parse_images(bytes, Path::new("a/cats.npy")).unwrap();
            assert_eq!(data.shape(), [2, 1, 2, 3]);
            assert_eq!((data.name.as_str(), data.images.len()), ("cats", 12));
        }
        let bytes = file(1, &dict("<u1", "(3L, 2L, 2L)"), &[9; 12]);
        assert_eq!(parse_images(bytes, Path::new("x")).unwrap().shape(), [3, 2, 2, 1]);
    }

    #[test]
    fn other_arrays_are_errors_with_the_fix() {
        let cases = [
            (dict("<f4", "(3, 2, 2)"), "astype(np.uint8)"),
            (dict("<i8", "(3, 2, 2)"), "dtype '<i8'"),
            (dict("|u1", "(1, 3, 2, 2)"), "transpose(0, 2, 3, 1)"),
            (dict("|u1", "(3, 1, 1, 4)"), "[..., :3]"),
            (dict("|u1", "(12,)"), "shape [12]"),
            (dict("|u1", "(0, 2, 2)"), "with images"),
            (dict("|u1", "(4, 2, 2)"), "12"),
            (dict("|u1", "(4000000000, 4000000000, 4000000000)"), "12"),
            (dict("|u1", "(99999999999999999999, 2, 2)"), "shape"),
            (dict("|u1", "(3, 2, 2)").replace("False", "True"), "ascontiguousarray"),
        ];
        for (dict, wanted) in cases {
            let text = error(&dict);
            assert!(text.contains("x.npy") && text.contains(wanted), "{dict} gave {text}");
        }
    }

    #[test]
    fn written_files_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let data: Vec<u8> = (0..24).collect();
        write_npy_u8(&path, &[2, 2, 2, 3], &data).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!((bytes.len() - 24) % 64, 0);
        let back = parse_images(bytes, &path).unwrap();
        assert_eq!((back.shape(), back.images), ([2, 2, 2, 3], data));

        write_npy_f32(&path, &[2], &[1.5, -2.0]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let header = parse_header(&bytes, &path).unwrap();
        assert_eq!((header.descr.as_str(), header.shape.as_slice()), ("<f4", &[2][..]));
        assert_eq!(bytes[header.data_at..], [0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0]);
    }

    #[test]
    fn wrong_shape_or_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let text = write_npy_u8(folder.path().join("a.npy"), &[5], &[0; 4]).unwrap_err().to_string();
        assert!(text.contains("a.npy") && text.contains("got 4"), "{text}");
        let absent = folder.path().join("absent/a.npy");
        let text = write_npy_f32(&absent, &[1], &[0.0]).unwrap_err().to_string();
        assert!(text.contains("absent") && text.contains("create the folder"), "{text}");
    }
}
