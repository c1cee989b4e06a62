//! Images against a split of a data set: on the features of the embedded classifier where they have its shape, and
//! pixel by pixel.

use anyhow::Context;
use onestep_core::data::{Dataset, LoadOptions, Split};
use onestep_core::eval::energy::{DEFAULT_POINTS, energy_of_rows};
use onestep_core::eval::images::{evaluate_images, random_order, reference_floor};
use onestep_core::eval::lenet::Lenet;
use onestep_core::eval::manifold::DEFAULT_K;
use onestep_core::eval::nearest::share_of_copies;
use onestep_core::eval::report::{Metric, MetricKind};
use onestep_core::eval::spectrum::{corners, nyquist, power};
use onestep_core::eval::{EvalError, Rows};
use onestep_core::exec::Executor;

use crate::download::load_with_bar;
use crate::pictures::to_bytes;

/// Real images, in the shape that the model makes.
pub struct ImageReference {
    /// In random order; all of the split, if copies are looked for.
    data: Dataset,
    /// How many of them, the first ones, samples are compared with otherwise.
    compared: usize,
    split: Split,
    /// Images of the whole split.
    of: usize,
}

/// What is measured of pixels, without the features of the built-in classifier; first what is usual of images that have
/// none.
pub const OF_PIXELS: [MetricKind; 5] = [
    MetricKind::EnergyPixels,
    MetricKind::Copies,
    MetricKind::Corners,
    MetricKind::PowerNyquist,
    MetricKind::PowerFine,
];

fn has_features(kind: MetricKind) -> bool {
    !OF_PIXELS.contains(&kind)
}

/// Real images that are compared, unless more samples are drawn.
const IMAGES: usize = 10_000;

impl ImageReference {
    /// Images evenly spread over the split, which may be sorted by class: as many as there are samples, but not
    /// less than [`IMAGES`] if the split has them. Copies are looked for among all of them.
    pub fn load(
        spec: &str,
        split: Split,
        shape: [usize; 3],
        num: usize,
        kinds: &[MetricKind],
        quiet: bool,
    ) -> anyhow::Result<Self> {
        if kinds.iter().any(|kind| has_features(*kind)) {
            Lenet::check_shape(&shape)?;
        }
        let [height, width, channels] = shape;
        let resize = Some((width, height));
        let options = LoadOptions { split, resize, channels: Some(channels), ..LoadOptions::default() };
        let data = load_with_bar(spec, &options, quiet)?;
        let of = data.n;
        let compared = num.max(IMAGES).min(of);
        let mut indices = random_order(of);
        if !kinds.contains(&MetricKind::Copies) {
            indices.truncate(compared);
        }
        Ok(Self { data: data.select(&indices), compared, split, of })
    }

    /// What the numbers refer to.
    pub fn describe(&self) -> String {
        let Self { data, compared, split, of } = self;
        format!("{compared} of {of} images of {}, split {}", data.name, split.name())
    }

    /// Real images behind a value of this kind.
    pub fn count(&self, kind: MetricKind) -> usize {
        if kind == MetricKind::Copies { self.of } else { self.compared }
    }

    /// The images that samples are compared with.
    fn real(&self) -> &[u8] {
        &self.data.images[..self.compared * self.data.image_len()]
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
        let features: Vec<MetricKind> = kinds.iter().copied().filter(|kind| has_features(*kind)).collect();
        let mut of_features = Vec::new();
        if !features.is_empty() {
            of_features = pollster::block_on(evaluate_images(executor, self.real(), &images, &features))?;
        }
        let mut of_features = of_features.into_iter();
        let value = |kind: &MetricKind| match kind {
            kind if has_features(*kind) => Ok(of_features.next().context("every metric has a value")?.value),
            kind => self.of_pixels(*kind, self.real(), &images),
        };
        kinds.iter().map(value).collect()
    }

    /// The value of a kind of [`OF_PIXELS`].
    fn of_pixels(&self, kind: MetricKind, real: &[u8], fake: &[u8]) -> anyhow::Result<f64> {
        let shape = self.shape();
        let fine = |images: &[u8]| power(images, shape, 4).map(|rings| rings[3]);
        Ok(match kind {
            MetricKind::EnergyPixels => self.energy(real, fake)?,
            MetricKind::Copies => share_of_copies(&self.data.images, fake, self.data.image_len())?,
            MetricKind::Corners => corners(fake, shape)?,
            MetricKind::PowerNyquist => nyquist(fake, shape)? / nyquist(real, shape)?,
            MetricKind::PowerFine => fine(fake)? / fine(real)?,
            other => unreachable!("{} has features", other.stem()),
        })
    }

    fn shape(&self) -> [usize; 3] {
        [self.data.height, self.data.width, self.data.channels]
    }

    /// Power by frequency of samples `[N, H, W, C]` in this range, and of as many real images: see [`power`].
    pub fn power(&self, samples: &[f32], range: [f32; 2], rings: usize) -> Result<[Vec<f64>; 2], EvalError> {
        let shape = self.shape();
        let images = to_bytes(samples, range);
        // The reference is in random order.
        let real = &self.real()[..images.len().min(self.real().len())];
        Ok([power(&images, shape, rings)?, power(real, shape, rings)?])
    }

    /// The same metrics of real images in place of samples, half of the reference against the other half: the scale
    /// on which the values are to be read.
    pub fn floor(&self, executor: &mut Executor, kinds: &[MetricKind]) -> anyhow::Result<Vec<Metric>> {
        let features: Vec<MetricKind> = kinds.iter().copied().filter(|kind| has_features(*kind)).collect();
        let mut floors = Vec::new();
        // Of fewer, a half has too few neighbours.
        if !features.is_empty() && self.compared > 2 * DEFAULT_K {
            floors = pollster::block_on(reference_floor(executor, self.real(), None, &features))?;
        }
        // No real image is a copy of another. The reference is in random order.
        let of_pixels = kinds.iter().filter(|kind| !has_features(**kind) && **kind != MetricKind::Copies);
        let (first, second) = self.real().split_at(self.compared.div_ceil(2) * self.data.image_len());
        let count = self.compared / 2;
        for kind in of_pixels {
            let floor = Metric::floor(*kind, self.of_pixels(*kind, first, second)?, count)?;
            floors.push(Metric { against: Some(self.compared - count), ..floor });
        }
        Ok(floors)
    }

    /// Energy distance of the first images of both sides, which are in no order.
    fn energy(&self, real: &[u8], fake: &[u8]) -> Result<f64, EvalError> {
        let width = self.data.image_len();
        let numbers = |bytes: &[u8]| -> Vec<f32> {
            bytes.iter().take(DEFAULT_POINTS * width).map(|b| f32::from(*b) / 127.5 - 1.0).collect()
        };
        let (real, fake) = (numbers(real), numbers(fake));
        let real = Rows::new("real images", &real, real.len() / width, width)?;
        energy_of_rows(&real, &Rows::new("generated images", &fake, fake.len() / width, width)?)
    }
}
