//! Generators as ONNX models: one file that other runtimes draw from.
//!
//! Input `latent`, f32, N x C x H x W for images and N x D for points, standard normal; output
//! `sample` of the same shape, in the model's data range (which is in the metadata: usually -1 to 1
//! for images). A model with K classes has another input, `label`, f32, N x K, one-hot. Any N. These are the numbers of
//! [`crate::sampling::Generator`], whose arrays have the channels last.
//!
//! The networks are written a second time, in the operators and axes of ONNX ([`unet`], [`mlp`]),
//! rather than translated node by node: the graph is made for this engine's kernels (channels
//! last, normalisation and joins in small pieces), and a runtime that is handed the pieces does not
//! put them together again. Tests in a foreign runtime see to it that both are the same networks.
//! [`proto`] writes bytes, [`builder`] operators, [`layers`] what networks are made of.

mod builder;
mod layers;
mod mlp;
mod proto;
#[cfg(test)]
mod tests;
mod unet;

use builder::{Builder, Value};
use layers::Layers;
use proto::Message;

use crate::exec::cpu::CpuExecutor;
use crate::exec::{Executor, RunArgs};
use crate::graph::{Graph, concat};
use crate::model::{ModelError, ModelFile, ModelKind};
use crate::nets::{NetworkConfig, Params, SIGMA_DATA, one_hot};
use crate::plan::{Program, SLOT_ALIGN};
use crate::sampling::SamplingError;

/// Version of the set of operators; all runtimes of the last years have it.
const OPSET: i64 = 17;
/// Version of the file format that came with it.
const IR_VERSION: i64 = 8;
/// Readers of protobuf refuse more.
const MAX_BYTES: usize = i32::MAX as usize;

/// A model that has no form in ONNX.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// Not a generator.
    #[error(
        "{file}: is a {got}, and only generators are written as ONNX; give a file like generator-000500.safetensors"
    )]
    Kind {
        /// The file's name.
        file: String,
        /// What it holds.
        got: String,
    },
    #[cfg(feature = "gallery")]
    /// Several networks.
    #[error("{file}: holds several students, and one network is written as ONNX; export a generator of another method")]
    Students {
        /// The file's name.
        file: String,
    },
    /// More than the format holds.
    #[error(
        "{file}: as ONNX it would have {got} bytes, more than the format's limit of {limit}; export a smaller network"
    )]
    TooLarge {
        /// The file's name.
        file: String,
        /// What came.
        got: usize,
        /// What fits.
        limit: usize,
    },
    /// Weights that do not fit their network.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The constants could not be computed.
    #[error(transparent)]
    Constants(#[from] SamplingError),
}

/// The content of an ONNX file that draws the samples of a generator.
///
/// # Errors
/// If the model is something else than a generator, does not fit its network, or is too large.
pub fn export(model: &ModelFile) -> Result<Vec<u8>, OnnxError> {
    let (meta, file) = (&model.meta, &model.name);
    if meta.kind != ModelKind::Generator {
        return Err(OnnxError::Kind { file: file.clone(), got: format!("{:?}", meta.kind).to_lowercase() });
    }
    #[cfg(feature = "gallery")]
    if matches!(meta.network, NetworkConfig::Students(_)) {
        return Err(OnnxError::Students { file: file.clone() });
    }
    let shifts = shifts(model)?;
    let bytes = encode(model, &shifts).into_bytes();
    if bytes.len() > MAX_BYTES {
        return Err(OnnxError::TooLarge { file: file.clone(), got: bytes.len(), limit: MAX_BYTES });
    }
    Ok(bytes)
}

