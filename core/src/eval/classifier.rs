//! Training and running the classifier of [`super::image_features`]: plans, schedule and batches, without a device.
//!
//! Whoever has an executor fills the [stores](training_plan), runs the training plan once per step with
//! [`ClassifierConfig::scalars`], and keeps `classifier.ema`. Then [`feature_plan`] maps [`batches`] of images to
//! features. Images always come as bytes, real and generated ones alike: what is judged is what would be saved.

use super::image_features::{CLASSES, FEATURES, SIDE, accuracy, cross_entropy, lenet};
use super::{EvalError, at_least};
use crate::graph::Graph;
use crate::nets::{ParamLayout, Params};
use crate::plan::{Adam, Plan, PlanError, Program};

/// Prefix of all stores and scalars.
pub const NETWORK: &str = "classifier";
/// Rows of the statistics ring `classifier.stats`: loss, accuracy and squared gradient norm of the latest steps.
pub const STATS_ROWS: usize = 256;
/// Numbers of one image.
pub const IMAGE: usize = SIDE * SIDE;

/// Random stream of the batches' indices.
const STREAM_INDEX: u32 = 0xC1A5;

/// How the classifier is trained. The defaults are what the embedded weights were made with.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifierConfig {
    /// Images per step, drawn with replacement.
    pub batch: usize,
    /// Steps; 4,000 of 128 are about 8.5 passes over 60,000 images.
    pub steps: usize,
    /// Adam's learning rate at the first step; it falls to 0 along half a cosine.
    pub learning_rate: f64,
    /// Adam's decay of the first moment.
    pub beta1: f64,
    /// Adam's decay of the second moment.
    pub beta2: f64,
    /// Decay of the average of the weights, which are the ones that are used.
    pub ema_decay: f64,
}

impl Default for ClassifierConfig {
    fn default() -> Self {
        Self { batch: 128, steps: 4000, learning_rate: 2e-3, beta1: 0.9, beta2: 0.99, ema_decay: 0.999 }
    }
}

impl ClassifierConfig {
    /// Learning rate of `step` (from 0).
    pub fn learning_rate(&self, step: usize) -> f64 {
        let progress = step.min(self.steps) as f64 / self.steps.max(1) as f64;
        0.5 * self.learning_rate * (1.0 + (std::f64::consts::PI * progress).cos())
    }

    /// Values of a plan's scalars at `step` (from 0), in the order of `names` ([`Plan::scalars`]).
    pub fn scalars(&self, names: &[String], step: usize) -> Result<Vec<f32>, EvalError> {
        let updates = step as f64 + 1.0;
        let value = |name: &String| {
            Some(match name.strip_prefix(NETWORK)?.strip_prefix('.')? {
                "lr" => self.learning_rate(step),
                "beta1" => self.beta1,
                "beta2" => self.beta2,
                "eps" => 1e-8,
                "correction1" => 1.0 - self.beta1.powf(updates),
                "correction2" => 1.0 - self.beta2.powf(updates),
                // Shorter at first, or the random first weights would stay in the average.
                "ema_decay" => self.ema_decay.min(updates / (updates + 9.0)),
                "clip" => 0.0,
                _ => return None,
            } as f32)
        };
        let wanted = || "a scalar of the classifier's plan".to_owned();
        let unknown = |name: &String| EvalError::Setting { name: "scalar", wanted: wanted(), got: name.clone() };
        names.iter().map(|name| value(name).ok_or_else(|| unknown(name))).collect()
    }
}

/// Names, shapes and places of the weights.
pub fn layout() -> ParamLayout {
    let graph = Graph::new();
    let params = Params::new(&graph, "");
    lenet(&params, graph.input("images", 0, &[1, SIDE, SIDE, 1]));
    params.layout()
}

/// Elements of each of the stores `classifier.param`, `.grad`, `.m`, `.v` and `.ema`.
pub fn store_len() -> usize {
    layout().len.next_multiple_of(Adam::ROW)
}

