//! How good samples are, in a few numbers that a table has room for.

use onestep_core::data::Split;
use onestep_core::eval::energy::DEFAULT_POINTS;
use onestep_core::eval::lenet::Lenet;
use onestep_core::eval::report::MetricKind;
use onestep_core::exec::Executor;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::nets::{cycle, latent};
use onestep_core::session::Session;
use onestep_core::train::{Config, TrainingData};
use serde::{Deserialize, Serialize};

use crate::eval::{ImageReference, PointReference, can_read, class_accuracy};

/// Points that are drawn for a value, and images.
const POINTS: usize = 20_000;
const IMAGES: usize = 10_000;
/// First seed of what is drawn; pictures show those from 0 on.
const FIRST_SEED: u32 = 1 << 30;
/// Of images as networks draw them.
const RANGE: [f32; 2] = [-1.0, 1.0];

/// What a run had spent and how good its samples were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Turns of all phases.
    pub step: u64,
    /// Operations or seconds spent.
    pub spent: f64,
    /// Values in the order of [`Yardstick::names`].
    pub values: Vec<f64>,
}

/// What samples are held against.
pub struct Yardstick {
    reference: Reference,
    /// That of classes last.
    kinds: Vec<MetricKind>,
    count: usize,
    /// That networks are told; 0 for none.
    classes: usize,
}

enum Reference {
    Points(PointReference),
    Images(Box<ImageReference>),
}

impl Yardstick {
    /// For data with a known density, or images: by the built-in classifier if they have its shape, else by pixels.
    pub fn new(data: &TrainingData, config: &Config, quiet: bool) -> anyhow::Result<Self> {
        let classes = data.network(config).classes();
        let (reference, mut kinds, count) = if let Some(density) = data.density {
            let mut kinds = vec![MetricKind::KlGrid, MetricKind::EnergyDistance];
            if density.modes().is_some() {
                kinds.extend([MetricKind::ModesReached, MetricKind::HighQuality]);
            }
            (Reference::Points(PointReference::new(density, POINTS)), kinds, POINTS)
        } else if let &[height, width, channels] = &data.spec.shape[..] {
            let shape = [height, width, channels];
            let (kinds, count) = if Lenet::check_shape(&shape).is_ok() {
                (vec![MetricKind::FidLenet, MetricKind::PrecisionLenet, MetricKind::RecallLenet], IMAGES)
            } else {
                // Of more images, it would not use the others.
                (vec![MetricKind::EnergyPixels], DEFAULT_POINTS)
            };
            let reference = ImageReference::load(&config.data, Split::Train, shape, count, &kinds, quiet)?;
            (Reference::Images(Box::new(reference)), kinds, count)
        } else {
            return Err(crate::exit::bad_input!(
                "--data {}: points without a known density cannot be measured; choose a density or images",
                config.data
            ));
        };
        if can_read(classes, data.density, &config.data, &data.spec.shape) {
            kinds.push(MetricKind::ClassAccuracy);
        }
        Ok(Self { reference, kinds, count, classes })
    }

    /// The same, by the distance of so many images alone where it is images that are measured: what else there is takes
    /// longer than a short run.
    pub fn brief(mut self, images: usize) -> Self {
        if matches!(self.reference, Reference::Images(_)) {
            self.count = images;
            self.kinds.truncate(1);
        }
        self
    }

    /// How much more power images have in the finest of so many rings of frequencies than as many of the data: the
    /// ratio. `None` for points.
    pub fn fineness(&self, samples: &[f32], rings: usize) -> anyhow::Result<Option<f64>> {
        let Reference::Images(images) = &self.reference else { return Ok(None) };
        let [samples, real] = images.power(samples, RANGE, rings)?.map(|power| power[rings - 1]);
        Ok(Some(samples / real))
    }

    /// Names of the values; the first says how far samples are from data, the lower the better.
    pub fn names(&self) -> Vec<String> {
        self.kinds.iter().map(|kind| kind.named(self.count)).collect()
    }

    /// How often a run is measured whose samples take so many evaluations: images take long to draw.
    pub fn points(&self, evaluations: usize) -> u64 {
        match self.reference {
            Reference::Points(_) => 8,
            Reference::Images(_) if evaluations < 8 => 4,
            Reference::Images(_) => 2,
        }
    }

    /// The values of the run as it is.
    pub fn measure(&self, session: &mut Session) -> anyhow::Result<Vec<f64>> {
        let latents = self.latents(session.data().spec.width());
        self.values(&pollster::block_on(session.map(&latents))?)
    }

    /// Latents of what is measured: always the same, `width` numbers each.
    pub fn latents(&self, width: usize) -> Vec<f32> {
        (0..self.count as u32).flat_map(|i| latent(FIRST_SEED + i, width)).collect()
    }

    /// Classes of what is measured; empty without classes.
    pub fn classes(&self) -> Vec<u32> {
        if self.classes > 0 { cycle(self.count, self.classes) } else { Vec::new() }
    }

    /// The values of the samples of [`Yardstick::latents`].
    pub fn values(&self, samples: &[f32]) -> anyhow::Result<Vec<f64>> {
        let mut executor = Executor::Cpu(CpuExecutor::new());
        let mut kinds = self.kinds.clone();
        kinds.retain(|kind| *kind != MetricKind::ClassAccuracy);
        let (mut values, density) = match &self.reference {
            Reference::Points(points) => (points.measure(samples, &kinds)?, points.density()),
            Reference::Images(images) => (images.measure(&mut executor, samples, RANGE, &kinds)?, None),
        };
        if kinds.len() < self.kinds.len() {
            values.push(class_accuracy(&mut executor, samples, &self.classes(), density, RANGE)?);
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A comparison on other images than those of 28 x 28 ended with an error, after it had loaded them.
    #[test]
    fn images_of_any_size_are_measured() {
        let config = Config { resize: 8, ..Config::default() };
        let data = TrainingData::load(&config, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        let yardstick = Yardstick::new(&data, &config, true).unwrap();
        assert_eq!(yardstick.names(), ["energy_pixels_5k"]);
        let brief = yardstick.brief(20);
        assert_eq!(brief.names(), ["energy_pixels_20"]);
        let black = brief.values(&[-1.0; 20 * 64]).unwrap();
        assert!(black.len() == 1 && black[0] > 0.0, "{black:?}");
    }
}
