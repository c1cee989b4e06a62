//! Model files: drawn from, exported, or refused.

use std::process::Command;

use onestep_core::model::{ModelFile, ModelKind, ModelMeta, Storage};
use onestep_core::nets::{Draw, MlpConfig, NetworkConfig};
use serde_json::Value;

use crate::{Run, SAMPLE, folder, mlp, names, program, read_npy, run, unet, write_models};

#[test]
fn bad_model_files_are_refused_by_name() {
    let folder = folder();
    write_models(&folder, &mlp(), "gaussians8");
    let at = |name: &str| folder.path().join(name);
    let good = std::fs::read(at("generator-000001.safetensors")).unwrap();
    std::fs::write(at("cut.safetensors"), &good[..good.len() - 9]).unwrap();
    let format = good.windows(9).position(|bytes| bytes == b"onestep/1").unwrap();
    let mut newer = good.clone();
    newer[format + 8] = b'2';
    std::fs::write(at("newer.safetensors"), newer).unwrap();
    let wide = NetworkConfig::Mlp(MlpConfig { dim: 2, width: 32, depth: 2, label_dim: 0, two_times: false });
    let mixed = ModelFile::open(at("generator-000001.safetensors")).unwrap();
    let mixed = ModelFile { meta: ModelMeta::new(ModelKind::Generator, wide), ..mixed };
    mixed.save(at("mixed.safetensors"), Storage::F32).unwrap();
    std::fs::write(at("foreign.safetensors"), b"\x02\0\0\0\0\0\0\0{}").unwrap();
    // It has no end.
    #[cfg(unix)]
    run(&folder, "sample --model /dev/zero --out a.npy").fails(2, &["/dev/zero", "a device or pipe"]);
    std::fs::write(at("zip.safetensors"), b"PK\x03\x04 and more").unwrap();
    for (file, words) in [
        ("cut.safetensors", &["cut.safetensors", "cut off"][..]),
        ("foreign.safetensors", &["foreign.safetensors", "not written by onestep"]),
        ("zip.safetensors", &["zip.safetensors", "zip"]),
        ("newer.safetensors", &["newer.safetensors", "onestep/2", "newer onestep"]),
        ("mixed.safetensors", &["mixed.safetensors", "should have shape"]),
        ("ratio-000001.safetensors", &["ratio-000001.safetensors", "not a generator"]),
    ] {
        run(&folder, &format!("sample --model {file} --out a.npy")).fails(2, words);
        assert!(!at("a.npy").exists());
    }
    for (rest, words) in [
        ("", &["--out"][..]),
        ("--out a.jpg", &[".jpg", ".npy"]),
        ("--out some-folder", &[".npy"]),
        ("--out no/such/a.npy", &["no/such", "create the folder"]),
        ("--out a.npy --grid a.txt", &["a.txt", ".png"]),
        ("--out a.npy --seeds 9-3", &["9-3", "3-9"]),
        ("--out a.npy --seeds 0-4294967295", &["seeds"]),
        ("--out a.npy --best-of 0", &["--best-of"]),
        ("--out a.npy --best-of 2 --resample 2", &["--best-of", "--resample"]),
        ("--out a.npy --best-of 1000 --seeds 4294968", &["4294968", "4294966"]),
        ("--out a.npy --best-of 2 --ratio generator-000001.safetensors", &["not a ratio network"]),
    ] {
        run(&folder, &format!("{SAMPLE} -q {rest}")).fails(2, words);
    }
    std::fs::remove_file(at("ratio-000001.safetensors")).unwrap();
    run(&folder, &format!("{SAMPLE} -q --out a.npy --best-of 2")).fails(2, &["ratio-000001", "--ratio"]);
}