/// One training step on a data set of `rows` images.
///
/// Reads `classifier.images` (`rows` x 784 bytes) and `classifier.labels` (`[rows]`, f32); updates the stores of
/// [`store_len`] elements; writes a row of `classifier.stats` (`[STATS_ROWS, 3]`). Before the first step `.param` and
/// `.ema` hold [`ParamLayout::initial`] followed by zeros, the others zeros.
pub fn training_plan(rows: usize, batch: usize) -> Result<Plan, PlanError> {
    let store = |name: &str| format!("{NETWORK}.{name}");
    let graph = Graph::new();
    let params = Params::new(&graph, &store("param"));
    let index = (graph.uniform(STREAM_INDEX, &[batch]) * rows as f32).floor();
    let bytes = graph.input(&store("images"), 0, &[(rows * IMAGE).div_ceil(4)]);
    let images = bytes.gather_bytes(index, rows, IMAGE) * (1.0 / 255.0);
    let labels = graph.input(&store("labels"), 0, &[rows, 1]).gather(index).reshape(&[batch]);
    let (_, logits) = lenet(&params, images);
    let loss = cross_entropy(logits, labels);
    let (offsets, weights): (Vec<_>, Vec<_>) = params.all().into_iter().unzip();
    let gradients = graph.grad(loss, &weights);
    let mut program = Program::new("classifier step", &graph).adam(NETWORK, store_len()).record(
        &store("stats"),
        STATS_ROWS,
        &[loss, accuracy(logits, labels)],
    );
    for (gradient, offset) in gradients.into_iter().zip(offsets) {
        program = program.output(gradient, &store("grad"), offset);
    }
    program.build()
}

/// Maps `classifier.batch` (`[batch, 28, 28, 1]`, 0 to 1) to `classifier.features` (`[batch, 64]`) and
/// `classifier.logits` (`[batch, 10]`) with the weights in the store `weights`.
pub fn feature_plan(weights: &str, batch: usize) -> Result<Plan, PlanError> {
    let graph = Graph::new();
    let params = Params::new(&graph, weights);
    let images = graph.input(&format!("{NETWORK}.batch"), 0, &[batch, SIDE, SIDE, 1]);
    let (features, logits) = lenet(&params, images);
    Program::new("classifier features", &graph)
        .output(features, &format!("{NETWORK}.features"), 0)
        .output(logits, &format!("{NETWORK}.logits"), 0)
        .build()
}

