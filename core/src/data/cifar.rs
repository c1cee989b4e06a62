//! CIFAR-10 in its binary version: a folder of batches, one batch, or the archive.
//!
//! A batch is a sequence of records of 3073 bytes: the class, then 32x32 pixels of red,
//! of green and of blue (Krizhevsky 2009). `data_batch_*.bin` are for training,
//! `test_batch.bin` for testing. Invariant: the batches are joined in the order of their
//! names, whatever their order in the folder or the archive.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::read::{self, Opened};
use super::{DataError, Dataset, LoadOptions, Split};

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const RECORD: usize = 1 + 3 * PLANE;
const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// The split that a file of this name belongs to, if it is a batch.
pub(super) fn split_of(name: &str) -> Option<Split> {
    match name.strip_suffix(".bin")? {
        "test_batch" => Some(Split::Test),
        stem if stem.starts_with("data_batch") => Some(Split::Train),
        _ => None,
    }
}

/// The batches of `split` in `folder`, or of the folder that the archive unpacks to
/// inside it; `None` if there are no batches at all.
pub(super) fn find_batches(folder: &Path, split: Split) -> Option<Result<Vec<PathBuf>, DataError>> {
    let unpacked = folder.join("cifar-10-batches-bin");
    let home = [folder.to_path_buf(), unpacked].into_iter().find(|home| !batches_in(home, None).is_empty())?;
    let batches = batches_in(&home, Some(split));
    if batches.is_empty() {
        return Some(Err(no_batches(&home, split, "only the other split")));
    }
    Some(Ok(batches))
}

fn batches_in(folder: &Path, split: Option<Split>) -> Vec<PathBuf> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut batches: Vec<PathBuf> = names
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            split_of(&name).is_some_and(|found| split.is_none_or(|wanted| wanted == found))
        })
        .collect();
    batches.sort();
    batches
}

fn no_batches(path: &Path, split: Split, got: &str) -> DataError {
    let (wanted, other) = match split {
        Split::Train => ("data_batch_*.bin", "test"),
        Split::Test => ("test_batch.bin", "train"),
    };
    DataError::NotFound {
        path: path.to_path_buf(),
        wanted: format!("CIFAR-10's {wanted}"),
        got: got.to_owned(),
        fix: format!("add the missing files, or ask for the split \"{other}\""),
    }
}

/// Loads batches from files.
pub(super) fn load_batches(source: &Path, batches: &[PathBuf], options: &LoadOptions) -> Result<Dataset, DataError> {
    let mut records = Records::default();
    for path in batches {
        let bytes = read::open(path)?.read_all(options.max_bytes, "a CIFAR-10 batch")?;
        records.append(&bytes, path, options)?;
    }
    records.finish(source)
}

/// Loads the batches of a tar archive, packed or not.
pub(super) fn load_tar(archive: Opened, options: &LoadOptions) -> Result<Dataset, DataError> {
    let path = archive.path.clone();
    let fail = |got| read::read_error(&path, "an archive with CIFAR-10's binary version", got);
    let mut batches: Vec<(String, Vec<u8>)> = Vec::new();
    let mut others: Vec<String> = Vec::new();
    let mut total = 0u64;
    let mut tar = tar::Archive::new(archive.reader);
    for entry in tar.entries().map_err(fail)? {
        let mut entry = entry.map_err(fail)?;
        let inner = entry.path().map_err(fail)?.to_string_lossy().into_owned();
        let name = inner.rsplit('/').next().unwrap_or_default();
        match split_of(name) {
            Some(split) if split == options.split => {
                // What such an entry leaves out is made up of zeros, any number of them.
                if entry.header().entry_type().is_gnu_sparse() {
                    return Err(DataError::Format {
                        path: path.join(inner),
                        wanted: "a CIFAR-10 batch".into(),
                        got: "a sparse file".into(),
                        fix: "get the archive again, or pack it anew without --sparse".into(),
                    });
                }
                let size = entry.size();
                total = total.saturating_add(size);
                if total > options.max_bytes {
                    return Err(too_large(&path, options, total));
                }
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(fail)?;
                if bytes.len() as u64 != size {
                    return Err(fail(std::io::ErrorKind::UnexpectedEof.into()));
                }
                batches.push((inner, bytes));
            }
            // A handful of names is enough for a message.
            _ if others.len() < 4 => others.push(inner),
            _ => {}
        }
    }
    if batches.is_empty() {
        if others.iter().any(|name| name.ends_with("data_batch_1")) {
            return Err(DataError::Format {
                path: path.clone(),
                wanted: "CIFAR-10's binary version".into(),
                got: "its Python version".into(),
                fix: "take cifar-10-binary.tar.gz from the same page".into(),
            });
        }
        let got = match others.as_slice() {
            [] => "nothing".to_owned(),
            names => format!("only files such as {}", names.join(", ")),
        };
        return Err(no_batches(&path, options.split, &got));
    }
    batches.sort_by(|a, b| a.0.cmp(&b.0));
    let mut records = Records::default();
    for (inner, bytes) in &batches {
        records.append(bytes, &path.join(inner), options)?;
    }
    records.finish(&path)
}

