//! Which students an experiment looks at, and how long the networks beside them are trained.

use onestep_core::lab::Distance;

use super::record::Settings;
use crate::exit::bad_input;
use crate::range::in_range;

/// Arguments of the experiments on mixtures.
#[derive(clap::Args)]
pub struct Students {
    /// Trainings of each network, with the seeds 1 to N.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = in_range::<u32>(1..=100))]
    pub seeds: u32,
    /// Dimensions of the points.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "2,8,32", value_parser = in_range::<u32>(1..=128))]
    pub dims: Vec<u32>,
    /// How far the students are.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "near,medium,far")]
    pub distances: Vec<Distance>,
    /// Steps of each network; where several ways are compared, a ratio network gets as many, or as many as cost the same.
    #[arg(long, value_name = "N", default_value_t = 800, value_parser = in_range::<u64>(10..=1_000_000))]
    pub steps: u64,
    /// Points per step, of data and of samples.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = in_range::<u32>(2..=65_536))]
    pub batch: u32,
    /// Width of each network; of several, of the denoisers.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = in_range::<u32>(4..=1024))]
    pub width: u32,
}

impl Students {
    /// The same as a record keeps them.
    ///
    /// # Errors
    /// If a list names something twice.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        fn twice<T: PartialEq + std::fmt::Display>(flag: &str, list: &[T]) -> anyhow::Result<()> {
            match list.iter().enumerate().find(|(i, x)| list[..*i].contains(x)) {
                Some((_, x)) => Err(bad_input!("--{flag}: {x} is named twice")),
                None => Ok(()),
            }
        }
        twice("dims", &self.dims)?;
        twice("distances", &self.distances)?;
        Ok(Settings {
            seeds: self.seeds,
            dims: self.dims.iter().map(|dim| *dim as usize).collect(),
            distances: self.distances.clone(),
            steps: self.steps,
            batch: self.batch as usize,
            width: self.width as usize,
        })
    }
}
