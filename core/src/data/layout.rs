//! Which images of a folder or archive are wanted, and what their folders mean.
//!
//! `class/x.png` gives classes; `train/class/x.png` and `test/class/x.png` give splits
//! with classes; anything flat has none. Pure functions on paths, so that folders and
//! archives follow the same rules.

use std::collections::BTreeSet;
use std::path::Path;

use super::{DataError, Split};

const TRAIN: [&str; 2] = ["train", "training"];
const TEST: [&str; 2] = ["test", "testing"];
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];

/// The wanted images and their classes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arranged {
    /// Indices into the given paths, in their order.
    pub keep: Vec<usize>,
    /// A class for each of `keep`, if every one lies in a class folder.
    pub labels: Option<Vec<u32>>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The first of `keep` in no class folder, if others are in one.
    pub outside: Option<String>,
}

/// Sorts out `paths` (folders and file name of each image, sorted).
///
/// A folder around everything is ignored where split folders follow; in an archive
/// (`archive`) also where class folders follow, since people pack the folder itself.
pub(super) fn arrange(
    paths: &[Vec<String>],
    split: Split,
    archive: bool,
    source: &Path,
) -> Result<Arranged, DataError> {
    let mut level = 0;
    while !has_splits(paths, level)
        && shares_folder(paths, level)
        && (has_splits(paths, level + 1) || (archive && shares_depth(paths, level + 3)))
    {
        level += 1;
    }
    let mut keep: Vec<usize> = (0..paths.len()).collect();
    if has_splits(paths, level) {
        let names = split_names(paths, level, split, source)?;
        keep.retain(|&i| paths[i].len() > level + 1 && is_one_of(&paths[i][level], names));
        level += 1;
    }
    let is_inside = |i: &&usize| paths[**i].len() > level + 1;
    if let Some(&first) = keep.iter().find(|i| !is_inside(i)) {
        let outside = keep.iter().find(is_inside).map(|_| paths[first].join("/"));
        return Ok(Arranged { keep, labels: None, classes: Vec::new(), outside });
    }
    let names: BTreeSet<&String> = keep.iter().map(|&i| &paths[i][level]).collect();
    let mut classes: Vec<String> = names.into_iter().cloned().collect();
    // 10 comes after 9, not after 1, when all names are numbers.
    if classes.iter().all(|name| name.parse::<u64>().is_ok()) {
        classes.sort_by_key(|name| (name.parse::<u64>().unwrap_or(0), name.clone()));
    }
    let index: std::collections::BTreeMap<&String, u32> = classes.iter().zip(0..).collect();
    let labels = keep.iter().map(|&i| index[&paths[i][level]]).collect();
    Ok(Arranged { keep, labels: Some(labels), classes, outside: None })
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Names of the folders at `level`.
fn folders(paths: &[Vec<String>], level: usize) -> BTreeSet<&str> {
    paths.iter().filter(|path| path.len() > level + 1).map(|path| path[level].as_str()).collect()
}

/// Whether all images lie in one and the same folder at `level`.
fn shares_folder(paths: &[Vec<String>], level: usize) -> bool {
    shares_depth(paths, level + 2) && folders(paths, level).len() == 1
}

/// Whether each path has at least `depth` parts.
fn shares_depth(paths: &[Vec<String>], depth: usize) -> bool {
    paths.iter().all(|path| path.len() >= depth)
}

/// Whether the folders at `level` are splits: training and another, or nothing else.
fn has_splits(paths: &[Vec<String>], level: usize) -> bool {
    let folders = folders(paths, level);
    let any = |names: &[&str]| folders.iter().any(|folder| is_one_of(folder, names));
    let known = |folder: &&str| [&TRAIN[..], &TEST, &VALIDATION].iter().any(|names| is_one_of(folder, names));
    let only_splits = !folders.is_empty() && folders.iter().all(known) && shares_depth(paths, level + 2);
    (any(&TRAIN) && (any(&TEST) || any(&VALIDATION))) || only_splits
}

/// Names of the folder of `split` at `level`, or an error that says what is there.
fn split_names(
    paths: &[Vec<String>],
    level: usize,
    split: Split,
    source: &Path,
) -> Result<&'static [&'static str], DataError> {
    let present = folders(paths, level);
    let choices: &[&'static [&'static str]] = match split {
        Split::Train => &[&TRAIN],
        Split::Test => &[&TEST, &VALIDATION],
    };
    let found = choices.iter().find(|names| present.iter().any(|folder| is_one_of(folder, names)));
    found.copied().ok_or_else(|| DataError::NotFound {
        path: source.to_path_buf(),
        wanted: format!("a folder \"{}\" with images", split.name()),
        got: format!("only {}", present.into_iter().collect::<Vec<_>>().join(", ")),
        fix: "add that folder, or ask for the other split".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(paths: &[&str], split: Split, archive: bool) -> Result<Arranged, String> {
        let paths: Vec<Vec<String>> = paths.iter().map(|path| path.split('/').map(str::to_owned).collect()).collect();
        arrange(&paths, split, archive, Path::new("set")).map_err(|e| e.to_string())
    }

    fn check(paths: &[&str], split: Split, archive: bool, keep: &[usize], labels: Option<&[u32]>, classes: &[&str]) {
        let got = run(paths, split, archive).unwrap();
        assert_eq!(got.keep, keep, "{paths:?}");
        assert_eq!(got.labels.as_deref(), labels, "{paths:?}");
        assert_eq!(got.classes, classes, "{paths:?}");
    }

    #[test]
    fn flat_folders_have_no_classes_and_folders_are_classes() {
        let (train, test) = (Split::Train, Split::Test);
        check(&["a.png", "b.png"], train, false, &[0, 1], None, &[]);
        let classes = ["cat/1.png", "cat/sub/2.png", "dog/1.png"];
        check(&classes, train, false, &[0, 1, 2], Some(&[0, 0, 1]), &["cat", "dog"]);
        // The split says nothing where there is none.
        check(&classes, test, true, &[0, 1, 2], Some(&[0, 0, 1]), &["cat", "dog"]);
        check(&["a.png", "cat/b.png"], train, false, &[0, 1], None, &[]);
        check(&["10/a.png", "2/a.png"], train, false, &[0, 1], Some(&[1, 0]), &["2", "10"]);
    }

    #[test]
    fn split_folders_choose_and_classes_follow() {
        let paths = ["readme.png", "Test/cat/1.png", "extra/x/1.png", "train/cat/1.png", "train/dog/1.png"];
        check(&paths, Split::Train, false, &[3, 4], Some(&[0, 1]), &["cat", "dog"]);
        check(&paths, Split::Test, true, &[1], Some(&[0]), &["cat"]);
        check(&["train/1.png", "val/2.png"], Split::Test, false, &[1], None, &[]);
        let text = run(&["train/cat/1.png"], Split::Test, true).unwrap_err();
        assert!(text.contains("set") && text.contains("\"test\"") && text.contains("only train"), "{text}");
    }

    #[test]
    fn folder_around_everything_is_ignored() {
        let splits = ["set/test/cat/1.png", "set/train/cat/1.png"];
        check(&splits, Split::Train, false, &[1], Some(&[0]), &["cat"]);
        let classes = ["set/cat/1.png", "set/dog/1.png"];
        check(&classes, Split::Train, true, &[0, 1], Some(&[0, 1]), &["cat", "dog"]);
        check(&classes, Split::Train, false, &[0, 1], Some(&[0, 0]), &["set"]);
    }
}
