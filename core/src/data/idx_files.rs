//! MNIST-style folders: which files hold images, which labels, and which belong together.
//!
//! Names vary (`train-images-idx3-ubyte`, `t10k-labels.idx1-ubyte.gz`, other prefixes);
//! they are compared without `.gz` and with dots and underscores read as dashes. What a
//! file holds is decided by its magic number.

use std::fs;
use std::path::{Path, PathBuf};

use super::dataset::numbered_classes;
use super::{DataError, Dataset, LoadOptions, Split, idx, pixels, read};

/// More unknown files than this are not opened one by one to look for IDX data.
const MAX_SNIFFED: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Images,
    Labels,
}

#[derive(Debug)]
struct Candidate {
    path: PathBuf,
    key: String,
    kind: Kind,
}

/// The name in lower case without `.gz`, with dashes for dots and underscores.
fn key_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.strip_suffix(".gz").unwrap_or(&name).replace(['.', '_'], "-")
}

fn split_of(key: &str) -> Option<Split> {
    let has = |words: &[&str]| words.iter().any(|word| key.contains(word));
    if has(&["t10k", "test", "valid"]) {
        Some(Split::Test)
    } else if has(&["train"]) {
        Some(Split::Train)
    } else {
        None
    }
}

/// What the name of an IDX file promises.
fn kind_by_name(key: &str) -> Option<Kind> {
    if !["ubyte", "idx3", "idx1", "idx"].iter().any(|end| key.ends_with(end)) {
        return None;
    }
    let has = |word| key.contains(word);
    if has("idx3") || has("images") {
        Some(Kind::Images)
    } else if has("idx1") || has("labels") {
        Some(Kind::Labels)
    } else {
        None
    }
}

fn kind_by_magic(path: &Path) -> Option<Kind> {
    match *read::open(path).ok()?.head.first_chunk::<4>()? {
        idx::IMAGES_MAGIC => Some(Kind::Images),
        idx::LABELS_MAGIC => Some(Kind::Labels),
        _ => None,
    }
}

/// IDX files in `folder`, sorted; by name, or by content if no name says so.
fn candidates(folder: &Path) -> Vec<Candidate> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort(); // a plain file before its gzipped twin
    let build = |path: &PathBuf, kind| Candidate { path: path.clone(), key: key_of(path), kind };
    let mut found: Vec<Candidate> =
        files.iter().filter_map(|path| kind_by_name(&key_of(path)).map(|kind| build(path, kind))).collect();
    if !found.iter().any(|c| c.kind == Kind::Images) && files.len() <= MAX_SNIFFED {
        found = files.iter().filter_map(|path| kind_by_magic(path).map(|kind| build(path, kind))).collect();
    }
    found.dedup_by(|b, a| a.key == b.key);
    found
}

/// Loads the IDX files of `folder` (or of its subfolder `raw`); `None` if there are none.
pub(super) fn load_folder(folder: &Path, options: &LoadOptions) -> Option<Result<Dataset, DataError>> {
    let raw = folder.join("raw"); // torchvision unpacks to there
    let found = [folder, &raw].into_iter().map(candidates).find(|found| !found.is_empty())?;
    Some(choose(folder, &found, options.split).and_then(|images| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        load_pair(&images.path, labels_of(images, &found), options).map(|mut data| {
            data.name = name.into_owned();
            data
        })
    }))
}

/// Loads one image file, with the labels beside it if there are any.
pub(super) fn load_file(path: &Path, options: &LoadOptions) -> Result<Dataset, DataError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let images = Candidate { path: path.to_path_buf(), key: key_of(path), kind: Kind::Images };
    let found = candidates(folder.unwrap_or(Path::new(".")));
    let labels = found.iter().find(|c| c.kind == Kind::Labels && labels_key(&images).as_ref() == Some(&c.key));
    load_pair(path, labels, options)
}

/// The image file of `split`; a lone one is taken for training whatever its name.
fn choose<'a>(folder: &Path, found: &'a [Candidate], split: Split) -> Result<&'a Candidate, DataError> {
    let images: Vec<&Candidate> = found.iter().filter(|c| c.kind == Kind::Images).collect();
    let of = |wanted: Option<Split>| {
        let of_split = images.iter().filter(|c| split_of(&c.key) == wanted);
        of_split.copied().collect::<Vec<_>>()
    };
    let mut choice = of(Some(split));
    if choice.is_empty() {
        choice = of(None);
    }
    if choice.is_empty() && images.len() == 1 && split == Split::Train {
        choice.clone_from(&images);
    }
    let names = |list: &[&Candidate]| {
        let names = list.iter().map(|c| c.path.file_name().unwrap_or_default().to_string_lossy());
        names.collect::<Vec<_>>().join(", ")
    };
    match choice.as_slice() {
        [one] => Ok(one),
        [] => Err(DataError::NotFound {
            path: folder.to_path_buf(),
            wanted: format!("IDX images of the split \"{}\"", split.name()),
            got: if images.is_empty() { "only labels".into() } else { format!("only {}", names(&images)) },
            fix: "add the file, or ask for the other split".into(),
        }),
        many => Err(DataError::Format {
            path: folder.to_path_buf(),
            wanted: format!("one file of IDX images for \"{}\"", split.name()),
            got: names(many),
            fix: "give the path of one of them".into(),
        }),
    }
}

/// The key that the labels of these images would have.
fn labels_key(images: &Candidate) -> Option<String> {
    let key = images.key.replace("images", "labels").replace("idx3", "idx1");
    (key != images.key).then_some(key)
}

/// The labels of `images`: by name, or the only ones beside the only images.
fn labels_of<'a>(images: &Candidate, found: &'a [Candidate]) -> Option<&'a Candidate> {
    let of = |kind| found.iter().filter(move |c| c.kind == kind);
    let wanted = labels_key(images);
    let by_name = of(Kind::Labels).find(|c| wanted.as_ref() == Some(&c.key));
    by_name.or_else(|| {
        let alone = of(Kind::Images).count() == 1 && of(Kind::Labels).count() == 1;
        of(Kind::Labels).next().filter(|_| alone)
    })
}

fn load_pair(images_path: &Path, labels: Option<&Candidate>, options: &LoadOptions) -> Result<Dataset, DataError> {
    let opened = read::open(images_path)?;
    let (size, [n, height, width]) = idx::images_size(&opened.head, images_path)?;
    pixels::check_bytes(images_path, [n, height, width, 1], options.max_bytes)?;
    // One byte more than wanted tells a longer file; the header is never trusted further.
    let images = idx::parse_images(opened.read_up_to(size + 1, "IDX images")?, images_path)?;
    let name = images_path.file_name().unwrap_or_default().to_string_lossy();
    let data = Dataset::new(name, images.pixels, [n, height, width, 1])?
        .with_origin(images_path.display().to_string(), "unknown (your own files)");
    let Some(Candidate { path: labels_path, .. }) = labels else {
        return Ok(data);
    };
    let opened = read::open(labels_path)?;
    let size = idx::labels_size(&opened.head, labels_path)?;
    let labels = idx::parse_labels(opened.read_up_to(size + 1, "IDX labels")?, labels_path)?;
    if labels.len() != n {
        return Err(DataError::LabelCount {
            images_path: images_path.to_path_buf(),
            images: n,
            labels_path: labels_path.clone(),
            labels: labels.len(),
        });
    }
    let labels: Vec<u32> = labels.into_iter().map(u32::from).collect();
    let classes = numbered_classes(&labels);
    data.with_labels(labels, classes)
}

#[cfg(test)]
#[path = "idx_files_tests.rs"]
mod tests;
