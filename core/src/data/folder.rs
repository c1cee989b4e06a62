//! A folder or zip archive of PNG and JPEG images.
//!
//! Invariant: the order of the images is the order of their paths, part by part, and so
//! the same on every system and for a folder and its archive. Reading is sequential,
//! decoding uses all cores, memory grows by what is kept.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use zip::ZipArchive;

use super::decode::{Decoded, decode, decoded_bytes};
use super::layout::arrange;
use super::{DataError, Dataset, LoadOptions, pixels, read};

/// Files read before they are decoded together, and bytes after which no other is read or decoded with them: enough
/// work for every core, in a memory that does not grow with what an archive says.
const CHUNK: usize = 256;
const CHUNK_BYTES: u64 = 128 << 20;
/// Largest image file, in bytes.
const MAX_FILE: u64 = 256 << 20;
/// Folders inside folders that are searched.
const MAX_DEPTH: usize = 32;

/// Endings of pictures in formats that are not read.
const UNREADABLE: [&str; 9] = ["webp", "bmp", "tif", "tiff", "gif", "avif", "heic", "heif", "jxl"];

/// Where an image's bytes are: a file, or an entry of an archive.
enum Place {
    File(PathBuf),
    Entry(usize),
}

/// Parts of the path below the root, and the place.
type Item = (Vec<String>, Place);

/// Loads all images in `folder` and its subfolders.
pub(super) fn load_folder(folder: &Path, options: &LoadOptions) -> Result<Dataset, DataError> {
    let mut walk = Walk::default();
    walk.visit(folder, &mut Vec::new())?;
    load_items(folder, walk.images, &walk.others, false, options, |place| {
        let Place::File(path) = place else { unreachable!("a walk finds files") };
        let bytes = read::open(path)?.read_all(MAX_FILE, "an image")?;
        Ok((path.clone(), bytes))
    })
}

/// Files that are not read.
#[derive(Default)]
struct Others {
    // A few names, for a message.
    names: Vec<String>,
    // Pictures among them: how many, and the first one's name.
    pictures: usize,
    picture: String,
}

impl Others {
    fn add(&mut self, parts: &[String]) {
        let name = parts.join("/");
        if has_ending(&name, &UNREADABLE) {
            if self.pictures == 0 {
                self.picture.clone_from(&name);
            }
            self.pictures += 1;
        }
        if self.names.len() < 3 {
            self.names.push(name);
        }
    }
}

/// Images and other files found so far.
#[derive(Default)]
struct Walk {
    images: Vec<Item>,
    others: Others,
    // Real paths: a link to a folder above must not be followed for ever.
    visited: BTreeSet<PathBuf>,
}

impl Walk {
    fn visit(&mut self, folder: &Path, parts: &mut Vec<String>) -> Result<(), DataError> {
        let fail = |got| read::read_error(folder, "a folder of images", got);
        let real = fs::canonicalize(folder).map_err(fail)?;
        if parts.len() > MAX_DEPTH || !self.visited.insert(real) {
            return Ok(());
        }
        let entries = fs::read_dir(folder).map_err(fail)?;
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>, _>>().map_err(fail)?;
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if is_hidden(&name) {
                continue;
            }
            parts.push(name.clone().into_owned());
            if path.is_dir() {
                self.visit(&path, parts)?;
            } else if is_image(&name) {
                self.images.push((parts.clone(), Place::File(path.clone())));
            } else {
                self.others.add(parts);
            }
            parts.pop();
        }
        Ok(())
    }
}

/// Loads all images in a zip archive.
pub(super) fn load_zip(path: &Path, options: &LoadOptions) -> Result<Dataset, DataError> {
    let fail = |inner: &str, error: zip::result::ZipError| DataError::Format {
        path: path.join(inner),
        wanted: "a zip archive of images".into(),
        got: format!("one that does not unpack (\"{error}\")"),
        fix: "get it again, or pack it anew with an ordinary zip program and no password".into(),
    };
    let file = File::open(path).map_err(|got| read::read_error(path, "a zip archive", got))?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|e| fail("", e))?;
    let (mut images, mut others) = (Vec::new(), Others::default());
    for i in 0..zip.len() {
        let entry = zip.by_index_data(i).map_err(|e| fail("", e))?;
        let name = String::from_utf8_lossy(entry.name_raw()).replace('\\', "/");
        let parts: Vec<String> =
            name.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect();
        if name.ends_with('/') || parts.iter().any(|part| is_hidden(part)) {
            continue;
        }
        if parts.last().is_some_and(|name| is_image(name)) {
            images.push((parts, Place::Entry(i)));
        } else {
            others.add(&parts);
        }
    }
    load_items(path, images, &others, true, options, |place| {
        let &Place::Entry(i) = place else { unreachable!("an archive has entries") };
        let name = zip.name_for_index(i).and_then(Result::ok);
        let name = name.map_or_else(|| format!("entry {i}"), std::borrow::Cow::into_owned);
        let entry = zip.by_index(i).map_err(|e| fail(&name, e))?;
        let inner = path.join(&name);
        let limit = read::unpacked_limit(entry.compressed_size()).min(MAX_FILE);
        let mut bytes = Vec::new();
        let mut limited = entry.take(limit + 1);
        limited.read_to_end(&mut bytes).map_err(|got| read::read_error(&inner, "an image", got))?;
        if bytes.len() as u64 > limit {
            return Err(DataError::TooLarge {
                path: inner,
                limit,
                what: "a larger file".into(),
                fix: "take a smaller image".into(),
            });
        }
        Ok((inner, bytes))
    })
}

