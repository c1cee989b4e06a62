//! What every loss draws: real data, latents, noise and noise levels, all on the device.

use crate::graph::{Graph, Var};
use crate::nets::{one_hot, per_sample};

/// Streams of random numbers, one per purpose, so that no two draws of a step are the same.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Stream {
    /// Which data points are in the batch.
    Index = 1,
    /// Latents of the generator.
    Latent,
    /// Noise levels.
    Sigma,
    /// Which distribution a noise level comes from.
    SigmaKind,
    /// Normal part of the noise levels.
    SigmaNormal,
    /// Noise on real data.
    NoiseReal,
    /// Noise on samples.
    NoiseFake,
    /// A second time below the first.
    Level,
    /// Classes that are drawn without data.
    Class,
    /// Which labels are dropped.
    Label = 64,
}

/// Shape and place of the training data.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSpec {
    /// `[H, W, C]` of an image, or `[D]` of a point.
    pub shape: Vec<usize>,
    /// How many there are.
    pub rows: usize,
    /// Bytes of images (mapped from 0..=255 to -1..=1), else numbers.
    pub bytes: bool,
    /// How many classes they have; 0 without labels.
    pub classes: usize,
}

impl DataSpec {
    /// Store of the data: packed bytes or numbers, row after row.
    pub const STORE: &'static str = "data";
    /// Store of the labels: the class of each row, as a number. A number that is no class stands for none.
    pub const LABELS: &'static str = "labels";

    /// Numbers of one data point.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// Words of the store.
    pub fn store_len(&self) -> usize {
        let elements = self.rows * self.width();
        if self.bytes { elements.div_ceil(4) } else { elements }
    }

    /// `[batch, ..shape]`
    pub fn batch_shape(&self, batch: usize) -> Vec<usize> {
        std::iter::once(batch).chain(self.shape.iter().copied()).collect()
    }

    /// Which rows are in the batch `[batch]`.
    fn index<'g>(&self, graph: &'g Graph, batch: usize) -> Var<'g> {
        (graph.uniform(Stream::Index as u32, &[batch]) * self.rows as f32).floor()
    }

    /// One-hot labels `[batch, classes]` of the rows that [`DataSpec::real`] draws.
    pub fn labels<'g>(&self, graph: &'g Graph, batch: usize) -> Var<'g> {
        graph.scope("labels", || {
            let store = graph.input(Self::LABELS, 0, &[self.rows, 1]);
            let index = graph.scope("data", || self.index(graph, batch));
            one_hot(store.gather(index).reshape(&[batch]), self.classes)
        })
    }

    /// A random batch of real data, drawn with replacement.
    pub fn real<'g>(&self, graph: &'g Graph, batch: usize) -> Var<'g> {
        graph.scope("data", || {
            let index = self.index(graph, batch);
            let shape = self.batch_shape(batch);
            if self.bytes {
                let store = graph.input(Self::STORE, 0, &[self.store_len()]);
                let bytes = store.gather_bytes(index, self.rows, self.width());
                bytes.reshape(&shape) * (1.0 / 127.5) - 1.0
            } else {
                let store = graph.input(Self::STORE, 0, &[self.rows, self.width()]);
                store.gather(index).reshape(&shape)
            }
        })
    }
}

/// Normal numbers in the shape of a batch.
pub fn noise<'g>(graph: &'g Graph, stream: Stream, shape: &[usize]) -> Var<'g> {
    graph.normal(stream as u32, shape)
}

/// `x + sigma eps` for data `x [B, ..]` and `sigma [B]`.
pub fn add_noise<'g>(x: Var<'g>, sigma: Var<'g>, stream: Stream) -> Var<'g> {
    x + per_sample(sigma, x.rank()) * noise(x.graph(), stream, &x.shape())
}

/// Numbers in 0 to 1 `[batch]`, one in each of `batch` equal intervals.
pub fn stratified(graph: &Graph, batch: usize) -> Var<'_> {
    (graph.iota(batch) + graph.uniform(Stream::Sigma as u32, &[batch])) * (1.0 / batch as f32)
}

/// Noise levels uniform in the logarithm, `[batch]`, and the numbers in 0 to 1 behind them: one in
/// each of `batch` equal intervals, so that no step leaves a range of noise levels out.
pub fn log_uniform_sigma(graph: &Graph, batch: usize, lo: f32, hi: f32) -> (Var<'_>, Var<'_>) {
    let ln = |x: f32| f64::from(x).ln() as f32;
    let u = stratified(graph, batch);
    ((u * ln(hi / lo) + ln(lo)).exp(), u)
}

/// Noise levels of the warm-up, `[batch]`: half log-normal (Karras et al. 2022, table 1: mean
/// -1.2, deviation 1.2), half uniform in the logarithm over [0.02, 80], so that the level at
/// which the generator starts is trained, too.
pub fn warmup_sigma(graph: &Graph, batch: usize) -> Var<'_> {
    let normal = noise(graph, Stream::SigmaNormal, &[batch]) * 1.2 - 1.2;
    let uniform = log_uniform_sigma(graph, batch, 0.02, 80.0).0.log();
    let kind = graph.uniform(Stream::SigmaKind as u32, &[batch]).less(graph.constant(0.5));
    (kind * normal + (1.0 - kind) * uniform).exp()
}
