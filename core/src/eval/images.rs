//! Metrics of images: bytes in, named numbers out.
//!
//! [`evaluate_images`] compares generated images with real ones on the features of the embedded classifier;
//! [`reference_floor`] compares real ones with real ones, which is what a perfect generator would get and the only
//! scale on which a value can be read. Both sides are bytes, quantised alike: what is judged is what would be saved.
//!
//! No value says much alone. Precision least of all: 10,000 black images have precision 1 and recall 0 on MNIST, and
//! noise has precision 0.3, because a few unusual digits have large balls. Which real images are compared matters, too:
//! a stride through MNIST's training images is biased ([`reference_floor`] takes random ones).
//!
//! Invariant: the number of images on both sides comes out with every value, since all of these metrics depend on it.

use super::EvalError;
use super::classifier::{IMAGE, shares_of};
use super::frechet::{FeatureStats, frechet_distance};
use super::image_features::FEATURES;
use super::lenet::{Lenet, LenetError, Outputs};
use super::manifold::{DEFAULT_K, Manifold, compare};
use super::nearest::share_of_copies;
use super::report::{Metric, MetricKind};
use crate::exec::Executor;
use crate::random::threefry2x32;

/// Random stream of [`random_halves`].
const STREAM_HALVES: u32 = 0x4A1F;

/// Compares `fake [M, 28, 28, 1]` with `real [N, 28, 28, 1]`, bytes from black 0 to white 255: one [`Metric`] for each
/// of `metrics`, in that order, with M in its name and N in [`Metric::against`].
///
/// `metrics` are those of [`MetricKind::IMAGES`]; the others are an error before any work. Images of another shape
/// have no features ([`Lenet::check_shape`]).
pub async fn evaluate_images(
    executor: &mut Executor,
    real: &[u8],
    fake: &[u8],
    metrics: &[MetricKind],
) -> Result<Vec<Metric>, LenetError> {
    Lenet::embedded()?.evaluate(executor, real, fake, metrics).await
}

/// The metrics of real images against other real images: `held_out` (the test images) against `real` (the training
/// images) or, without `held_out`, two random halves of `real`, always the same ones.
///
/// Names say `floor` and the number of images that stood in for generated ones. Fewer images make every floor worse,
/// so a value of 10,000 generated images has a floor of 10,000 held-out ones, not of two halves.
pub async fn reference_floor(
    executor: &mut Executor,
    real: &[u8],
    held_out: Option<&[u8]>,
    metrics: &[MetricKind],
) -> Result<Vec<Metric>, LenetError> {
    Lenet::embedded()?.floor(executor, real, held_out, metrics).await
}

impl Lenet {
    /// As [`evaluate_images`], with these weights.
    pub async fn evaluate(
        &self,
        executor: &mut Executor,
        real: &[u8],
        fake: &[u8],
        metrics: &[MetricKind],
    ) -> Result<Vec<Metric>, LenetError> {
        let values = self.measure(executor, real, fake, metrics).await?;
        named(metrics, &values, [real, fake], Metric::new)
    }

    /// As [`reference_floor`], with these weights.
    pub async fn floor(
        &self,
        executor: &mut Executor,
        real: &[u8],
        held_out: Option<&[u8]>,
        metrics: &[MetricKind],
    ) -> Result<Vec<Metric>, LenetError> {
        let halves = held_out.is_none().then(|| {
            let taken = |index: &usize| &real[index * IMAGE..][..IMAGE];
            random_halves(real.len() / IMAGE).map(|half| half.iter().flat_map(taken).copied().collect::<Vec<u8>>())
        });
        let (real, other) = match (&halves, held_out) {
            (Some([first, second]), _) => (&first[..], &second[..]),
            (None, other) => (real, other.unwrap_or_default()),
        };
        let values = self.measure(executor, real, other, metrics).await?;
        named(metrics, &values, [real, other], Metric::floor)
    }