#[test]
fn classes_are_asked_for_by_number() {
    let folder = folder();
    write_models(&folder, &mlp(), "gaussians8");
    run(&folder, &format!("{SAMPLE} -q --out a.npy --class 3")).fails(2, &["--class 3", "has no classes"]);
    write_models(
        &folder,
        &NetworkConfig::Mlp(MlpConfig { dim: 2, width: 16, depth: 2, label_dim: 8, two_times: false }),
        "gaussians8",
    );
    for (class, words) in [("8", &["--class 8", "0 to 7"][..]), ("cat", &["`cat`", "0-9"]), ("2-12", &["--class 8"])] {
        run(&folder, &format!("{SAMPLE} -q --out a.npy --class {class}")).fails(2, words);
        assert!(!folder.path().join("a.npy").exists());
    }
    let drawn = |rest: &str| {
        run(&folder, &format!("{SAMPLE} -q --out a.npy {rest}")).ok();
        read_npy(folder.path().join("a.npy")).2
    };
    let (all, turn) = (drawn("--seeds 0-9"), drawn("--seeds 0-9 --class 0-7"));
    assert!(all == turn, "without the flag all classes come in turn");
    for line in ["--seeds 9 --class 1", "--seeds 9"] {
        assert_eq!(drawn(line), all[9 * 8..], "{line}: a sample depends on its seed and its class alone");
    }
    let alone = drawn("--seeds 9");
    assert_ne!(alone, drawn("--seeds 9 --class 2"));
    let best = drawn("--seeds 0-9 --class 1 --best-of 2");
    assert_eq!(best.len(), all.len());
    let report = run(&folder, "eval --device cpu -q --json --model generator-000001.safetensors --num 100").ok();
    assert!(report.contains("class_accuracy_100"), "{report}");
}

/// They were drawn, then refused for "generated features, rows" and "a smaller grid", and the array was lost.
#[test]
fn too_few_and_too_many_samples_are_refused_before_they_are_drawn() {
    let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/web/mnist-generator.safetensors");
    run(&folder(), &format!("eval --device cpu -q --model {digits} --num 3")).fails(2, &["--num 3", "4 samples"]);
    let line = format!("sample --device cpu -q --model {digits} --seeds 0-599999 --out s.npy --grid g.png");
    run(&folder(), &line).fails(2, &["600000 images", "one picture", "--out FILE.npy"]);
}

/// Of one seed in several classes a single picture was left.
#[test]
fn a_seed_that_is_drawn_twice_has_two_pictures() {
    let folder = folder();
    let mut network = unet();
    if let NetworkConfig::Unet(config) = &mut network {
        config.label_dim = 3;
    }
    write_models(&folder, &network, "mine");
    run(&folder, &format!("{SAMPLE} -q --out each --seeds 7,7,8 --class 0-2")).ok();
    assert_eq!(names(&folder.path().join("each")), ["000007-2.png", "000007.png", "000008.png"]);
}

#[test]
fn generators_are_exported_and_other_models_refused_as_onnx() {
    let folder = folder();
    write_models(&folder, &unet(), "mnist-10k");
    let export =
        |model: &str, rest: &str| run(&folder, &format!("export -q --model {model}-000001.safetensors {rest}"));
    export("generator", "--out half.safetensors").ok();
    export("generator", "--format onnx --out generator.onnx").ok();
    let size = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().len();
    assert!(size("half.safetensors") < size("generator-000001.safetensors") * 6 / 10);
    let onnx = std::fs::read(folder.path().join("generator.onnx")).unwrap();
    let has = |text: &str| onnx.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(has("InstanceNormalization") && has("latent") && has("mnist-10k"));
    export("ratio", "--format onnx --out ratio.onnx").fails(2, &["ratio-000001", "only generators"]);
    export("generator", "--format onnx --out missing/generator.onnx").fails(2, &["missing"]);
    assert!(!folder.path().join("ratio.onnx").exists());
    // A name says what is written, and not another thing than is.
    export("generator", "--out named.onnx").ok();
    assert_eq!(std::fs::read(folder.path().join("named.onnx")).unwrap(), onnx);
    export("generator", "--format f16 --out f16.onnx").fails(2, &["f16.onnx", "ends in .safetensors"]);
    export("generator", "--format onnx --out f16").fails(2, &["f16", "ends in .onnx"]);
}

#[test]
fn a_network_that_draws_in_many_evaluations_is_exported_as_a_denoiser() {
    let folder = folder();
    write_models(&folder, &unet(), "mnist-10k");
    let one_step = folder.path().join("generator-000001.safetensors");
    let export =
        |name: &str| run(&folder, &format!("export -q --as-denoiser --model {name} --out denoiser.safetensors"));
    export("generator-000001.safetensors").fails(2, &["--as-denoiser", "generator-000001", "`denoise` or `flow`"]);
    let mut model = ModelFile::open(&one_step).unwrap();
    model.meta.draw = Some(Draw::heun(5, 2.0));
    model.save(folder.path().join("many.safetensors"), Storage::F32).unwrap();
    export("many.safetensors").ok();
    model.meta.draw = Some(Draw::jumps(3, 2.0));
    model.save(folder.path().join("few.safetensors"), Storage::F32).unwrap();
    export("few.safetensors").fails(2, &["few.safetensors", "`denoise` or `flow`"]);
    let meta = ModelFile::open(folder.path().join("denoiser.safetensors")).unwrap().meta;
    assert_eq!((meta.kind, meta.draw().evaluations()), (ModelKind::Denoiser, 9));
}

