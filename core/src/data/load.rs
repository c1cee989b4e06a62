//! From what a user typed to a data set: a known name, a folder or a file.
//!
//! Formats are told apart by content: the first bytes of a file, the kinds of files in a
//! folder.

use std::ops::ControlFlow;
use std::path::Path;

use super::download::{self, DownloadOptions, Progress};
use super::official::Official;
use super::{
    DataError, Dataset, Density, LoadOptions, Split, cifar, embedded, folder, idx, idx_files, npy, npy_header, pixels,
    read,
};

/// Loads `spec`, a name or a path, without showing the progress of a download.
///
/// Names are `mnist-10k` (built in), `mnist`, `fashion-mnist` and `cifar10` (downloaded
/// once); a name wins over a file called so, which can be given as `./mnist`. Paths lead
/// to a folder or zip of images, MNIST-style IDX files, CIFAR-10 batches, or a `.npy`.
pub fn load(spec: &str, options: &LoadOptions) -> Result<Dataset, DataError> {
    load_with_progress(spec, options, &mut |_| ControlFlow::Continue(()))
}

/// Like [`load`]; `progress` is called during a download and may stop it.
pub fn load_with_progress(
    spec: &str,
    options: &LoadOptions,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Dataset, DataError> {
    options.check()?;
    if spec == embedded::NAME {
        if options.split == Split::Test {
            return Err(DataError::NotFound {
                path: spec.into(),
                wanted: "the split \"test\"".into(),
                got: "training images only".into(),
                fix: "ask for \"train\", or load mnist".into(),
            });
        }
        return pixels::apply(embedded::embedded_mnist(), options);
    }
    match Official::parse(spec) {
        Some(set) => {
            let path = download::fetch(set, &DownloadOptions::from_env()?, progress)?;
            load_path(&path, options).map(|data| set.label(data))
        }
        None => load_path(Path::new(spec), options),
    }
}

/// Loads a folder or file, whatever its name.
pub fn load_path(path: &Path, options: &LoadOptions) -> Result<Dataset, DataError> {
    options.check()?;
    if !path.exists() {
        let sets = Official::ALL.iter().map(|set| set.name());
        let names: Vec<&str> = sets.chain(Density::ALL.iter().map(|density| density.name())).collect();
        return Err(DataError::NotFound {
            path: path.to_path_buf(),
            wanted: "a data set".into(),
            got: "nothing".into(),
            fix: format!("check the path, or use one of the names {}, {}", embedded::NAME, names.join(", ")),
        });
    }
    let data = if path.is_dir() { load_folder(path, options) } else { load_file(path, options) }?;
    pixels::apply(data, options)
}

fn load_folder(path: &Path, options: &LoadOptions) -> Result<Dataset, DataError> {
    if let Some(batches) = cifar::find_batches(path, options.split) {
        return cifar::load_batches(path, &batches?, options);
    }
    match idx_files::load_folder(path, options) {
        Some(data) => data,
        None => folder::load_folder(path, options),
    }
}

fn load_file(path: &Path, options: &LoadOptions) -> Result<Dataset, DataError> {
    let opened = read::open(path)?;
    let head = opened.head.as_slice();
    let refuse = |got: &str, fix: &str| {
        Err(DataError::Format {
            path: path.to_path_buf(),
            wanted: "a data set: IDX, CIFAR-10, .npy, or a folder or zip of images".into(),
            got: got.to_owned(),
            fix: fix.to_owned(),
        })
    };
    let is_tar = head.get(257..262) == Some(b"ustar");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match head {
        [] => refuse("an empty file", "get it again"),
        _ if head.starts_with(&idx::IMAGES_MAGIC) => idx_files::load_file(path, options),
        _ if head.starts_with(&idx::LABELS_MAGIC) => {
            refuse("IDX labels", "give the file of the images; its labels are found beside it")
        }
        _ if head.starts_with(npy_header::MAGIC) => {
            let size = npy::images_size(head, path, options)?;
            // One byte more than wanted tells a longer file.
            npy::parse_images(opened.read_up_to(size + 1, "a NumPy array")?, path)
        }
        [b'P', b'K', 3 | 5, 4 | 6, ..] if opened.length.is_some() => folder::load_zip(path, options),
        _ if is_tar => cifar::load_tar(opened, options),
        _ if cifar::split_of(&name).is_some() => cifar::load_batches(path, &[path.to_path_buf()], options),
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, 0xff, ..] => {
            refuse("a single image", "give the folder that holds your images")
        }
        [0x1f, 0x8b, ..] => refuse("a file gzipped twice", "unpack it once"),
        _ if is_text(head) => refuse("a file of text", "convert it to one of these formats"),
        _ => {
            let start = &head[..head.len().min(8)];
            refuse(&format!("a file that begins with {start:02x?}"), "convert it to one of these formats")
        }
    }
}

/// Whether a file begins as text does, in UTF-8.
pub(super) fn is_text(head: &[u8]) -> bool {
    let whole = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character that is cut off at the end.
        Err(error) if error.error_len().is_none() => return is_text(&head[..error.valid_up_to()]),
        Err(_) => return false,
    };
    whole.chars().all(|c| !c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(name: &str, bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let text = load_path(&path, &LoadOptions::default()).unwrap_err().to_string();
        assert!(text.contains(name), "{text}");
        text
    }

    #[test]
    fn unknown_names_and_files_are_explained() {
        let text = load("mnits", &LoadOptions::default()).unwrap_err().to_string();
        assert!(text.contains("mnits") && text.contains("fashion-mnist") && text.contains("mnist-10k"), "{text}");
        assert!(error("a", b"").contains("empty"));
        assert!(error("a.txt", b"hello world").contains("a file of text"));
        assert!(error("bom.txt", "\u{feff}Größe: 28\r\n".as_bytes()).contains("a file of text"));
        // Two bytes each, from the second byte on: a part of the file ends within one.
        assert!(error("long.txt", format!("x{}", "ä".repeat(2000)).as_bytes()).contains("a file of text"));
        assert!(error("a.bin", b"\x01\x02hello").contains("begins with [01, 02"));
        assert!(error("a.png", b"\x89PNG\r\n\x1a\n").contains("folder"));
        assert!(error("a.gz", &read::gzip(&read::gzip(b"x"))).contains("twice"));
        assert!(error("labels", b"\0\0\x08\x01\0\0\0\0").contains("labels"));
        assert!(error("half.gz", &read::gzip(b"x")[..8]).contains("half.gz"));
    }

    #[test]
    fn npy_files_load_with_options_applied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cats.npy");
        super::super::write_npy_u8(&path, &[3, 4, 6, 3], &[5; 216]).unwrap();
        let mut options = LoadOptions::default();
        let data = load(path.to_str().unwrap(), &options).unwrap();
        assert_eq!((data.name.as_str(), data.shape()), ("cats", [3, 4, 6, 3]));
        options.resize = Some((2, 2));
        options.channels = Some(1);
        let data = load_path(&path, &options).unwrap();
        assert_eq!((data.shape(), data.images), ([3, 2, 2, 1], vec![5; 12]));
        options.channels = Some(4);
        assert!(load_path(&path, &options).is_err());
    }

    #[test]
    fn built_in_set_follows_the_options() {
        let mut options = LoadOptions { resize: Some((14, 14)), ..LoadOptions::default() };
        let data = load("mnist-10k", &options).unwrap();
        assert_eq!(data.shape(), [10_000, 14, 14, 1]);
        options.split = Split::Test;
        let text = load("mnist-10k", &options).unwrap_err().to_string();
        assert!(text.contains("mnist-10k") && text.contains("test"), "{text}");
    }
}