    async fn measure(
        &self,
        executor: &mut Executor,
        real: &[u8],
        fake: &[u8],
        metrics: &[MetricKind],
    ) -> Result<Vec<f64>, LenetError> {
        if let Some(other) = metrics.iter().find(|kind| !MetricKind::IMAGES.contains(kind)) {
            let names: Vec<&str> = MetricKind::IMAGES.iter().map(|kind| kind.stem()).collect();
            let wanted = format!("metrics of images: {}", names.join(", "));
            return Err(EvalError::Setting { name: "metric", wanted, got: other.stem().to_owned() }.into());
        }
        for (what, images) in [("real images", real), ("generated images", fake)] {
            if images.is_empty() || !images.len().is_multiple_of(IMAGE) {
                return Err(LenetError::Images { what, got: images.len() });
            }
        }
        let mut sides = None;
        if metrics.iter().any(|kind| *kind != MetricKind::Copies) {
            let lenet = self.load(executor)?;
            let real = lenet.run(executor, "real images", real).await?;
            sides = Some((real, lenet.run(executor, "generated images", fake).await?));
        }
        let mut manifold = None;
        let mut values = Vec::with_capacity(metrics.len());
        for kind in metrics {
            values.push(match (kind, &sides) {
                (MetricKind::FidLenet, Some((real, fake))) => frechet_distance(&stats(real)?, &stats(fake)?)?,
                (MetricKind::RarestClass, Some((_, fake))) => shares_of(&fake.logits)?.into_iter().fold(1.0, f64::min),
                (MetricKind::CommonestClass, Some((_, fake))) => {
                    shares_of(&fake.logits)?.into_iter().fold(0.0, f64::max)
                }
                (kind, Some((real, fake))) if *kind != MetricKind::Copies => {
                    let found = match manifold {
                        Some(found) => found,
                        None => compare(&real.rows("real features")?, &fake.rows("generated features")?, DEFAULT_K)?,
                    };
                    share(*kind, manifold.insert(found))
                }
                _ => share_of_copies(real, fake, IMAGE)?,
            });
        }
        Ok(values)
    }
}

/// The numbers below `n` in two random halves, the first one larger if `n` is odd.
///
/// Not every second one: MNIST's training images alternate between two sources, and of the first 10,000 the even ones
/// are at a Frechet distance of 202 from the odd ones, where random halves are at 4.4. Nor the first and the second
/// half: the two halves of MNIST's test images differ as well, and folders are sorted by class.
fn random_halves(n: usize) -> [Vec<usize>; 2] {
    let mut order = random_order(n);
    let second = order.split_off(n.div_ceil(2));
    [order, second]
}

/// 0 to n - 1 in a random order that is always the same: the first k are a fair choice of k images,
/// which neither a slice nor every m-th image is.
pub fn random_order(n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&i| (threefry2x32([0, STREAM_HALVES], [0, i as u32]), i));
    order
}

/// Each value with its name and both counts, of `[real, fake]`.
fn named(
    kinds: &[MetricKind],
    values: &[f64],
    [real, fake]: [&[u8]; 2],
    name: impl Fn(MetricKind, f64, usize) -> Result<Metric, EvalError>,
) -> Result<Vec<Metric>, LenetError> {
    let metric = |(kind, value): (&MetricKind, &f64)| {
        Ok(Metric { against: Some(real.len() / IMAGE), ..name(*kind, *value, fake.len() / IMAGE)? })
    };
    kinds.iter().zip(values).map(metric).collect()
}

fn stats(side: &Outputs) -> Result<FeatureStats, EvalError> {
    FeatureStats::from_features(&side.features, side.features.len() / FEATURES, FEATURES)
}

