//! Images against a split of a data set: on the features of the embedded classifier, and pixel by pixel.

use onestep_core::data::{Dataset, LoadOptions, Split};
use onestep_core::eval::Rows;
use onestep_core::eval::images::{evaluate_images, random_order, reference_floor};
use onestep_core::eval::lenet::{Lenet, LenetError};
use onestep_core::eval::nearest::nearest;
use onestep_core::eval::report::{Metric, MetricKind};
use onestep_core::exec::Executor;

use crate::download::load_with_bar;
use crate::exit::bad_input;
use crate::pictures::to_bytes;

/// Real images, in the shape that the model makes.
pub struct ImageReference {
    data: Dataset,
    split: Split,
    /// Images of the whole split.
    of: usize,
}

/// Real images that are compared, unless more samples are drawn.
const IMAGES: usize = 10_000;

impl ImageReference {
    /// Images evenly spread over the split, which may be sorted by class: as many as there are samples, but not
    /// less than [`IMAGES`] if the split has them.
    pub fn load(
        spec: &str,
        split: Split,
        shape: [usize; 3],
        num: usize,
        kinds: &[MetricKind],
        quiet: bool,
    ) -> anyhow::Result<Self> {
        if kinds.iter().any(|kind| *kind != MetricKind::Copies) {
            Lenet::check_shape(&shape)?;
        }
        let [height, width, channels] = shape;
        if spec.is_empty() {
            return Err(bad_input!("the model does not name its data; give --data"));
        }
        let resize = Some((width, height));
        let options = LoadOptions { split, resize, channels: Some(channels), ..LoadOptions::default() };
        let data = load_with_bar(spec, &options, quiet)?;
        let of = data.n;
        let kept = num.max(IMAGES).min(of);
        let mut indices = random_order(of);
        indices.truncate(kept);
        Ok(Self { data: data.select(&indices), split, of })
    }

    /// What the numbers refer to.
    pub fn describe(&self) -> String {
        let Self { data, split, of } = self;
        format!("{} of {of} images of {}, split {}", data.n, data.name, split.name())
    }

    /// Real images behind every value.
    pub fn count(&self) -> usize {
        self.data.n
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
        if kinds.iter().all(|kind| *kind == MetricKind::Copies) {
            // Works for every shape.
            return kinds.iter().map(|_| self.copies(&images)).collect();
        }
        let metrics = pollster::block_on(evaluate_images(executor, &self.data.images, &images, kinds))?;
        Ok(metrics.into_iter().map(|metric| metric.value).collect())
    }

    /// The same metrics of real images in place of samples, half of the reference against the other half: the scale
    /// on which the values are to be read.
    pub fn floor(&self, executor: &mut Executor, kinds: &[MetricKind]) -> Result<Vec<Metric>, LenetError> {
        let kinds: Vec<MetricKind> = kinds.iter().copied().filter(|kind| *kind != MetricKind::Copies).collect();
        if kinds.is_empty() {
            return Ok(Vec::new());
        }
        pollster::block_on(reference_floor(executor, &self.data.images, None, &kinds))
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
