//! Damage of every kind to files of every format: an error that names the file and the way out, or a data set; never a
//! panic. `cargo xtask fault --mutants` asks for more of them, and bounds the memory.

use std::fs;
use std::io::Write;
use std::path::Path;

use image::ExtendedColorType::{L8, Rgb8};
use image::ImageFormat::{Jpeg, Png};

use super::decode::tests::flat;
use super::{LoadOptions, cifar, idx, load_path, load_points, read};
use crate::random::threefry2x32;

/// Mutants of each kind of file.
fn trials(usual: u32) -> u32 {
    std::env::var("FAULT_MUTANTS").map_or(usual, |text| text.parse().expect("a number"))
}

/// The files of each format, small but whole.
fn specimens() -> Vec<(&'static str, Vec<u8>)> {
    let mut images = Vec::new();
    idx::write_images(&mut images, &[7; 60], [5, 3, 4]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let npy = folder.path().join("a.npy");
    super::write_npy_u8(&npy, &[2, 3, 4, 3], &[9; 72]).unwrap();
    let points = folder.path().join("points.npy");
    super::write_npy_f32(&points, &[6, 2], &[0.5; 12]).unwrap();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in
        [("train/a/1.png", flat(Png, L8, &[3], 5, 5)), ("train/b/1.jpg", flat(Jpeg, Rgb8, &[3, 90, 200], 5, 5))]
    {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    vec![
        ("x-images-idx3-ubyte.gz", read::gzip(&images)),
        ("x-images-idx3-ubyte", images),
        ("labels/x-labels-idx1-ubyte", [&idx::LABELS_MAGIC[..], &[0, 0, 0, 5, 1, 2, 3, 4, 0]].concat()),
        ("points.npy", fs::read(&points).unwrap()),
        ("a.npy", fs::read(&npy).unwrap()),
        ("a.zip", zip.finish().unwrap().into_inner()),
        ("cifar.tar.gz", cifar::tests::archive()),
        ("data_batch_1.bin", cifar::tests::batch(0, 1)),
        ("image/a.png", flat(Png, Rgb8, &[1, 2, 3], 9, 7)),
        ("image/a.jpg", flat(Jpeg, Rgb8, &[1, 2, 3], 17, 9)),
    ]
}

/// Loads `bytes` as the file `name`, or the folder if the name has one.
fn load(folder: &Path, name: &str, bytes: &[u8]) -> bool {
    let path = folder.join(name);
    let parent = path.parent().unwrap();
    fs::create_dir_all(parent).unwrap();
    fs::write(&path, bytes).unwrap();
    if name.starts_with("labels/") {
        let mut images = Vec::new();
        idx::write_images(&mut images, &[7; 60], [5, 3, 4]).unwrap();
        fs::write(parent.join("x-images-idx3-ubyte"), images).unwrap();
    }
    let options = LoadOptions { max_bytes: 1 << 24, ..LoadOptions::default() };
    let result = if name == "points.npy" {
        load_points(&path).map(|points| points.is_some())
    } else {
        let whole = load_path(if name.contains('/') { parent } else { &path }, &options);
        whole.map(|data| assert_eq!(data.images.len(), data.n * data.image_len(), "{name}")).map(|()| true)
    };
    fs::remove_file(&path).unwrap();
    if let Err(ref error) = result {
        let text = error.to_string();
        assert!(text.contains(name.rsplit('/').next().unwrap()) && text.contains("; "), "{name}: {text}");
    }
    result.is_ok_and(|is_data| is_data)
}

#[test]
fn whole_files_load_and_damaged_ones_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, (name, whole)) in (0u32..).zip(specimens()) {
        assert!(load(folder.path(), name, &whole), "{name} should load");
        // Cut everywhere near the ends, and at some places between.
        let step = (whole.len() / 40).max(1);
        let near = whole.len().saturating_sub(24)..whole.len();
        for length in (0..64.min(whole.len())).chain(near).chain((0..whole.len()).step_by(step)) {
            load(folder.path(), name, &whole[..length]);
        }
        // Change one to eight bytes, more often near the start, where headers are.
        let mut accepted = 0;
        for trial in 0..trials(300) {
            let mut bytes = whole.clone();
            let [count, _] = threefry2x32([kind, 1], [trial, u32::MAX]);
            for k in 0..=count % 8 {
                let [place, value] = threefry2x32([kind, 2], [trial, k]);
                let range = if place % 2 == 0 { whole.len() } else { whole.len().min(80) };
                bytes[(place / 2) as usize % range] = match value % 3 {
                    0 => 0xff,
                    1 => 0,
                    _ => (value >> 8) as u8,
                };
            }
            accepted += u32::from(load(folder.path(), name, &bytes));
        }
        println!("{name}: {} mutants, {accepted} accepted", trials(300));
    }
    if std::env::var_os("FAULT_MUTANTS").is_some() {
        stays_small();
    }
}

/// Whether this program never took more memory than it promises (SECURITY.md); these files are tiny.
fn stays_small() {
    // Elsewhere nothing tells.
    let Ok(text) = fs::read_to_string("/proc/self/status") else { return };
    let line = text.lines().find(|line| line.starts_with("VmHWM")).expect("Linux tells it");
    let peak: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    println!("{} MB at most", peak >> 10);
    assert!(peak < 512 << 10, "{line}");
}

#[test]
fn random_bytes_under_every_name_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, (name, whole)) in (0u32..).zip(specimens()) {
        for trial in 0..40 {
            let count = 1 + threefry2x32([kind, 3], [trial, 0])[0] % 300;
            let noise = (1..=count).map(|k| threefry2x32([kind, 3], [trial, k])[0] as u8);
            // Behind a right start, the parsers get further.
            let keep = trial as usize % 24;
            let bytes: Vec<u8> = whole.iter().copied().take(keep).chain(noise).collect();
            load(folder.path(), name, &bytes);
        }
    }
}
