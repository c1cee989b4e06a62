//! Points against fresh points of a density that is known exactly, or against a person's own.

use anyhow::Context;
use onestep_core::data::Density;
use onestep_core::eval::energy::{DEFAULT_POINTS, energy_distance};
use onestep_core::eval::images::random_order;
use onestep_core::eval::planar::{DEFAULT_BINS, DEFAULT_REACHED, Grid, Mode, ModeCoverage, kl_grid, mode_coverage};
use onestep_core::eval::report::MetricKind;

use crate::exit::bad_input;

/// Seeds of the two reference samplings: no run trains on them ("EV" and "FL" in ASCII, above 32 bits
/// zero, where training has its seed).
const SEEDS: [u64; 2] = [0x4556, 0x464C];
/// Samples that are measured where nobody says how many.
pub const USUAL: usize = 50_000;
/// Own points, of which each half has to have a distance.
const FEWEST_OWN: usize = 4;

/// Points, twice.
pub struct PointReference {
    name: String,
    /// What they are drawn from, if that is known.
    density: Option<Density>,
    grid: Grid,
    points: Vec<[f32; 2]>,
    /// What a perfect model would draw.
    again: Vec<[f32; 2]>,
}

impl PointReference {
    /// `num` fresh points of a density, and as many again.
    pub fn new(density: Density, num: usize) -> Self {
        let [points, again] = SEEDS.map(|seed| density.sample(num, seed));
        let half = density.half_width();
        let grid = Grid::new([-half, -half], 2.0 * half, DEFAULT_BINS).expect("a density has a width");
        Self { name: density.name().to_owned(), density: Some(density), grid, points, again }
    }

    /// A person's own points: a random half of them, and of the other half as many as there will be samples.
    pub fn own(name: &str, all: &[[f32; 2]], num: Option<usize>) -> anyhow::Result<Self> {
        if all.len() < FEWEST_OWN {
            return Err(bad_input!("{name}: has {} points; give {FEWEST_OWN} at least", all.len()));
        }
        let grid = Grid::around(all, DEFAULT_BINS).map_err(|error| bad_input!("{name}: {error}"))?;
        let mut points: Vec<[f32; 2]> = random_order(all.len()).into_iter().map(|i| all[i]).collect();
        let mut again = points.split_off(all.len().div_ceil(2));
        again.truncate(num.unwrap_or(USUAL));
        Ok(Self { name: name.to_owned(), density: None, grid, points, again })
    }

    /// What the points are drawn from, if that is known.
    pub fn density(&self) -> Option<Density> {
        self.density
    }

    /// Classes of so many points, as often as the density has each, if it has as many.
    pub fn classes(&self, count: usize, classes: usize) -> Option<Vec<u32>> {
        /// "CL" in ASCII, as above.
        const SEED: u64 = 0x434C;
        let density = self.density.filter(|density| density.classes() == classes)?;
        Some(density.sample_with_classes(count, SEED).1)
    }

    /// Points behind every value.
    pub fn count(&self) -> usize {
        self.points.len()
    }

    /// Points that stand for a perfect model's samples.
    pub fn floor_count(&self) -> usize {
        self.again.len()
    }

    /// What the numbers refer to.
    pub fn describe(&self) -> String {
        let (name, count, grid) = (&self.name, self.count(), format!("grid of {DEFAULT_BINS} x {DEFAULT_BINS}"));
        match self.density.map(|density| density.half_width()) {
            Some(half) => format!("{count} fresh points of {name}, {grid} over -{half}..{half}"),
            None => {
                let of = count + self.again.len();
                format!("{count} of {of} points of {name}, {grid} around them; the others are behind kl_grid_floor")
            }
        }
    }

    /// The values of `kinds` for samples `[N, 2]`.
    pub fn measure(&self, samples: &[f32], kinds: &[MetricKind]) -> anyhow::Result<Vec<f64>> {
        let samples = samples.as_chunks::<2>().0;
        let grid = &self.grid;
        let value = |kind: &MetricKind| match kind {
            MetricKind::KlGrid => Ok(kl_grid(&self.points, samples, grid)?),
            MetricKind::KlGridFloor => Ok(kl_grid(&self.points, &self.again, grid)?),
            MetricKind::EnergyDistance => Ok(energy_distance(&self.points, samples, DEFAULT_POINTS)?),
            MetricKind::ModesReached => Ok(self.coverage(samples)?.reached as f64),
            MetricKind::HighQuality => Ok(self.coverage(samples)?.high_quality),
            other => Err(bad_input!("{} is no metric of points", other.stem())),
        };
        kinds.iter().map(value).collect()
    }

