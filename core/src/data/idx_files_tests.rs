//! Tests of MNIST-style folders.

use super::super::load_path;
use super::*;

/// `n` images of 2x3 with pixels counting up, as an IDX file.
fn images(n: usize) -> Vec<u8> {
    let pixels: Vec<u8> = (0..n * 6).map(|i| i as u8).collect();
    let mut bytes = Vec::new();
    idx::write_images(&mut bytes, &pixels, [n, 2, 3]).unwrap();
    bytes
}

fn labels(n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let labels: Vec<u8> = (0..n).map(|i| (i % 3) as u8).collect();
    idx::write_labels(&mut bytes, &labels).unwrap();
    bytes
}

fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn load(files: &[(&str, Vec<u8>)], split: Split) -> Result<Dataset, String> {
    let options = LoadOptions { split, ..LoadOptions::default() };
    load_path(folder(files).path(), &options).map_err(|e| e.to_string())
}

#[test]
fn splits_names_and_gzip_are_understood() {
    let files = [
        ("train-images-idx3-ubyte.gz", read::gzip(&images(5))),
        ("train-labels-idx1-ubyte.gz", read::gzip(&labels(5))),
        ("t10k-images.idx3-ubyte", images(2)),
        ("t10k-labels.idx1-ubyte", read::gzip(&labels(2))), // packed without saying so
        ("train-images-idx3-ubyte", images(5)),             // twin of the first
    ];
    let train = load(&files, Split::Train).unwrap();
    assert_eq!(train.shape(), [5, 2, 3, 1]);
    assert_eq!(train.labels, Some(vec![0, 1, 2, 0, 1]));
    assert_eq!(train.classes, ["0", "1", "2"]);
    assert_eq!(train.image(1), [6, 7, 8, 9, 10, 11]);
    let test = load(&files, Split::Test).unwrap();
    assert_eq!((test.n, test.labels), (2, Some(vec![0, 1])));
}

#[test]
fn any_prefix_no_labels_and_unknown_names_load() {
    let data = load(&[("digits-images-idx3-ubyte", images(3))], Split::Test).unwrap();
    assert_eq!((data.n, data.labels), (3, None));
    let only_test = [("t10k-images-idx3-ubyte", images(2))];
    assert_eq!(load(&only_test, Split::Train).unwrap().n, 2);
    let odd = [("pictures.dat", images(4)), ("answers.dat", labels(4))];
    assert!(load(&odd, Split::Train).unwrap().labels.is_some());
}

#[test]
fn single_file_finds_its_labels() {
    let folder = folder(&[
        ("train-images-idx3-ubyte", images(4)),
        ("train-labels-idx1-ubyte.gz", read::gzip(&labels(4))),
        ("t10k-labels-idx1-ubyte", labels(9)),
    ]);
    let path = folder.path().join("train-images-idx3-ubyte");
    let data = load_path(&path, &LoadOptions::default()).unwrap();
    assert_eq!(data.labels.unwrap().len(), 4);
    let path = folder.path().join("t10k-labels-idx1-ubyte");
    let text = load_path(&path, &LoadOptions::default()).unwrap_err().to_string();
    assert!(text.contains("t10k-labels") && text.contains("labels"), "{text}");
}

#[test]
fn raw_subfolder_is_searched() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("raw")).unwrap();
    fs::write(folder.path().join("raw/train-images-idx3-ubyte"), images(2)).unwrap();
    assert_eq!(load_path(folder.path(), &LoadOptions::default()).unwrap().n, 2);
}

#[test]
fn broken_sets_are_errors_that_name_file_and_fix() {
    type Case<'a> = (&'a [(&'a str, Vec<u8>)], Split, &'a [&'a str]);
    let good = || ("train-images-idx3-ubyte", images(3));
    let cases: [Case<'_>; 8] = [
        (
            &[good(), ("train-labels-idx1-ubyte", labels(2))],
            Split::Train,
            &["train-labels", "wanted 3", "got 2", "same split"],
        ),
        (&[("train-images-idx3-ubyte", labels(3))], Split::Train, &["train-images", "misnamed"]),
        (&[("train-images-idx3-ubyte", b"<html>404".to_vec())], Split::Train, &["train-images", "magic", "3c"]),
        (
            &[("train-images-idx3-ubyte", images(3)[..20].to_vec())],
            Split::Train,
            &["train-images", "34", "20", "cut short"],
        ),
        (
            &[("train-images-idx3-ubyte.gz", {
                let packed = read::gzip(&images(300));
                packed[..packed.len() - 9].to_vec()
            })],
            Split::Train,
            &["train-images", "cut short"],
        ),
        (&[good(), ("train-labels-idx1-ubyte", vec![])], Split::Train, &["train-labels", "0 bytes"]),
        (&[good()], Split::Test, &["test", "train-images-idx3-ubyte"]),
        (&[good(), ("train-b-images-idx3-ubyte", images(1))], Split::Train, &["train-b-images", "one of them"]),
    ];
    for (files, split, wanted) in cases {
        let text = load(files, split).unwrap_err();
        for word in wanted {
            assert!(text.contains(word), "\"{word}\" is not in: {text}");
        }
    }
}

#[test]
fn header_that_claims_a_huge_file_is_an_error() {
    for packed in [false, true] {
        let mut bytes = images(3);
        bytes[4] = 0x03; // 50 million images: within the limit, but not there
        let bytes = if packed { read::gzip(&bytes) } else { bytes };
        let text = load(&[("train-images-idx3-ubyte", bytes)], Split::Train).unwrap_err();
        assert!(text.contains("cut short"), "{text}");
        let mut bytes = images(3);
        bytes[4] = 0xff;
        bytes[10] = 0x3f; // beyond the limit
        let bytes = if packed { read::gzip(&bytes) } else { bytes };
        let text = load(&[("train-images-idx3-ubyte", bytes)], Split::Train).unwrap_err();
        assert!(text.contains("at most"), "{text}");
    }
}