/// Pixels for one run of [`feature_plan`].
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[batch, 28, 28, 1]`, 0 to 1; rows from `rows` on are zeros, and their features mean nothing.
    pub pixels: Vec<f32>,
    /// Images in it.
    pub rows: usize,
}

/// `images [N, 28, 28, 1]` as batches of `batch`, the last one padded.
pub fn batches(images: &[u8], batch: usize) -> Result<impl Iterator<Item = Batch> + '_, EvalError> {
    at_least("batch, images", 1, batch)?;
    at_least("images, bytes", IMAGE, images.len())?;
    let n = images.len() / IMAGE;
    if images.len() != n * IMAGE {
        let what = format!("images [{n}, {SIDE}, {SIDE}, 1]");
        return Err(EvalError::Length { what, wanted: n * IMAGE, got: images.len() });
    }
    Ok(images.chunks(batch * IMAGE).map(move |bytes| {
        let mut pixels: Vec<f32> = bytes.iter().map(|&b| f32::from(b) * (1.0 / 255.0)).collect();
        pixels.resize(batch * IMAGE, 0.0);
        Batch { pixels, rows: bytes.len() / IMAGE }
    }))
}

/// Appends the features `[batch, 64]` of a batch to `all`, without those of the padding.
pub fn append_features(all: &mut Vec<f32>, batch: &Batch, features: &[f32]) {
    all.extend(&features[..batch.rows * FEATURES]);
}

/// Share of `logits [N, 10]` whose largest element is at the label; the first of equal ones counts.
pub fn accuracy_of(logits: &[f32], labels: &[u8]) -> Result<f64, EvalError> {
    let rows = super::Rows::new("logits", logits, labels.len(), CLASSES)?;
    let right = rows.iter().zip(labels).filter(|(row, label)| shown(row) == usize::from(**label)).count();
    Ok(right as f64 / labels.len() as f64)
}

/// Shares of the classes that `logits [N, 10]` are for.
pub fn shares_of(logits: &[f32]) -> Result<[f64; CLASSES], EvalError> {
    let count = logits.len() / CLASSES;
    let mut shares = [0.0; CLASSES];
    for row in super::Rows::new("logits", logits, count, CLASSES)?.iter() {
        shares[shown(row)] += 1.0 / count as f64;
    }
    Ok(shares)
}

/// The class of a row of logits; the first of equal ones.
fn shown(row: &[f32]) -> usize {
    (1..CLASSES).fold(0, |best, k| if row[k] > row[best] { k } else { best })
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_near;
    use super::*;
    use crate::plan::ArenaKind;

    fn store(plan: &Plan, name: &str) -> usize {
        let kind = ArenaKind::Store(format!("{NETWORK}.{name}"));
        plan.arenas.iter().find(|a| a.kind == kind).unwrap_or_else(|| panic!("no store {name}")).len
    }

    #[test]
    fn training_plan_reads_and_updates_the_documented_stores() {
        let plan = training_plan(60_000, 128).unwrap();
        for name in ["param", "grad", "m", "v", "ema"] {
            assert_eq!(store(&plan, name), store_len(), "{name}");
        }
        assert_eq!(store(&plan, "images"), 60_000 * IMAGE / 4);
        assert_eq!(store(&plan, "labels"), 60_000);
        assert_eq!(store(&plan, "stats"), 3 * STATS_ROWS);
        let scalars = ClassifierConfig::default().scalars(&plan.scalars, 0).unwrap();
        assert_eq!(scalars.len(), 8);
        assert!(plan.launches.iter().any(|l| l.kernel.name() == "adam"));
    }

    #[test]
    fn feature_plan_has_its_outputs() {
        let plan = feature_plan("classifier.ema", 100).unwrap();
        assert_eq!((store(&plan, "features"), store(&plan, "logits")), (100 * FEATURES, 100 * CLASSES));
        assert_eq!(store(&plan, "batch"), 100 * IMAGE);
        assert!((layout().parameters()..=store_len()).contains(&store(&plan, "ema")));
        assert!(plan.scalars.is_empty());
    }

    #[test]
    fn schedule_starts_high_and_ends_at_zero() {
        let config = ClassifierConfig::default();
        assert_near(config.learning_rate(0), 2e-3, 1e-12, "start");
        assert_near(config.learning_rate(2000), 1e-3, 1e-12, "half");
        assert_near(config.learning_rate(4000), 0.0, 1e-12, "end");
        let names = ["classifier.correction1", "classifier.correction2", "classifier.ema_decay"].map(str::to_owned);
        let first = config.scalars(&names, 0).unwrap();
        assert_near(first[0].into(), 0.1, 1e-7, "1 - 0.9");
        assert_near(first[1].into(), 0.01, 1e-7, "1 - 0.99");
        assert_near(first[2].into(), 0.1, 1e-7, "short average");
        assert_near(config.scalars(&names, 100_000).unwrap()[2].into(), 0.999, 1e-7, "long average");
        assert!(config.scalars(&["generator.lr".to_owned()], 0).is_err());
        assert!(config.scalars(&["classifier.new".to_owned()], 0).is_err());
    }

    #[test]
    fn batches_are_padded_and_padding_leaves_no_features() {
        let mut images = vec![255u8; 5 * IMAGE];
        images[4 * IMAGE] = 51;
        let all: Vec<Batch> = batches(&images, 2).unwrap().collect();
        assert_eq!(all.iter().map(|b| b.rows).collect::<Vec<_>>(), [2, 2, 1]);
        assert!(all.iter().all(|b| b.pixels.len() == 2 * IMAGE));
        assert_near(all[2].pixels[0].into(), 0.2, 1e-7, "51 of 255");
        assert_eq!((all[2].pixels[1], all[2].pixels[IMAGE]), (1.0, 0.0));
        let mut features = Vec::new();
        append_features(&mut features, &all[2], &[1.0; 2 * FEATURES]);
        assert_eq!(features.len(), FEATURES);
        assert!(batches(&images[1..], 2).is_err());
        assert!(batches(&[], 2).is_err());
        assert!(batches(&images, 0).is_err());
    }

    #[test]
    fn accuracy_counts_rows() {
        let mut logits = vec![0.0; 30];
        (logits[3], logits[10], logits[29]) = (1.0, 1.0, 1.0);
        assert_near(accuracy_of(&logits, &[3, 0, 8]).unwrap(), 2.0 / 3.0, 1e-12, "two of three");
        assert!(accuracy_of(&logits, &[3, 0]).is_err());
        assert!(accuracy_of(&[], &[]).is_err());
        logits[0] = f32::NAN;
        assert!(accuracy_of(&logits, &[3, 0, 8]).is_err());
    }
}