    /// Which modes samples reach; an error for a density without separate modes.
    pub fn coverage(&self, samples: &[[f32; 2]]) -> anyhow::Result<ModeCoverage> {
        let centres = self.density.and_then(|density| density.modes());
        let centres = centres.with_context(|| format!("{} has no separate modes", self.name))?;
        Ok(mode_coverage(samples, &modes(&centres, &self.points), DEFAULT_REACHED)?)
    }
}

/// The parts of a density, each with the share and the spread of the points that are nearest to its centre.
fn modes(centres: &[[f32; 2]], points: &[[f32; 2]]) -> Vec<Mode> {
    let square = |p: &[f32; 2], c: &[f32; 2]| f64::from((p[0] - c[0]).powi(2) + (p[1] - c[1]).powi(2));
    let mut sums = vec![(0.0, 0.0); centres.len()];
    for point in points {
        let squares = centres.iter().map(|centre| square(point, centre)).enumerate();
        if let Some((nearest, square)) = squares.min_by(|a, b| a.1.total_cmp(&b.1)) {
            sums[nearest].0 += 1.0;
            sums[nearest].1 += square;
        }
    }
    let mode = |(centre, (count, square)): (&[f32; 2], (f64, f64))| Mode {
        centre: *centre,
        // Two axes; a mode without points still needs some size.
        std: (square / (2.0 * f64::max(count, 1.0))).sqrt().max(1e-3) as f32,
        weight: (count / points.len() as f64) as f32,
    };
    centres.iter().zip(sums).map(mode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_model_scores_like_the_floor() {
        for &density in Density::ALL {
            let reference = PointReference::new(density, 20_000);
            let perfect: Vec<f32> = density.sample(20_000, 7).into_iter().flatten().collect();
            let kinds = [MetricKind::KlGrid, MetricKind::KlGridFloor, MetricKind::EnergyDistance];
            let values = reference.measure(&perfect, &kinds).unwrap();
            assert!(values[0] < 1.3 * values[1] + 1e-3, "{}: {values:?}", density.name());
            assert!(values[2].abs() < 0.01, "{}: {values:?}", density.name());
            if let Some(modes) = density.modes() {
                let kinds = [MetricKind::ModesReached, MetricKind::HighQuality];
                let values = reference.measure(&perfect, &kinds).unwrap();
                // Round Gaussians: 0.989. The blades of the pinwheel are long and narrow: 0.961.
                assert!(values[0] == modes.len() as f64 && values[1] > 0.95, "{}: {values:?}", density.name());
            }
        }
    }

    #[test]
    fn own_points_are_compared_with_themselves() {
        let all = Density::TwoMoons.sample(20_000, 3);
        let reference = PointReference::own("mine", &all, None).unwrap();
        let kinds = [MetricKind::KlGrid, MetricKind::KlGridFloor, MetricKind::EnergyDistance];
        let values = |points: &[[f32; 2]]| reference.measure(points.as_flattened(), &kinds).unwrap();
        let perfect = values(&Density::TwoMoons.sample(10_000, 7));
        assert!(perfect[0] < 1.3 * perfect[1] + 1e-3 && perfect[2].abs() < 0.01, "{perfect:?}");
        // Rings have the same extent: their energy distance is but 0.016. Rings beside the data are far.
        let beside: Vec<[f32; 2]> = Density::Rings.sample(10_000, 7).into_iter().map(|[x, y]| [x + 0.5, y]).collect();
        let wrong = values(&beside);
        assert!(wrong[0] > 10.0 * wrong[1] && wrong[2] > 0.02, "{wrong:?}");
        assert!(PointReference::own("mine", &all[..3], None).is_err());
    }

    #[test]
    fn the_spread_of_bumps_is_measured() {
        let density = Density::Gaussians8;
        let modes = modes(&density.modes().unwrap(), &density.sample(20_000, 3));
        assert!(modes.iter().all(|m| (m.std / 0.0707 - 1.0).abs() < 0.05 && (m.weight - 0.125).abs() < 0.02));
    }

    /// Samples of equal classes were held against rings that are not: a perfect model was far from them.
    #[test]
    fn classes_are_as_often_as_those_of_the_data() {
        let reference = PointReference::new(Density::Rings, 6000);
        let classes = reference.classes(6000, 3).unwrap();
        let share = |class: u32| classes.iter().filter(|one| **one == class).count() as f64 / 6000.0;
        assert!((share(0) - 1.0 / 6.0).abs() < 0.02 && (share(2) - 0.5).abs() < 0.02, "{} {}", share(0), share(2));
        assert_eq!(reference.classes(6000, 4), None, "a model with other classes");
    }
}
