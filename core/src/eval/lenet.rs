//! The trained classifier of [`super::image_features`], ready to use.
//!
//! [`Lenet::embedded`] has the weights that are built in (`assets/README.md` says how they were made); the executor
//! that it is [loaded](Lenet::load) onto maps images to features. [`super::lenet_file`] is its form in files,
//! [`super::images`] turns features into metrics.
//!
//! Invariant: an image's features depend on its bytes and the weights alone, not on its neighbours in the call:
//! batches have one size, and the rest of the last one is zeros.

use std::collections::BTreeMap;

use super::classifier::{IMAGE, NETWORK, accuracy_of, append_features, batches, feature_plan, store_len};
use super::image_features::{CLASSES, FEATURES, SIDE};
use super::{EvalError, Rows};
use crate::exec::{ExecError, Executor, PlanId, RunArgs};
use crate::plan::PlanError;

/// Images per run. Activations then take 25 MB, and a run is short enough not to freeze a browser's tab.
const BATCH: usize = 250;
/// Store of the weights; not one of the training plan's, so that both can be on one executor.
const WEIGHTS: &str = "classifier.embedded";
/// What is built in, 16-bit numbers.
const EMBEDDED: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/lenet-mnist.safetensors"));

/// Why there are no features.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LenetError {
    /// Images that the classifier was not made for.
    #[error(
        "the lenet features are made for grey images of {SIDE} x {SIDE} (H x W x C = {SIDE}x{SIDE}x1), got {}; load the \
         data in that size with one channel, or choose a metric without features, such as copies",
        shape_text(got)
    )]
    Shape {
        /// Their sizes, H, W, C.
        got: Vec<usize>,
    },
    /// Bytes that are no such images.
    #[error(
        "{what}: {got} bytes are no whole number (at least 1) of grey images of {SIDE} x {SIDE}, {IMAGE} bytes each; \
         give N x {SIDE} x {SIDE} bytes with one channel, resized before if need be"
    )]
    Images {
        /// Which operand.
        what: &'static str,
        /// Bytes that came.
        got: usize,
    },
    /// Weights that cannot be read or written.
    #[error("{file}: {problem}; make the file again with the example `train_lenet`")]
    File {
        /// Whose weights.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// A metric without a value.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// The device refused.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The network has no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

fn shape_text(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

/// Weights of the classifier, and what is known about them.
#[derive(Clone, Debug, PartialEq)]
pub struct Lenet {
    /// Flat, as [`super::classifier::layout`] says; all finite.
    pub(super) weights: Vec<f32>,
    /// Share of MNIST's test images that are recognised, 0 to 1.
    pub(super) test_accuracy: f64,
    /// Data set, licence, seed, command and the like, for people.
    pub(super) notes: BTreeMap<String, String>,
}

impl Lenet {
    /// New weights with the accuracy that was measured on images that they were not trained on.
    pub fn new(weights: Vec<f32>, test_accuracy: f64, notes: BTreeMap<String, String>) -> Self {
        Self { weights, test_accuracy, notes }
    }

    /// The weights that are built in, the only ones on which metrics of different programs can be compared.
    pub fn embedded() -> Result<Self, LenetError> {
        Self::from_bytes("the classifier that is built in (assets/lenet-mnist.safetensors)", EMBEDDED)
    }

    /// Share of MNIST's 10,000 test images that these weights recognise, as measured when they were made.
    pub fn test_accuracy(&self) -> f64 {
        self.test_accuracy
    }

    /// The flat parameters, as [`super::classifier::layout`] says.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Data set, licence, seed, command and the like, by key.
    pub fn notes(&self) -> &BTreeMap<String, String> {
        &self.notes
    }

    /// Whether images of this shape (H, W, C) have features; the error says what to do.
    pub fn check_shape(shape: &[usize]) -> Result<(), LenetError> {
        if shape == [SIDE, SIDE, 1] { Ok(()) } else { Err(LenetError::Shape { got: shape.to_vec() }) }
    }

    /// Puts the weights onto a device. Whoever measures often keeps the result: executors keep every plan.
    pub fn load(&self, executor: &mut Executor) -> Result<LoadedLenet, LenetError> {
        let store = |name: &str| format!("{NETWORK}.{name}");
        executor.create_store(WEIGHTS, store_len())?;
        executor.create_store(&store("batch"), BATCH * IMAGE)?;
        executor.create_store(&store("features"), BATCH * FEATURES)?;
        executor.create_store(&store("logits"), BATCH * CLASSES)?;
        executor.write(WEIGHTS, 0, &self.weights)?;
        let plan = executor.prepare(&feature_plan(WEIGHTS, BATCH)?)?;
        Ok(LoadedLenet { plan })
    }

    /// Features `[N, 64]` of `images [N, 28, 28, 1]`, bytes from black 0 to white 255.
    pub async fn features(&self, executor: &mut Executor, images: &[u8]) -> Result<Vec<f32>, LenetError> {
        Ok(self.load(executor)?.run(executor, "images", images).await?.features)
    }

    /// Share of `images [N, 28, 28, 1]` that are recognised as their `labels [N]`, 0 to 9.
    pub async fn accuracy(&self, executor: &mut Executor, images: &[u8], labels: &[u8]) -> Result<f64, LenetError> {
        let logits = self.load(executor)?.run(executor, "images", images).await?.logits;
        Ok(accuracy_of(&logits, labels)?)
    }
}

/// A classifier on an executor; good for that executor only, until the next [`Lenet::load`] with other weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedLenet {
    plan: PlanId,
}

/// What the classifier says about N images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// `[N, 64]`, before their activation.
    pub features: Vec<f32>,
    /// `[N, 10]`
    pub logits: Vec<f32>,
}

