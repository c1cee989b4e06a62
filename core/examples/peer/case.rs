//! What a peer has to compute as onestep does: weights and inputs of each update, and what follows from them.

use std::path::Path;

use onestep_core::exec::RunArgs;
use onestep_core::graph::Graph;
use onestep_core::model::{ModelFile, ModelKind, ModelMeta, Storage};
use onestep_core::nets::{ParamLayout, Tensor, Tensors, latent};
use onestep_core::onnx;
use onestep_core::plan::SLOT_ALIGN;
use onestep_core::train::{BINS, RING, Rates, Setup, Step, Stream, Subject, Trainer, Update, Weights, ring};

use super::{Failure, trainer};

/// Samples of the generator that a case holds.
const SAMPLES: usize = 5;
const SQUARES: &str = "generator.grad_squares";
const ACCURACY: &str = "ratio.accuracy";

/// An update that trains nothing and leaves what the update of its turn draws, and what networks make of that.
const DRAWN: Update = Update {
    name: "drawn",
    about: "what an update draws",
    subject: Subject::Real,
    rates: |_| Rates { lr: 0.0, beta1: 0.0, beta2: 0.0, cools: false },
    build: |step| leave(step, true),
};

/// The same of the warm-up, whose noise levels are others.
const DRAWN_WARM_UP: Update = Update { build: |step| leave(step, false), ..DRAWN };

fn leave(step: &Step<'_>, distills: bool) {
    let (of_distillation, u) = step.sigma();
    let sigma = if distills { of_distillation } else { step.warmup_sigma() };
    let real = step.real();
    let x_t = step.noised(real, sigma, Stream::NoiseReal);
    let values = [
        ("real", real),
        ("latent", step.latent()),
        ("sigma", sigma),
        ("u", u),
        ("noise_real", step.normal(Stream::NoiseReal)),
        ("noise_fake", step.normal(Stream::NoiseFake)),
        ("denoised", step.frozen("generator", Weights::Param).denoise(x_t, sigma)),
        ("logit", step.frozen("ratio", Weights::Param).logit(x_t, sigma)),
    ];
    for (name, value) in values {
        step.remember(name, &value.shape(), |_| value);
    }
    step.record("sigma", sigma.mean_all());
}

/// Writes `NAME.safetensors`, `NAME.json` with the settings, and the generator alone as `NAME.generator.safetensors` and
/// `NAME.generator.onnx`.
pub fn write(folder: &Path, name: &str) -> Result<(), Failure> {
    let mut trainer = trainer(name, false)?;
    let layouts = ["generator", "ratio"].map(|network| (network, trainer.layout(network).clone()));
    let weights = layouts.clone().map(|(network, layout)| (network, away_from_zero(&layout)));
    let mut tensors = Tensors::new();
    for ((network, layout), (_, values)) in layouts.iter().zip(&weights) {
        tensors.extend(layout.to_tensors(&format!("weights.{network}."), values));
    }
    for update in trainer.recipe().updates() {
        of_update(&mut trainer, &update, &weights, &mut tensors)?;
    }
    let setup = trainer.setup.clone();
    let width = setup.data.width();
    let latents: Vec<f32> = (0..SAMPLES as u32).flat_map(|seed| latent(seed, width)).collect();
    start_anew(&mut trainer, &weights)?;
    if !trainer.in_last_phase() {
        trainer.next_phase();
    }
    let samples = pollster::block_on(trainer.sample(&latents))?;
    let shape = setup.data.batch_shape(SAMPLES);
    tensors.insert("sample.latent".into(), Tensor { shape: shape.clone(), values: latents });
    tensors.insert("sample.sample".into(), Tensor { shape, values: samples });
    save(folder, name, &setup, tensors)?;
    let (_, layout) = &layouts[0];
    let generator = ModelFile::new(meta(&setup, ModelKind::Generator), layout, &weights[0].1);
    generator.save(folder.join(format!("{name}.generator.safetensors")), Storage::F32)?;
    std::fs::write(folder.join(format!("{name}.generator.onnx")), onnx::export(&generator)?)?;
    Ok(())
}

/// Weights away from the zeros that some layers start with.
fn away_from_zero(layout: &ParamLayout) -> Vec<f32> {
    layout.initial(1).iter().enumerate().map(|(i, w)| w + 0.05 * (i as f32 * 0.7).sin()).collect()
}

