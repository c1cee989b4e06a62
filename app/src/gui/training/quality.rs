//! How close the samples are to the data, live.

use onestep_core::eval::images::random_order;
use onestep_core::eval::planar::{Grid, LIVE_BINS, ModeCoverage, kl_grid};
use onestep_core::train::TrainingData;

use crate::eval::PointReference;

/// Points of the reference.
const POINTS: usize = 4096;

/// Quality of 2-D samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// Divergence on a grid, in nats.
    pub kl: f64,
    /// The same between two samplings of the data: what a perfect generator would show.
    pub floor: f64,
    /// Modes reached, and how many there are, if the data have separate modes.
    pub modes: Option<(usize, usize)>,
}

/// Measures 2-D samples against the data of a run.
pub struct Judge {
    real: Vec<[f32; 2]>,
    grid: Grid,
    floor: f64,
    reference: Option<PointReference>,
}

impl Judge {
    /// A judge for these data on a square of this half width; none for images.
    pub fn new(data: &TrainingData, half_width: f32) -> Option<Self> {
        if data.spec.bytes {
            return None;
        }
        let reference = data.density.map(|density| PointReference::new(density, POINTS));
        let grid = Grid::new([-half_width; 2], 2.0 * half_width, LIVE_BINS).ok()?;
        let (real, floor) = match data.density {
            Some(density) => {
                let real = density.sample(POINTS, 0x4E41);
                let floor = kl_grid(&real, &density.sample(POINTS, 0x4E42), &grid);
                (real, floor)
            }
            None => {
                let real = data.first.as_chunks().0.to_vec();
                let [one, other] = halves(&real);
                let floor = kl_grid(&one, &other, &grid);
                (real, floor)
            }
        };
        let floor = floor.ok()?;
        Some(Self { real, grid, floor, reference: reference.filter(|r| r.coverage(&[[0.0; 2]]).is_ok()) })
    }

    /// The quality of samples; none if they are not finite.
    pub fn measure(&self, samples: &[f32]) -> Option<Quality> {
        let samples: &[[f32; 2]] = samples.as_chunks().0;
        let kl = kl_grid(&self.real, samples, &self.grid).ok()?;
        let modes = self.reference.as_ref().and_then(|reference| reference.coverage(samples).ok());
        let modes = modes.map(|ModeCoverage { counts, reached, .. }| (reached, counts.len()));
        Some(Quality { kl, floor: self.floor, modes })
    }
}

/// Two samplings of the same data, without a point in common.
fn halves(points: &[[f32; 2]]) -> [Vec<[f32; 2]>; 2] {
    let order = random_order(points.len());
    let (one, other) = order.split_at(points.len() / 2);
    [one, other].map(|half| half.iter().map(|i| points[*i]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use onestep_core::data::Density;

    #[test]
    fn a_perfect_sampler_scores_like_the_floor_and_a_lost_mode_is_seen() {
        let data = TrainingData::density(Density::Gaussians8, 1);
        let judge = Judge::new(&data, 1.25).expect("points");
        let perfect = Density::Gaussians8.sample(POINTS, 9);
        let quality = judge.measure(perfect.as_flattened()).expect("finite");
        assert!(quality.kl < 1.5 * quality.floor, "{quality:?}");
        assert_eq!(quality.modes, Some((8, 8)));
        let half: Vec<[f32; 2]> = perfect.into_iter().filter(|p| p[0] > 0.05).collect();
        let quality = judge.measure(half.as_flattened()).expect("finite");
        assert!(quality.kl > 5.0 * quality.floor, "{quality:?}");
        assert!(quality.modes.expect("modes").0 < 8, "{quality:?}");
        assert_eq!(judge.measure(&[f32::NAN, 0.0]), None);
    }

    /// Samples were compared with the first points of the file, and the floor was that of points with themselves.
    #[test]
    fn a_perfect_sampler_of_a_sorted_file_scores_like_the_floor() {
        let mut points = Density::Gaussians8.sample(16_384, 1);
        points.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let judge = Judge::new(&TrainingData::points("mine", &points), 1.25).expect("points");
        let perfect = Density::Gaussians8.sample(POINTS, 9);
        let quality = judge.measure(perfect.as_flattened()).expect("finite");
        assert!(quality.kl < 1.5 * quality.floor, "{quality:?}");
        let half: Vec<[f32; 2]> = perfect.into_iter().filter(|p| p[0] > 0.05).collect();
        let quality = judge.measure(half.as_flattened()).expect("finite");
        assert!(quality.kl > 5.0 * quality.floor, "{quality:?}");
    }
}