fn too_large(path: &Path, options: &LoadOptions, bytes: u64) -> DataError {
    DataError::TooLarge {
        path: path.to_path_buf(),
        limit: options.max_bytes,
        what: format!("batches of {bytes} bytes"),
        fix: "take fewer batches".into(),
    }
}

/// Images and labels gathered so far.
#[derive(Default)]
struct Records {
    pixels: Vec<u8>,
    labels: Vec<u32>,
}

impl Records {
    /// Adds a batch, with the pixels turned from planes to rows of RGB.
    fn append(&mut self, bytes: &[u8], path: &Path, options: &LoadOptions) -> Result<(), DataError> {
        let wanted = || format!("CIFAR-10 records of {RECORD} bytes with a class from 0 to 9");
        let format = |got: String, fix: &str| DataError::Format {
            path: path.to_path_buf(),
            wanted: wanted(),
            got,
            fix: fix.to_owned(),
        };
        if bytes.is_empty() || !bytes.len().is_multiple_of(RECORD) {
            let got = format!("{} bytes, {} more than whole records", bytes.len(), bytes.len() % RECORD);
            return Err(format(got, "the file is empty, cut short or not CIFAR-10; get it again"));
        }
        let total = self.pixels.len() as u64 + bytes.len() as u64;
        if total > options.max_bytes {
            return Err(too_large(path, options, total));
        }
        for record in bytes.chunks_exact(RECORD) {
            let (label, planes) = (record[0], &record[1..]);
            if label as usize >= CLASSES.len() {
                let got = format!("class {label} in record {}", self.labels.len());
                return Err(format(got, "the file is damaged or of another data set; get CIFAR-10 again"));
            }
            self.labels.push(label as u32);
            let pixel = |i| [planes[i], planes[PLANE + i], planes[2 * PLANE + i]];
            self.pixels.extend((0..PLANE).flat_map(pixel));
        }
        Ok(())
    }

