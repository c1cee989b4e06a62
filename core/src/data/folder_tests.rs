//! Tests of folders and archives of images.

use std::io::Write;

use image::ExtendedColorType::{L8, Rgb8};
use image::ImageFormat::{Jpeg, Png};

use super::super::decode::tests::flat;
use super::super::{Split, load_path};
use super::*;

fn gray(value: u8) -> Vec<u8> {
    flat(Png, L8, &[value], 4, 4)
}

type Files = Vec<(&'static str, Vec<u8>)>;

fn in_folder(files: &Files) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

fn in_zip(files: &Files) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.zip");
    let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
    for (name, bytes) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    (folder, path)
}

/// The same from a folder and from an archive, which must agree.
fn both(files: Files, options: &LoadOptions) -> Result<Dataset, String> {
    let folder = in_folder(&files);
    let from_folder = load_path(folder.path(), options);
    // Not in alphabetical order inside the archive.
    let (_keep, path) = in_zip(&files.into_iter().rev().collect());
    let from_zip = load_path(&path, options);
    if let (Ok(a), Ok(b)) = (&from_folder, &from_zip) {
        assert_eq!((&a.images, &a.labels, &a.classes), (&b.images, &b.labels, &b.classes));
    }
    assert_eq!(from_folder.is_ok(), from_zip.is_ok());
    from_folder.map_err(|e| e.to_string())
}

#[test]
fn classes_order_and_stray_files() {
    let data = both(
        vec![
            ("b/1.png", gray(3)),
            ("a/2.PNG", gray(2)),
            ("a/1.jpeg", flat(Jpeg, L8, &[1], 4, 4)),
            ("a/notes.txt", b"hello".to_vec()),
            (".hidden/x.png", b"not an image".to_vec()),
            ("__MACOSX/a/1.png", b"not an image".to_vec()),
        ],
        &LoadOptions::default(),
    )
    .unwrap();
    assert_eq!(data.shape(), [3, 4, 4, 1]);
    assert_eq!(data.labels, Some(vec![0, 0, 1]));
    assert_eq!(data.classes, ["a", "b"]);
    assert!(data.image(0)[0].abs_diff(1) <= 1);
    assert_eq!((data.image(1)[0], data.image(2)[0]), (2, 3));
}

/// Of a folder of 50 PNG and 5,000 WebP files, 50 images were trained on, without a word.
#[test]
fn pictures_of_other_formats_are_counted_and_refused() {
    let files = vec![("a/1.png", gray(1)), ("a/2.webp", b"RIFF".to_vec()), ("b/3.TIF", b"II*".to_vec())];
    let text = both(files, &LoadOptions::default()).unwrap_err();
    for word in ["a/2.webp", "2 files", "convert"] {
        assert!(text.contains(word), "\"{word}\" is not in: {text}");
    }
    let text = both(vec![("1.png", gray(1)), ("2.gif", b"GIF89a".to_vec())], &LoadOptions::default()).unwrap_err();
    assert!(text.contains("2.gif") && text.contains("1 file of"), "{text}");
}

/// One picture beside the folders of classes took all labels away, and nothing said which.
#[test]
fn image_outside_the_class_folders_is_named() {
    let files = vec![("cat/1.png", gray(1)), ("dog/2.png", gray(2)), ("preview.png", gray(3))];
    let data = both(files, &LoadOptions::default()).unwrap();
    assert_eq!((data.n, data.labels, data.outside.as_deref()), (3, None, Some("preview.png")));
    let flat = both(vec![("1.png", gray(1))], &LoadOptions::default()).unwrap();
    assert_eq!(flat.outside, None);
}

#[test]
fn splits_are_chosen() {
    let files =
        || -> Files { vec![("train/cat/1.png", gray(1)), ("train/dog/1.png", gray(2)), ("test/cat/1.png", gray(3))] };
    let mut options = LoadOptions::default();
    let train = both(files(), &options).unwrap();
    assert_eq!((train.n, train.labels), (2, Some(vec![0, 1])));
    options.split = Split::Test;
    let test = both(files(), &options).unwrap();
    assert_eq!((test.n, test.images[0]), (1, 3));
}

#[test]
fn gray_turns_to_rgb_at_the_first_colour() {
    let files =
        || -> Files { vec![("1.png", gray(9)), ("2.png", flat(Png, Rgb8, &[1, 2, 3], 4, 4)), ("3.png", gray(8))] };
    let mut options = LoadOptions::default();
    let data = both(files(), &options).unwrap();
    assert_eq!((data.channels, data.labels.as_ref()), (3, None));
    assert_eq!(data.image(0)[..3], [9, 9, 9]);
    assert_eq!(data.image(1)[..3], [1, 2, 3]);
    assert_eq!(data.image(2)[..3], [8, 8, 8]);
    options.channels = Some(1);
    assert_eq!(both(files(), &options).unwrap().image(1)[0], 2);
}

#[test]
fn mixed_sizes_need_resize() {
    let files = || -> Files {
        vec![("1.png", gray(9)), ("2.png", flat(Png, L8, &[9], 6, 4)), ("3.png", flat(Png, L8, &[9], 7, 7))]
    };
    let mut options = LoadOptions::default();
    let text = both(files(), &options).unwrap_err();
    for word in ["1.png", "4x4", "2.png", "6x4", "--resize 4"] {
        assert!(text.contains(word), "\"{word}\" is not in: {text}");
    }
    options.resize = Some((5, 3));
    let data = both(files(), &options).unwrap();
    assert_eq!(data.shape(), [3, 3, 5, 1]);
    assert_eq!(data.images, vec![9; 45]);
}

#[test]
fn empty_damaged_and_foreign_are_errors_that_name_the_file() {
    let options = LoadOptions::default();
    let text = both(vec![("a.txt", b"x".to_vec())], &options).unwrap_err();
    assert!(text.contains("only a.txt"), "{text}");
    let empty = tempfile::tempdir().unwrap();
    let text = load_path(empty.path(), &options).unwrap_err().to_string();
    assert!(text.contains("found nothing"), "{text}");
    let cut = gray(1)[..40].to_vec();
    let text = both(vec![("a.png", gray(1)), ("c/b.png", cut)], &options).unwrap_err();
    assert!(text.contains("b.png"), "{text}");
    let arrays: Files = vec![("arr_0.npy", b"\x93NUMPY".to_vec())];
    let text = both(arrays, &options).unwrap_err();
    assert!(text.contains("arr_0.npy"), "{text}");
}

#[test]
fn damaged_archive_is_an_error() {
    let (_keep, path) = in_zip(&vec![("a.png", gray(1)), ("b.png", gray(2))]);
    let whole = fs::read(&path).unwrap();
    for length in [4, 30, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let text = load_path(&path, &LoadOptions::default()).unwrap_err().to_string();
        assert!(text.contains("set.zip"), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn links_to_folders_above_end() {
    let folder = in_folder(&vec![("a/1.png", gray(1))]);
    std::os::unix::fs::symlink(folder.path(), folder.path().join("a/loop")).unwrap();
    let data = load_path(folder.path(), &LoadOptions::default()).unwrap();
    assert_eq!(data.n, 1);
}

#[test]
fn limit_on_memory_holds() {
    let options = LoadOptions { max_bytes: 31, ..LoadOptions::default() };
    let text = both(vec![("1.png", gray(1)), ("2.png", gray(2))], &options).unwrap_err();
    assert!(text.contains("at most 31") && text.contains("--resize"), "{text}");
}