fn start_anew(trainer: &mut Trainer, weights: &[(&'static str, Vec<f32>)]) -> Result<(), Failure> {
    for (network, values) in weights {
        trainer.set_weights(network, values)?;
    }
    Ok(())
}

/// One update from `weights` on: what it drew, its loss, gradients, and the weights after it.
fn of_update(
    trainer: &mut Trainer,
    update: &Update,
    weights: &[(&'static str, Vec<f32>)],
    tensors: &mut Tensors,
) -> Result<(), Failure> {
    let name = update.name;
    let setup = trainer.setup.clone();
    let mut keep = |key: &str, shape: Vec<usize>, values: Vec<f32>| {
        tensors.insert(format!("{name}.{key}"), Tensor { shape, values });
    };
    start_anew(trainer, weights)?;
    // Half of the bins have seen nothing yet.
    let squares: Vec<f32> = (0..BINS).map(|bin| if bin % 2 == 0 { 0.0 } else { 0.1 * bin as f32 }).collect();
    trainer.executor.write(SQUARES, 0, &squares)?;
    // Below a half, too, and none seen.
    let accuracy: Vec<f32> = (0..BINS).map(|bin| if bin == 0 { 0.0 } else { 0.4 + 0.035 * bin as f32 }).collect();
    trainer.executor.write(ACCURACY, 0, &accuracy)?;
    trainer.step(name)?;
    let network = update.declared(&setup, trainer.recipe()).updated[0];
    let layout = trainer.layout(network).clone();
    for (what, store) in [("grad", "grad"), ("after", "param")] {
        let values = pollster::block_on(trainer.weights(network, store))?;
        for (tensor, Tensor { shape, values }) in layout.to_tensors(&format!("{what}."), &values) {
            keep(&tensor, shape, values);
        }
    }
    if name != "warmup" {
        keep("accuracy", vec![BINS], accuracy);
        keep("accuracy_after", vec![BINS], pollster::block_on(trainer.executor.read(ACCURACY, 0, BINS))?);
    }
    if name == "generator" {
        keep("squares", vec![BINS], squares);
        keep("squares_after", vec![BINS], pollster::block_on(trainer.executor.read(SQUARES, 0, BINS))?);
    }
    let store = ring(name);
    let rows = pollster::block_on(trainer.executor.read(&store, 0, trainer.executor.store_len(&store).unwrap_or(0)))?;
    let statistics = update.declared(&setup, trainer.recipe()).statistics;
    let row = trainer.counters.runs as usize % RING * statistics.len();
    let loss = statistics.iter().position(|statistic| statistic.name.starts_with("Loss/")).ok_or("no loss")?;
    keep("loss", vec![1], vec![rows[row + loss]]);

    start_anew(trainer, weights)?;
    let drawn = if name == "warmup" { DRAWN_WARM_UP } else { DRAWN };
    let recipe = trainer.recipe().clone();
    let graph = Graph::new();
    let (program, declared) = Step::write(&drawn, &setup, &recipe, &graph);
    let plan = program.build()?;
    trainer.executor.create_store(&ring(drawn.name), RING)?;
    for (store, len) in &declared.remembered {
        trainer.executor.create_store(store, len.next_multiple_of(SLOT_ALIGN))?;
    }
    let id = trainer.executor.prepare(&plan)?;
    let args = RunArgs { scalars: &[], seed: setup.config.seed, step: trainer.counters.runs };
    trainer.executor.run(id, &args)?;
    let batch = setup.config.batch;
    for (store, len) in declared.remembered {
        let shape = if len == batch { vec![batch] } else { setup.data.batch_shape(batch) };
        keep(store, shape, pollster::block_on(trainer.executor.read(store, 0, len))?);
    }
    Ok(())
}

fn meta(setup: &Setup, kind: ModelKind) -> ModelMeta {
    ModelMeta { sigma_init: setup.config.sigma_init, ..ModelMeta::new(kind, setup.network.clone()) }
}

fn save(folder: &Path, name: &str, setup: &Setup, tensors: Tensors) -> Result<(), Failure> {
    let file = ModelFile { name: name.to_owned(), meta: meta(setup, ModelKind::State), tensors };
    file.save(folder.join(format!("{name}.safetensors")), Storage::F32)?;
    let settings = serde_json::to_string_pretty(&setup.config)?;
    std::fs::write(folder.join(format!("{name}.json")), settings)?;
    Ok(())
}