/// Files that systems leave behind, and those that people hide.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name == "__MACOSX"
}

fn is_image(name: &str) -> bool {
    has_ending(name, &["png", "jpg", "jpeg"])
}

fn has_ending(name: &str, known: &[&str]) -> bool {
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    known.iter().any(|known| known.eq_ignore_ascii_case(end))
}

/// Reads, decodes and joins the wanted ones of `items`.
fn load_items(
    source: &Path,
    mut items: Vec<Item>,
    others: &Others,
    archive: bool,
    options: &LoadOptions,
    mut fetch: impl FnMut(&Place) -> Result<(PathBuf, Vec<u8>), DataError>,
) -> Result<Dataset, DataError> {
    // Without them, a part of the data would be trained on.
    if others.pictures > 0 {
        let files = if others.pictures == 1 { "file" } else { "files" };
        return Err(DataError::Format {
            path: source.join(&others.picture),
            wanted: "PNG or JPEG images".into(),
            got: format!("{} {files} of other formats, this one first", others.pictures),
            fix: "convert them to PNG or remove them".into(),
        });
    }
    if items.is_empty() {
        let got = match others.names.as_slice() {
            [] => "nothing".to_owned(),
            names => format!("only {}", names.join(", ")),
        };
        return Err(DataError::NotFound {
            path: source.to_path_buf(),
            wanted: "PNG or JPEG images (.png, .jpg, .jpeg), IDX files or CIFAR-10 batches".into(),
            got,
            fix: "give a folder or archive that holds images".into(),
        });
    }
    items.sort_by(|a, b| a.0.cmp(&b.0));
    let (paths, places): (Vec<_>, Vec<_>) = items.into_iter().unzip();
    let arranged = arrange(&paths, options.split, archive, source)?;
    let mut stack = Stack::new(source, arranged.keep.len(), options);
    let (mut files, mut size) = (Vec::new(), 0);
    for (done, &i) in arranged.keep.iter().enumerate() {
        let (path, bytes) = fetch(&places[i])?;
        size += bytes.len() as u64 + decoded_bytes(&bytes);
        files.push((path, bytes));
        if files.len() < CHUNK && size < CHUNK_BYTES && done + 1 < arranged.keep.len() {
            continue;
        }
        // Collected before it is looked through, so that the first error in order wins.
        let decoded: Vec<_> = files.par_iter().map(|(path, bytes)| decode(bytes, path, options)).collect();
        for (image, (path, _)) in decoded.into_iter().zip(files) {
            stack.push(image?, path)?;
        }
        (files, size) = (Vec::new(), 0);
    }
    let name = source.file_stem().unwrap_or_default().to_string_lossy();
    let data = stack.finish(name.into_owned())?.with_origin(source.display().to_string(), "unknown (your own files)");
    match arranged.labels {
        Some(labels) => data.with_labels(labels, arranged.classes),
        None => Ok(Dataset { outside: arranged.outside, ..data }),
    }
}

/// Images of one size on top of each other; gray until the first colour comes.
struct Stack<'a> {
    source: &'a Path,
    options: &'a LoadOptions,
    expected: usize,
    pixels: Vec<u8>,
    n: usize,
    channels: usize,
    first: Option<(PathBuf, (usize, usize))>,
}

impl<'a> Stack<'a> {
    fn new(source: &'a Path, expected: usize, options: &'a LoadOptions) -> Self {
        Self { source, options, expected, pixels: Vec::new(), n: 0, channels: 1, first: None }
    }

    fn push(&mut self, image: Decoded, path: PathBuf) -> Result<(), DataError> {
        let grows = image.channels > self.channels;
        let channels = self.channels.max(image.channels);
        let (first, size) = self.first.get_or_insert_with(|| (path.clone(), image.size));
        if *size != image.size {
            return Err(DataError::MixedSizes {
                first: first.clone(),
                first_size: *size,
                second: path,
                second_size: image.size,
            });
        }
        if self.n == 0 || grows {
            let shape = [self.expected, size.1, size.0, channels];
            pixels::check_bytes(self.source, shape, self.options.max_bytes)?;
            let gray = std::mem::take(&mut self.pixels);
            self.pixels = pixels::convert_channels(gray, self.channels, channels);
            self.channels = channels;
        }
        let bytes = pixels::convert_channels(image.pixels, image.channels, channels);
        self.pixels.extend_from_slice(&bytes);
        self.n += 1;
        Ok(())
    }

    fn finish(self, name: String) -> Result<Dataset, DataError> {
        let (width, height) = self.first.map_or((0, 0), |(_, size)| size);
        Dataset::new(name, self.pixels, [self.n, height, width, self.channels])
    }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