/// `ModelProto`
fn encode(model: &ModelFile, shifts: &[Shift]) -> Message {
    let meta = &model.meta;
    let shape = match &meta.data_shape[..] {
        &[h, w, c] => vec![c, h, w],
        other => other.to_vec(),
    };
    let latent = Value { name: "latent".to_owned(), shape };
    let classes = meta.network.classes();
    let label = (classes > 0).then(|| Value { name: "label".to_owned(), shape: vec![classes] });
    let mut layers = Layers { graph: Builder::default(), weights: &model.tensors, label: label.clone() };
    let sample = generator(&mut layers, &meta.network, meta.sigma_init, &latent, shifts);
    let [low, high] = meta.data_range;
    let one_hot = label.as_ref().map_or("", |_| " `label` is one-hot,");
    let about = format!(
        "One-step generator: `latent` is standard normal,{one_hot} `sample` has the data's range, {low} to {high}. \
         Trained on {}.",
        meta.dataset
    );
    let inputs: Vec<&Value> = std::iter::once(&latent).chain(&label).collect();
    let graph = layers.graph.finish("generator", &about, &inputs, &sample, "sample");
    Message::default()
        .int(1, IR_VERSION)
        .bytes(2, "onestep")
        .bytes(3, env!("CARGO_PKG_VERSION"))
        .message(7, &graph)
        .message(8, &Message::default().bytes(1, "").int(2, OPSET))
        .repeated(meta.entries(), |message, (key, value)| {
            message.message(14, &Message::default().bytes(1, key).bytes(2, value))
        })
}

/// `g(z) = c_skip sigma_init z + c_out F(c_in sigma_init z)`, see `nets/edm.rs`.
fn generator(
    layers: &mut Layers<'_>,
    network: &NetworkConfig,
    sigma_init: f32,
    latent: &Value,
    shifts: &[Shift],
) -> Value {
    let (sigma, data) = (f64::from(sigma_init), f64::from(SIGMA_DATA));
    let deviation = sigma.hypot(data);
    let mut scaled = |x: &Value, factor: f64| {
        let factor = layers.graph.number(factor as f32);
        layers.graph.pointwise("Mul", x, &[&factor])
    };
    let x = scaled(latent, sigma / deviation);
    let skip = scaled(latent, sigma * (data / deviation).powi(2));
    let output = match network {
        NetworkConfig::Mlp(config) => mlp::mlp(layers, config, &x, shifts),
        NetworkConfig::Unet(config) => unet::unet(layers, config, &x, shifts),
        #[cfg(feature = "gallery")]
        NetworkConfig::Students(_) => unreachable!("they were refused"),
    };
    let factor = layers.graph.number((sigma * data / deviation) as f32);
    let output = layers.graph.pointwise("Mul", &output, &[&factor]);
    layers.graph.pointwise("Add", &skip, &[&output.name])
}

/// What the generator's one noise level says to a block, and what each class says besides.
pub(crate) struct Shift {
    /// Without a class.
    pub base: Vec<f32>,
    /// What each class adds, class after class; empty without classes.
    pub classes: Vec<f32>,
}

/// What the generator's one noise level says to each block, which makes constants of it: a one-hot label only selects
/// among them.
fn shifts(model: &ModelFile) -> Result<Vec<Shift>, OnnxError> {
    let weights = model.own_parameters()?;
    let graph = Graph::new();
    let params = Params::new(&graph, "param");
    let classes = model.meta.network.classes();
    // No class, then each.
    let labels = (classes > 0).then(|| one_hot(graph.iota(classes + 1) - 1.0, classes));
    let shifts = model.meta.network.shifts(&params, model.meta.sigma_init, labels);
    let widths: Vec<usize> = shifts.iter().map(|shift| shift.shape()[1]).collect();
    let all = concat(&shifts, 1);
    let width = all.shape()[1];
    let run = || -> Result<Vec<f32>, SamplingError> {
        let mut executor = Executor::Cpu(CpuExecutor::new());
        executor.create_store("param", weights.len().max(SLOT_ALIGN))?;
        executor.write("param", 0, &weights)?;
        executor.create_store("shifts", all.len().next_multiple_of(SLOT_ALIGN))?;
        let plan = executor.prepare(&Program::new("shifts", &graph).output(all, "shifts", 0).build()?)?;
        executor.run(plan, &RunArgs { scalars: &[], seed: 0, step: 0 })?;
        Ok(pollster::block_on(executor.read("shifts", 0, all.len()))?)
    };
    let values = run()?;
    let (base, rest) = values.split_at(width);
    let mut at = 0;
    let shift = |wide: usize| {
        let own = at..at + wide;
        at += wide;
        let more =
            |row: &[f32]| row[own.clone()].iter().zip(&base[own.clone()]).map(|(x, y)| x - y).collect::<Vec<_>>();
        Shift { base: base[own.clone()].to_vec(), classes: rest.chunks_exact(width).flat_map(more).collect() }
    };
    Ok(widths.into_iter().map(shift).collect())
}
