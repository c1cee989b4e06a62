//! Images against a split of a data set: on the features of a classifier, and pixel by pixel.

use onestep_core::data::{Dataset, LoadOptions, Split};
use onestep_core::eval::frechet::{FeatureStats, frechet_distance};
use onestep_core::eval::image_features::FEATURES;
use onestep_core::eval::manifold::{DEFAULT_K, Manifold, compare};
use onestep_core::eval::nearest::nearest;
use onestep_core::eval::report::MetricKind;
use onestep_core::eval::Rows;
use onestep_core::exec::Executor;

use crate::download::load_with_bar;
use super::features::features;
use crate::exit::bad_input;
use crate::pictures::to_bytes;

/// Real images, in the shape that the model makes.
pub struct ImageReference {
    data: Dataset,
    split: Split,
    /// Images of the whole split.
    of: usize,
}

impl ImageReference {
    /// At most `num` images, evenly spread over the split, which may be sorted by class.
    pub fn load(spec: &str, split: Split, shape: [usize; 3], num: usize, quiet: bool) -> anyhow::Result<Self> {
        let [height, width, channels] = shape;
        if spec.is_empty() {
            return Err(bad_input!("the model does not name its data; give --data"));
        }
        let resize = Some((width, height));
        let options = LoadOptions { split, resize, channels: Some(channels), ..LoadOptions::default() };
        let data = load_with_bar(spec, &options, quiet)?;
        let of = data.n;
        let kept = num.min(of);
        let indices: Vec<usize> = (0..kept).map(|i| i * of / kept).collect();
        Ok(Self { data: data.select(&indices), split, of })
    }

    /// What the numbers refer to.
    pub fn describe(&self) -> String {
        let Self { data, split, of } = self;
        format!("{} of {of} images of {}, split {}", data.n, data.name, split.name())
    }

    /// The values of `kinds` for samples `[N, H, W, C]` in this range.
    pub fn measure(
        &self,
        executor: &mut Executor,
        samples: &[f32],
        range: [f32; 2],
        kinds: &[MetricKind],
    ) -> anyhow::Result<Vec<f64>> {
        let images = to_bytes(samples, range);
        let judged = if kinds.iter().all(|kind| *kind == MetricKind::Copies) {
            None
        } else {
            Some(Judged::new(executor, &self.data, &images, kinds)?)
        };
        let value = |kind: &MetricKind| match (kind, &judged) {
            (MetricKind::Copies, _) => self.copies(&images),
            (MetricKind::FidLenet, Some(judged)) => judged.frechet(),
            (kind, Some(Judged { manifold: Some(manifold), .. })) => match kind {
                MetricKind::PrecisionLenet => Ok(manifold.precision),
                MetricKind::RecallLenet => Ok(manifold.recall),
                MetricKind::DensityLenet => Ok(manifold.density),
                MetricKind::CoverageLenet => Ok(manifold.coverage),
                other => Err(bad_input!("{} is no metric of images", other.stem())),
            },
            (other, _) => Err(bad_input!("{} is no metric of images", other.stem())),
        };
        kinds.iter().map(value).collect()
    }

    /// Share of samples that copy a real image.
    fn copies(&self, images: &[u8]) -> anyhow::Result<f64> {
        let width = self.data.image_len();
        let numbers = |bytes: &[u8]| bytes.iter().map(|b| f32::from(*b)).collect::<Vec<_>>();
        let (real, fake) = (numbers(&self.data.images), numbers(images));
        let fake = Rows::new("generated images", &fake, images.len() / width, width)?;
        let neighbours = nearest(&Rows::new("real images", &real, self.data.n, width)?, &fake)?;
        Ok(neighbours.iter().filter(|n| n.is_copy()).count() as f64 / neighbours.len() as f64)
    }
}

/// Both sides as features.
struct Judged {
    real: Vec<f32>,
    fake: Vec<f32>,
    manifold: Option<Manifold>,
}

impl Judged {
    fn new(executor: &mut Executor, data: &Dataset, images: &[u8], kinds: &[MetricKind]) -> anyhow::Result<Self> {
        let shape = &data.shape()[1..];
        let (real, fake) = (features(executor, &data.images, shape)?, features(executor, images, shape)?);
        let neighbours = kinds.iter().any(|kind| !matches!(kind, MetricKind::FidLenet | MetricKind::Copies));
        let rows = |what, values| Rows::new(what, values, values.len() / FEATURES, FEATURES);
        let manifold = neighbours
            .then(|| compare(&rows("real features", &real)?, &rows("generated features", &fake)?, DEFAULT_K))
            .transpose()?;
        Ok(Self { real, fake, manifold })
    }

    fn frechet(&self) -> anyhow::Result<f64> {
        let stats = |values: &[f32]| FeatureStats::from_features(values, values.len() / FEATURES, FEATURES);
        Ok(frechet_distance(&stats(&self.real)?, &stats(&self.fake)?)?)
    }
}
