//! Generators of every kind with latents and the samples that they should give, for the test of ONNX
//! files in a foreign runtime (`tests/web/onnx.test.mjs`): `onnx_cases FOLDER` writes into it, per case,
//! `NAME.safetensors`, `NAME.latent.npy`, `NAME.sample.npy` and, with classes, the one-hot `NAME.label.npy`, the arrays
//! with the channels first.

use std::path::{Path, PathBuf};

use onestep_core::data::write_npy_f32;
use onestep_core::exec::Executor;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::model::{ModelFile, ModelKind, ModelMeta, Storage};
use onestep_core::nets::{MlpConfig, NetworkConfig, UnetConfig, cycle, latent};
use onestep_core::sampling::Generator;

/// Samples per case: an odd number, and more than one.
const ROWS: u32 = 5;

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("the folder to write into"));
    let shipped = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo runs this"))
        .join("../assets/web/mnist-generator.safetensors");
    let attention = UnetConfig { channels: 3, ..UnetConfig::tiny() };
    let adaptive = UnetConfig {
        patch: 1,
        channels: 2,
        attn_resolutions: vec![4],
        channels_per_head: Some(4),
        label_dim: 3,
        adaptive_scale: true,
        num_blocks: 2,
        ..UnetConfig::tiny()
    };
    let wide = UnetConfig { width: Some(12), ..attention.clone() };
    let classes = UnetConfig { label_dim: 4, ..attention.clone() };
    let points = MlpConfig { dim: 2, width: 24, depth: 3, label_dim: 0, two_times: false };
    let modes = MlpConfig { label_dim: 8, ..points.clone() };
    write(&folder, "mnist", &ModelFile::open(shipped).expect("the shipped weights"));
    write(&folder, "attention", &random(NetworkConfig::Unet(attention), 80.0));
    write(&folder, "wide", &random(NetworkConfig::Unet(wide), 80.0));
    write(&folder, "adaptive", &random(NetworkConfig::Unet(adaptive), 80.0));
    write(&folder, "classes", &random(NetworkConfig::Unet(classes), 80.0));
    write(&folder, "points", &random(NetworkConfig::Mlp(points), 1.0));
    write(&folder, "modes", &random(NetworkConfig::Mlp(modes), 1.0));
}

/// A generator with weights away from the zeros that some layers start with.
fn random(network: NetworkConfig, sigma_init: f32) -> ModelFile {
    let layout = network.generator_layout();
    let first = layout.initial(1);
    let weights: Vec<f32> = first.iter().enumerate().map(|(i, w)| w + 0.05 * (i as f32 * 0.7).sin()).collect();
    let meta = ModelMeta { sigma_init, ..ModelMeta::new(ModelKind::Generator, network) };
    ModelFile::new(meta, &layout, &weights)
}

fn write(folder: &Path, name: &str, model: &ModelFile) {
    let file = |ending: &str| folder.join(format!("{name}.{ending}"));
    model.save(file("safetensors"), Storage::F32).expect("a folder that can be written");
    let mut executor = Executor::Cpu(CpuExecutor::new());
    let mut generator = Generator::new(&mut executor, model, &[ROWS as usize]).expect("a model that fits");
    let latents: Vec<f32> = (0..ROWS).flat_map(|seed| latent(seed, generator.width())).collect();
    let count = model.meta.network.classes();
    let classes = if count > 0 { cycle(ROWS as usize, count) } else { Vec::new() };
    let samples = generator.draw_classes(&mut executor, &latents, &classes);
    let samples = pollster::block_on(samples).expect("finite samples");
    if count > 0 {
        let one_hot = |class: &u32| (0..count).map(|k| f32::from(u8::from(k == *class as usize))).collect::<Vec<_>>();
        let labels: Vec<f32> = classes.iter().flat_map(one_hot).collect();
        write_npy_f32(file("label.npy"), &[ROWS as usize, count], &labels).expect("a folder that can be written");
    }
    for (what, values) in [("latent", latents), ("sample", samples)] {
        let (shape, values) = channels_first(&model.meta.data_shape, values);
        write_npy_f32(file(&format!("{what}.npy")), &shape, &values).expect("a folder that can be written");
    }
}

/// Rows of `shape` as ONNX has them: images from H x W x C to C x H x W.
fn channels_first(shape: &[usize], values: Vec<f32>) -> (Vec<usize>, Vec<f32>) {
    let rows = ROWS as usize;
    let &[h, w, c] = shape else { return (vec![rows, shape[0]], values) };
    let index = |i: usize| (i / (c * h * w) * h * w + i % (h * w)) * c + i / (h * w) % c;
    (vec![rows, c, h, w], (0..values.len()).map(|i| values[index(i)]).collect())
}