/// The number of `manifold` that `kind` asks for.
fn share(kind: MetricKind, manifold: &Manifold) -> f64 {
    match kind {
        MetricKind::PrecisionLenet => manifold.precision,
        MetricKind::RecallLenet => manifold.recall,
        MetricKind::DensityLenet => manifold.density,
        MetricKind::CoverageLenet => manifold.coverage,
        _ => f64::NAN, // no such kind comes here; NaN is refused by `Metric`
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::normals;
    use super::*;
    use crate::exec::cpu::CpuExecutor;

    fn cpu() -> Executor {
        Executor::Cpu(CpuExecutor::new())
    }

    fn noise(count: usize) -> Vec<u8> {
        normals(1, count * IMAGE).iter().map(|v| (127.5 + 64.0 * v) as u8).collect()
    }

    #[cfg(feature = "native")] // unpacks the embedded images
    #[test]
    fn noise_is_far_from_digits_and_digits_are_not() {
        let data = crate::data::embedded_mnist();
        let digits = &data.images[..1200 * IMAGE];
        let kinds = MetricKind::IMAGES;
        let floor = pollster::block_on(reference_floor(&mut cpu(), digits, None, &kinds)).unwrap();
        let half = &digits[..600 * IMAGE];
        let found = pollster::block_on(evaluate_images(&mut cpu(), half, &noise(500), &kinds)).unwrap();
        let names: Vec<&str> = floor.iter().map(|m| &m.name[..]).collect();
        assert_eq!(names[..2], ["fid_lenet_floor_600", "precision_lenet_floor_600"]);
        assert_eq!((floor[0].count, floor[0].against), (600, Some(600)));
        assert_eq!(found[0].name, "fid_lenet_500");
        assert_eq!((found[0].count, found[0].against), (500, Some(600)));
        let value = |metrics: &[Metric], kind| metrics[kinds.iter().position(|k| *k == kind).unwrap()].value;
        let (far, near) = (value(&found, MetricKind::FidLenet), value(&floor, MetricKind::FidLenet));
        assert!(far > 20.0 * near, "noise {far}, digits {near}");
        // Not precision, which noise has, too: see the module's description.
        for kind in [MetricKind::RecallLenet, MetricKind::CoverageLenet] {
            let (far, near) = (value(&found, kind), value(&floor, kind));
            assert!(far < 0.1 && near > 0.5, "{}: noise {far}, digits {near}", kind.stem());
        }
        assert_eq!(value(&found, MetricKind::Copies), 0.0);
        // Of 600 random digits, of 60,000 that hold 1,000 of each, a class has 60, give or take five times 7.3.
        let [rarest, commonest] = [MetricKind::RarestClass, MetricKind::CommonestClass].map(|kind| value(&floor, kind));
        assert!((0.04..0.1).contains(&rarest) && (0.1..0.16).contains(&commonest), "{rarest} to {commonest}");
        let one = pollster::block_on(evaluate_images(&mut cpu(), half, &digits[..IMAGE], &kinds[6..])).unwrap();
        assert_eq!([one[0].value, one[1].value], [0.0, 1.0]);
    }

    #[cfg(feature = "native")]
    #[test]
    fn the_same_images_are_copies_at_no_distance() {
        let data = crate::data::embedded_mnist();
        let images = &data.images[..300 * IMAGE];
        let kinds = [MetricKind::Copies, MetricKind::FidLenet, MetricKind::RecallLenet];
        let found = pollster::block_on(evaluate_images(&mut cpu(), images, images, &kinds)).unwrap();
        assert_eq!((found[0].value, found[2].value), (1.0, 1.0));
        assert!(found[1].value < 1e-4, "{}", found[1]);
        let floor = pollster::block_on(reference_floor(&mut cpu(), images, Some(images), &kinds)).unwrap();
        assert_eq!((floor[0].name.as_str(), floor[0].value), ("copies_floor_300", 1.0));
    }

    #[test]
    fn halves_are_disjoint_and_follow_no_pattern_of_the_order() {
        let [first, second] = random_halves(4001);
        assert_eq!((first.len(), second.len()), (2001, 2000));
        let mut all = [&first[..], &second[..]].concat();
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..4001));
        // Five standard deviations of the binomial count of 2,000 are 112.
        for (what, count) in [
            ("even ones", first.iter().filter(|i| i.is_multiple_of(2)).count()),
            ("of the lower half", first.iter().filter(|i| **i < 2000).count()),
        ] {
            assert!(count.abs_diff(1000) < 112, "{count} {what}");
        }
        assert_eq!(random_halves(1), [vec![0], vec![]]);
    }

    #[test]
    fn bad_input_is_an_error_before_any_work() {
        let images = noise(8);
        let run = |real: &[u8], fake: &[u8], kind| {
            let mut executor = cpu();
            let error = pollster::block_on(evaluate_images(&mut executor, real, fake, &[kind])).unwrap_err();
            assert!(executor.memory().is_empty(), "nothing was loaded");
            error.to_string()
        };
        let text = run(&images, &images, MetricKind::KlGrid);
        assert!(text.contains("metrics of images: fid_lenet") && text.contains("got kl_grid"), "{text}");
        let text = run(&images, &images[1..], MetricKind::FidLenet);
        assert!(text.starts_with("generated images: 6271 bytes"), "{text}");
        let text = run(&[], &images, MetricKind::Copies);
        assert!(text.starts_with("real images: 0 bytes"), "{text}");
    }

    #[test]
    fn too_few_images_for_neighbours_are_an_error() {
        let images = noise(3);
        let kinds = [MetricKind::PrecisionLenet];
        let error = pollster::block_on(evaluate_images(&mut cpu(), &images, &images, &kinds)).unwrap_err();
        assert!(matches!(error, LenetError::Eval(EvalError::TooFew { wanted: 4, got: 3, .. })), "{error}");
        let one = &images[..IMAGE];
        assert!(pollster::block_on(reference_floor(&mut cpu(), one, None, &kinds)).is_err(), "no second half");
    }
}