    fn finish(self, source: &Path) -> Result<Dataset, DataError> {
        let shape = [self.labels.len(), SIDE, SIDE, 3];
        let classes = CLASSES.map(str::to_owned).to_vec();
        let data = Dataset::new("cifar10", self.pixels, shape)?.with_labels(self.labels, classes)?;
        Ok(data.with_origin(source.display().to_string(), "none stated; cite Krizhevsky 2009"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A batch of `n` records: the class counts up from `first`, red is the row, green
    /// the column, blue the class.
    pub(crate) fn batch(first: u8, n: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        for class in first..first + n {
            bytes.push(class);
            bytes.extend((0..PLANE).map(|i| (i / SIDE) as u8));
            bytes.extend((0..PLANE).map(|i| (i % SIDE) as u8));
            bytes.extend([class; PLANE]);
        }
        bytes
    }

    /// A gzipped tar with the batches out of order, as in the official file.
    pub(crate) fn archive() -> Vec<u8> {
        let gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(gz);
        for (name, bytes) in [
            ("data_batch_2.bin", batch(2, 1)),
            ("readme.html", b"x".to_vec()),
            ("data_batch_1.bin", batch(0, 2)),
            ("test_batch.bin", batch(9, 1)),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append_data(&mut header, format!("cifar-10-batches-bin/{name}"), &bytes[..]).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    fn load_bytes(bytes: &[u8], options: &LoadOptions) -> Result<Dataset, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cifar.tar.gz");
        fs::write(&path, bytes).unwrap();
        super::super::load_path(&path, options)
    }

    fn check_train(data: &Dataset) {
        assert_eq!(data.shape(), [3, 32, 32, 3]);
        assert_eq!(data.labels, Some(vec![0, 1, 2]));
        // Row 5, column 7 of image 2.
        assert_eq!(data.image(2)[(5 * 32 + 7) * 3..][..3], [5, 7, 2]);
        assert_eq!(data.classes[2], "bird");
    }

    #[test]
    fn archive_gives_batches_in_the_order_of_their_names() {
        let options = LoadOptions::default();
        check_train(&load_bytes(&archive(), &options).unwrap());
        let test = LoadOptions { split: Split::Test, ..options };
        assert_eq!(load_bytes(&archive(), &test).unwrap().labels, Some(vec![9]));
    }

    #[test]
    fn folder_of_batches_and_its_parent_load() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("cifar-10-batches-bin");
        fs::create_dir(&home).unwrap();
        fs::write(home.join("data_batch_1.bin"), batch(0, 2)).unwrap();
        fs::write(home.join("data_batch_2.bin"), batch(2, 1)).unwrap();
        let options = LoadOptions::default();
        check_train(&super::super::load_path(&home, &options).unwrap());
        check_train(&super::super::load_path(folder.path(), &options).unwrap());
        let test = LoadOptions { split: Split::Test, ..options };
        let text = super::super::load_path(&home, &test).unwrap_err().to_string();
        assert!(text.contains("test_batch.bin"), "{text}");
    }

    #[test]
    fn damaged_archives_and_batches_are_errors_that_name_the_file() {
        let options = LoadOptions::default();
        let whole = archive();
        let text = load_bytes(&whole[..whole.len() / 2], &options).unwrap_err().to_string();
        assert!(text.contains("cifar.tar.gz"), "{text}");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data_batch_1.bin");
        for (bytes, wanted) in [(batch(0, 1)[..3000].to_vec(), "3000"), (batch(77, 1), "class 77"), (vec![], "empty")] {
            fs::write(&path, bytes).unwrap();
            let text = super::super::load_path(folder.path(), &options).unwrap_err().to_string();
            assert!(text.contains("data_batch_1.bin") && text.contains(wanted), "{text}");
        }
    }

    /// It was filled up with 4 GB of zeros, which were trained on.
    #[test]
    fn sparse_entry_of_zeros_is_refused() {
        let mut header = tar::Header::new_gnu();
        header.set_path("data_batch_1.bin").unwrap();
        header.set_entry_type(tar::EntryType::GNUSparse);
        header.set_mode(0o644);
        header.set_size(0);
        // Whole records, below the limit.
        let zeros: u64 = 1_397_646 * RECORD as u64;
        let sparse = header.as_gnu_mut().unwrap();
        sparse.sparse[0].set_offset(zeros);
        sparse.sparse[0].set_length(0);
        sparse.set_real_size(zeros);
        header.set_cksum();
        let mut tar = tar::Builder::new(Vec::new());
        tar.append(&header, &[][..]).unwrap();
        let text = load_bytes(&tar.into_inner().unwrap(), &LoadOptions::default()).unwrap_err().to_string();
        assert!(text.contains("data_batch_1.bin") && text.contains("sparse"), "{text}");
    }

    #[test]
    fn limit_on_memory_holds() {
        let options = LoadOptions { max_bytes: 5000, ..LoadOptions::default() };
        assert!(matches!(load_bytes(&archive(), &options), Err(DataError::TooLarge { .. })));
    }
}
