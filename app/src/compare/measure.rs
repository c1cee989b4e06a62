//! How good samples are, in a few numbers that a table has room for.

use onestep_core::data::Split;
use onestep_core::eval::report::MetricKind;
use onestep_core::exec::Executor;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::nets::latent;
use onestep_core::session::Session;
use onestep_core::train::TrainingData;
use serde::{Deserialize, Serialize};

use crate::eval::{ImageReference, PointReference};

/// Points that are drawn for a value, and images.
const POINTS: usize = 20_000;
const IMAGES: usize = 5_000;
/// First seed of what is drawn; pictures show those from 0 on.
const FIRST_SEED: u32 = 1 << 30;

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
    kinds: Vec<MetricKind>,
    count: usize,
}

enum Reference {
    Points(PointReference),
    Images(Box<ImageReference>),
}

impl Yardstick {
    /// For data with a known density, or images that the built-in classifier knows.
    pub fn new(data: &TrainingData, spec: &str, quiet: bool) -> anyhow::Result<Self> {
        if let Some(density) = data.density {
            let mut kinds = vec![MetricKind::KlGrid, MetricKind::EnergyDistance];
            if density.modes().is_some() {
                kinds.extend([MetricKind::ModesReached, MetricKind::HighQuality]);
            }
            let reference = Reference::Points(PointReference::new(density, POINTS));
            return Ok(Self { reference, kinds, count: POINTS });
        }
        let &[height, width, channels] = &data.spec.shape[..] else {
            return Err(crate::exit::bad_input!(
                "--data {spec}: points without a known density cannot be measured; choose a density or images"
            ));
        };
        let kinds = vec![MetricKind::FidLenet, MetricKind::PrecisionLenet, MetricKind::RecallLenet];
        let reference = ImageReference::load(spec, Split::Train, [height, width, channels], IMAGES, &kinds, quiet)?;
        Ok(Self { reference: Reference::Images(Box::new(reference)), kinds, count: IMAGES })
    }

    /// Names of the values; the first says how far samples are from data, the lower the better.
    pub fn names(&self) -> Vec<String> {
        let count =
            if self.count.is_multiple_of(1000) { format!("{}k", self.count / 1000) } else { self.count.to_string() };
        self.kinds.iter().map(|kind| format!("{}_{count}", kind.stem())).collect()
    }

    /// The values of the run as it is.
    pub fn measure(&self, session: &mut Session) -> anyhow::Result<Vec<f64>> {
        let width = session.data().spec.width();
        let latents: Vec<f32> = (0..self.count as u32).flat_map(|i| latent(FIRST_SEED + i, width)).collect();
        let samples = pollster::block_on(session.map(&latents))?;
        match &self.reference {
            Reference::Points(reference) => reference.measure(&samples, &self.kinds),
            Reference::Images(reference) => {
                let mut executor = Executor::Cpu(CpuExecutor::new());
                reference.measure(&mut executor, &samples, [-1.0, 1.0], &self.kinds)
            }
        }
    }
}