#[test]
fn an_image_depends_on_its_seed_alone() {
    let folder = folder();
    write_models(&folder, &unet(), "mnist-10k");
    let draw = |rest: &str, name: &str| {
        run(&folder, &format!("{SAMPLE} -q {rest} --out {name}")).ok();
        read_npy(folder.path().join(name))
    };
    let (kind, shape, all) = draw("--seeds 0-149", "all.npy");
    assert_eq!((kind.as_str(), shape.as_str(), all.len()), ("|u1", "150, 8, 8, 1", 150 * 64));
    assert_ne!(all[..64], all[64..128], "different seeds, different images");
    for batch in [1, 7, 1000] {
        let other = draw(&format!("--seeds 0-149 --batch {batch}"), "batch.npy");
        assert!(other.2 == all, "batches of {batch} give other bytes");
    }
    let (_, shape, some) = draw("--seeds 149,5,64-66", "some.npy");
    assert_eq!(shape, "5, 8, 8, 1");
    let wanted: Vec<u8> = [149, 5, 64, 65, 66].iter().flat_map(|seed| &all[seed * 64..][..64]).copied().collect();
    assert!(some == wanted, "a subset of seeds gives other bytes");

    run(&folder, &format!("{SAMPLE} -q --seeds 5,12 --out pngs --grid grid.png")).ok();
    assert_eq!(names(&folder.path().join("pngs")), ["000005.png", "000012.png"]);
    assert!(names(folder.path()).iter().all(|name| std::path::Path::new(name).extension().is_none_or(|e| e != "tmp")));
}

#[test]
fn best_of_keeps_what_the_ratio_network_prefers() {
    let folder = folder();
    write_models(&folder, &unet(), "mnist-10k");
    let out = run(&folder, &format!("{SAMPLE} -q --seeds 3-6 --best-of 50 --json --out best.npy")).ok();
    let scores = serde_json::from_str::<Value>(&out).unwrap()["choice"].clone();
    let number = |name: &str| scores[name].as_f64().unwrap();
    assert!(number("mean_score_kept") > number("mean_score"), "{scores}");
    run(&folder, &format!("{SAMPLE} -q --seeds 200-249 --out candidates.npy")).ok();
    let [best, candidates] = ["best.npy", "candidates.npy"].map(|name| read_npy(folder.path().join(name)).2);
    // Seed 4 chooses among the seeds 4 * 50 to 4 * 50 + 49.
    assert!(candidates.chunks(64).any(|image| *image == best[64..128]));
    // So does resampling, which keeps another one, and always the same.
    let resampled = |out: &str| {
        let told = run(&folder, &format!("{SAMPLE} --seeds 3-6 --resample 50 --out {out}")).ok();
        assert!(told.contains("resampled of 50: mean score"), "{told}");
        read_npy(folder.path().join(out)).2
    };
    let kept = resampled("a.npy");
    assert_eq!(kept, resampled("b.npy"));
    assert!(kept != best && candidates.chunks(64).any(|image| *image == kept[64..128]));
}

#[test]
fn samples_that_were_chosen_can_be_measured() {
    let folder = folder();
    write_models(&folder, &mlp(), "gaussians8");
    let report = |choice: &str| {
        let model = "generator-000001.safetensors";
        let line = format!("eval -q --device cpu --model {model} --num 500 --metrics energy-distance --json {choice}");
        serde_json::from_str::<Value>(&run(&folder, &line).ok()).unwrap()
    };
    let [all, best, resampled] = ["", "--best-of 3", "--resample 3"].map(report);
    assert!(all.get("choice").is_none(), "{all}");
    assert_eq!((best["choice"].as_str(), resampled["choice"].as_str()), (Some("best of 3"), Some("resampled of 3")));
    assert!(all["metrics"] != best["metrics"] && best["metrics"] != resampled["metrics"]);
}

#[cfg(unix)]
#[test]
fn a_full_disk_fails_in_one_line_and_leaves_nothing() {
    let folder = folder();
    write_models(&folder, &unet(), "mnist-10k");
    // No file may grow beyond a few blocks, and the signal about it is ignored: what a full disk looks like.
    let script =
        format!("ulimit -f 8; trap '' XFSZ; exec {} {SAMPLE} -q --seeds 0-999 --out a.npy", program().display());
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(folder.path());
    let before = names(folder.path());
    Run::from(shell.output().unwrap()).fails(1, &["a.npy"]);
    assert_eq!(names(folder.path()), before);
}