impl Outputs {
    /// The features as checked rows; `what` names them in errors.
    pub fn rows<'a>(&'a self, what: &'a str) -> Result<Rows<'a>, EvalError> {
        Rows::new(what, &self.features, self.features.len() / FEATURES, FEATURES)
    }
}

impl LoadedLenet {
    /// Features and logits of `images [N, 28, 28, 1]`; `what` names them in errors.
    pub async fn run(&self, executor: &mut Executor, what: &'static str, images: &[u8]) -> Result<Outputs, LenetError> {
        if images.is_empty() || !images.len().is_multiple_of(IMAGE) {
            return Err(LenetError::Images { what, got: images.len() });
        }
        let mut all = Outputs::default();
        for batch in batches(images, BATCH)? {
            executor.write(&format!("{NETWORK}.batch"), 0, &batch.pixels)?;
            executor.run(self.plan, &RunArgs { scalars: &[], seed: 0, step: 0 })?;
            let features = executor.read(&format!("{NETWORK}.features"), 0, BATCH * FEATURES).await?;
            append_features(&mut all.features, &batch, &features);
            all.logits.extend(executor.read(&format!("{NETWORK}.logits"), 0, batch.rows * CLASSES).await?);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::cpu::CpuExecutor;

    #[test]
    fn other_images_are_refused_with_the_fix() {
        Lenet::check_shape(&[28, 28, 1]).unwrap();
        let text = Lenet::check_shape(&[32, 32, 3]).unwrap_err().to_string();
        assert!(text.contains("got 32x32x3; load the data in that size with one channel"), "{text}");
        let lenet = Lenet::embedded().unwrap();
        let mut cpu = Executor::Cpu(CpuExecutor::new());
        for len in [0, 1, IMAGE + 1, 32 * 32 * 3] {
            let error = pollster::block_on(lenet.features(&mut cpu, &vec![0; len])).unwrap_err();
            assert!(matches!(error, LenetError::Images { got, .. } if got == len), "{error}");
            assert!(error.to_string().contains("give N x 28 x 28 bytes"), "{error}");
        }
    }

    #[test]
    fn embedded_weights_say_what_they_are() {
        let lenet = Lenet::embedded().unwrap();
        assert!((0.985..1.0).contains(&lenet.test_accuracy()), "{}", lenet.test_accuracy());
        assert!(EMBEDDED.len() < 220_000, "{} bytes: 16-bit numbers fit in less", EMBEDDED.len());
        for key in ["what", "dataset", "license", "seed", "command"] {
            assert!(lenet.notes().get(key).is_some_and(|text| !text.is_empty()), "no {key}");
        }
    }

    #[cfg(feature = "native")] // unpacks the embedded images
    #[test]
    fn embedded_classifier_recognises_the_embedded_digits() {
        // These are training images, so this finds damaged or mixed-up weights, not overfitting: the stated accuracy
        // on test images is the least that must come out.
        let data = crate::data::embedded_mnist();
        // An odd stride: MNIST's even and odd images have different sources.
        let sample = data.select(&(0..1000).map(|i| i * 7).collect::<Vec<_>>());
        let labels: Vec<u8> = (0..sample.n).map(|i| sample.label(i).unwrap() as u8).collect();
        let lenet = Lenet::embedded().unwrap();
        let mut cpu = Executor::Cpu(CpuExecutor::new());
        let accuracy = pollster::block_on(lenet.accuracy(&mut cpu, &sample.images, &labels)).unwrap();
        let stated = lenet.test_accuracy();
        assert!(accuracy >= stated - 0.005, "{accuracy} of 1,000 training images, {stated} stated for test images");
    }

    #[cfg(feature = "native")]
    #[test]
    fn features_depend_on_the_image_alone() {
        let data = crate::data::embedded_mnist();
        let images = &data.images[..(BATCH + 3) * IMAGE];
        let lenet = Lenet::embedded().unwrap();
        let mut cpu = Executor::Cpu(CpuExecutor::new());
        let first = pollster::block_on(lenet.features(&mut cpu, images)).unwrap();
        assert_eq!(first.len(), (BATCH + 3) * FEATURES);
        let again = pollster::block_on(lenet.features(&mut cpu, images)).unwrap();
        assert_eq!(first, again, "the second load on the same executor");
        let fresh = &mut Executor::Cpu(CpuExecutor::new());
        let alone = pollster::block_on(lenet.features(fresh, &images[(BATCH + 2) * IMAGE..])).unwrap();
        assert_eq!(alone, first[(BATCH + 2) * FEATURES..], "another place in another batch");
    }
}
