//! What every loss draws: real data, latents, noise and noise levels, all on the device.

use super::slots::Slots;
use crate::graph::{Distribution, Graph, Var};
use crate::nets::one_hot;

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
    /// Which of several steps is trained.
    Step,
    /// Noise of the second of several steps.
    FirstJump,
    /// Noise of the third.
    SecondJump,
    /// Noise of the fourth.
    ThirdJump,
    /// Places of real points in their parts of a density.
    Place,
    /// Noise of one of two next states.
    FirstChoice,
    /// Noise of the other.
    SecondChoice,
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

    /// Which rows are in these slots `[B]`.
    fn index<'g>(&self, graph: &'g Graph, slots: Slots) -> Var<'g> {
        (uniform(graph, Stream::Index, slots) * self.rows as f32).floor()
    }

    /// One-hot labels `[B, classes]` of the rows that [`DataSpec::real`] draws.
    pub fn labels<'g>(&self, graph: &'g Graph, slots: Slots) -> Var<'g> {
        graph.scope("labels", || {
            let store = graph.input(Self::LABELS, 0, &[self.rows, 1]);
            let index = graph.scope("data", || self.index(graph, slots));
            one_hot(store.gather(index).reshape(&[slots.len]), self.classes)
        })
    }

    /// A random batch of real data, drawn with replacement.
    pub fn real<'g>(&self, graph: &'g Graph, slots: Slots) -> Var<'g> {
        graph.scope("data", || {
            let index = self.index(graph, slots);
            let shape = self.batch_shape(slots.len);
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

/// Standard normal numbers `[B, ..]`, each slot's of the shape `rest`.
pub fn noise<'g>(graph: &'g Graph, stream: Stream, slots: Slots, rest: &[usize]) -> Var<'g> {
    slots.random(graph, Distribution::Normal, stream as u32, rest)
}

/// Uniform numbers in 0 to 1 `[B]`.
pub fn uniform(graph: &Graph, stream: Stream, slots: Slots) -> Var<'_> {
    slots.random(graph, Distribution::Uniform, stream as u32, &[])
}

/// Numbers from 0 to below 1 `[B]`, one in each of as many equal intervals as the whole batch has samples.
pub fn stratified(graph: &Graph, slots: Slots) -> Var<'_> {
    // In a large batch the sum of the last may be rounded up.
    ((slots.numbers(graph) + uniform(graph, Stream::Sigma, slots)) * (1.0 / slots.whole as f32))
        .clamp(0.0, 1.0 - 0.5 * f32::EPSILON)
}

/// Noise levels uniform in the logarithm, `[B]`, and the numbers in 0 to 1 behind them: one in
/// each of equal intervals, so that no step leaves a range of noise levels out.
pub fn log_uniform_sigma(graph: &Graph, slots: Slots, lo: f32, hi: f32) -> (Var<'_>, Var<'_>) {
    let ln = |x: f32| f64::from(x).ln() as f32;
    let u = stratified(graph, slots);
    ((u * ln(hi / lo) + ln(lo)).exp(), u)
}

/// Noise levels of the warm-up, `[B]`: half log-normal (Karras et al. 2022, table 1: mean
/// -1.2, deviation 1.2), half uniform in the logarithm over [0.02, 80], so that the level at
/// which the generator starts is trained, too.
pub fn warmup_sigma(graph: &Graph, slots: Slots) -> Var<'_> {
    let normal = noise(graph, Stream::SigmaNormal, slots, &[]) * 1.2 - 1.2;
    let uniform_log = log_uniform_sigma(graph, slots, 0.02, 80.0).0.log();
    let kind = uniform(graph, Stream::SigmaKind, slots).less(graph.constant(0.5));
    (kind * normal + (1.0 - kind) * uniform_log).exp()
}
