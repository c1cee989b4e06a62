//! `onestep merge`.

use onestep_core::model::{ModelFile, Storage};

use crate::{folder, mlp, names, run, unet, write_models};

/// `two`: the generator with twice its weights.
fn two_models(folder: &tempfile::TempDir) {
    write_models(folder, &mlp(), "gaussians8");
    let mut model = ModelFile::open(folder.path().join("generator-000001.safetensors")).unwrap();
    model.tensors.iter_mut().flat_map(|(_, tensor)| &mut tensor.values).for_each(|x| *x *= 2.0);
    model.save(folder.path().join("two.safetensors"), Storage::F32).unwrap();
}

#[test]
fn two_models_become_one_that_can_be_drawn_from() {
    let folder = folder();
    two_models(&folder);
    run(&folder, "merge -q generator-000001.safetensors two.safetensors --weight 0.25 --out merged.safetensors").ok();
    let open = |name: &str| ModelFile::open(folder.path().join(name)).unwrap();
    let (one, merged) = (open("generator-000001.safetensors"), open("merged.safetensors"));
    let pairs = one.own_parameters().unwrap().into_iter().zip(merged.own_parameters().unwrap());
    let error = pairs.fold(0.0_f32, |most, (x, y)| most.max((1.25 * x - y).abs()));
    assert!(error <= 1e-6, "off by {error}");
    run(&folder, "sample -q --device cpu --model merged.safetensors --seeds 0-3 --out a.npy").ok();
}

#[test]
fn models_that_do_not_fit_are_one_line_and_leave_nothing() {
    let folder = folder();
    two_models(&folder);
    let other = tempfile::tempdir_in(folder.path()).unwrap();
    write_models(&other, &unet(), "two");
    let image = other.path().join("generator-000001.safetensors");
    let (before, image) = (names(folder.path()), image.display());
    let refused =
        |line: &str, words: &[&str]| run(&folder, &format!("merge {line} --out c.safetensors")).fails(2, words);
    refused(&format!("two.safetensors {image}"), &["generator-000001", "two.safetensors", "data", "gaussians8"]);
    refused("two.safetensors ratio-000001.safetensors", &["ratio-000001", "kind", "generator"]);
    refused("two.safetensors two.safetensors --weight 1.5", &["--weight", "1.5", "0..=1"]);
    refused("two.safetensors absent.safetensors", &["absent.safetensors", "cannot be read"]);
    run(&folder, "merge two.safetensors two.safetensors --out absent/c.safetensors").fails(2, &["absent/c"]);
    assert_eq!(names(folder.path()), before);
}
