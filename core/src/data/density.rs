//! Points in the plane from densities that are known exactly.
//!
//! Every density has mean about 0 and standard deviation 0.5 along each axis, the
//! `sigma_data` that the networks expect. Invariants: point i of a sample depends on the
//! seed and on i alone, so a longer sample begins with the shorter one; and
//! [`Density::log_density`] is the density of the very points that [`Density::sample`]
//! draws, in closed form or as an integral along a curve, so that a divergence on a grid
//! has no error of its own. Shapes along curves are in `curve`, the others in `shapes`.

mod curve;
mod shapes;

use super::DataError;
use crate::names::named;
use crate::random::{normal, threefry2x32};

/// Keeps these random numbers apart from others of the same seed ("2D" in ASCII).
const STREAM: u32 = 0x3244_0000;

/// A distribution of points in the plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Density {
    /// Eight equal Gaussian bumps on a circle.
    Gaussians8,
    /// Eight of the sixteen fields of a 4x4 board, evenly filled.
    Checkerboard,
    /// Two half circles that interlock.
    TwoMoons,
    /// A spiral of one and a half turns.
    SwissRoll,
    /// Five blades, twisted around the centre.
    Pinwheel,
    /// Three circles around one centre.
    Rings,
}

/// Random numbers of one point: key and index are fixed, draws are counted by the caller.
struct Draws {
    key: [u32; 2],
    index: u32,
}

impl Draws {
    fn bits(&self, draw: u32) -> [u32; 2] {
        threefry2x32([self.key[0], self.key[1] ^ draw], [self.index, 0])
    }

    /// A uniform number in (0, 1) with 32 bits.
    fn uniform(bits: u32) -> f64 {
        (f64::from(bits) + 0.5) / 4_294_967_296.0
    }

    /// One of `count` things, each as likely.
    fn choice(bits: u32, count: u32) -> u32 {
        ((u64::from(bits) * u64::from(count)) >> 32) as u32
    }

    /// Two standard normal numbers.
    fn normals(&self, draw: u32) -> [f64; 2] {
        normal(self.bits(draw)).map(f64::from)
    }
}

named!(Density, "densities":
    Gaussians8 = "gaussians8",
    Checkerboard = "checkerboard",
    TwoMoons = "two-moons",
    SwissRoll = "swiss-roll",
    Pinwheel = "pinwheel",
    Rings = "rings",
);

impl Density {
    /// The density called `name`; underscores and the short forms `gaussians` and `moons`
    /// are understood too.
    pub fn parse(name: &str) -> Result<Self, DataError> {
        let wanted = match name.replace('_', "-").as_str() {
            "gaussians" => "gaussians8".to_owned(),
            "moons" => "two-moons".to_owned(),
            other => other.to_owned(),
        };
        wanted.parse().map_err(|known| DataError::Option {
            option: "2-D data",
            wanted: known,
            got: format!("\"{name}\""),
            fix: "choose one of these names".into(),
        })
    }

    /// The first `n` points of the sequence of `seed`, N x 2.
    pub fn sample(&self, n: usize, seed: u64) -> Vec<[f32; 2]> {
        self.sample_range(0, n, seed)
    }

    /// Points `start` to `start + n` of the sequence of `seed`, N x 2.
    pub fn sample_range(&self, start: usize, n: usize, seed: u64) -> Vec<[f32; 2]> {
        self.drawn(start, n, seed).map(|(point, _)| point).collect()
    }

    /// The points of [`Density::sample`], and the class of each: which bump, field, moon, blade or ring it was drawn
    /// from, or which half of the spiral.
    pub fn sample_with_classes(&self, n: usize, seed: u64) -> (Vec<[f32; 2]>, Vec<u32>) {
        self.drawn(0, n, seed).unzip()
    }

    fn drawn(self, start: usize, n: usize, seed: u64) -> impl Iterator<Item = ([f32; 2], u32)> {
        let key = [seed as u32, (seed >> 32) as u32 ^ STREAM];
        (start..start + n).map(move |i| {
            let (point, class) = self.draw(&Draws { key, index: i as u32 });
            (point.map(|v| v as f32), class)
        })
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        match self {
            Self::Gaussians8 | Self::Checkerboard => 8,
            Self::TwoMoons | Self::SwissRoll => 2,
            Self::Pinwheel => shapes::BLADES,
            Self::Rings => 3,
        }
    }

    /// The class whose points are nearest to `x`.
    pub fn nearest_class(&self, x: [f32; 2]) -> u32 {
        let x = x.map(f64::from);
        match self {
            Self::Gaussians8 => nearest(&shapes::gaussian_centres(), x) as u32,
            Self::Checkerboard => nearest(&shapes::field_centres(), x) as u32,
            Self::Pinwheel => shapes::nearest_blade(x),
            Self::Rings => shapes::nearest_ring(x),
            Self::TwoMoons => curve::two_moons().nearest_half(x),
            Self::SwissRoll => curve::swiss_roll().nearest_half(x),
        }
    }

    /// A point, and its class.
    fn draw(self, draws: &Draws) -> ([f64; 2], u32) {
        match self {
            Self::Gaussians8 => shapes::draw_gaussians(draws),
            Self::Checkerboard => shapes::draw_checkerboard(draws),
            Self::Pinwheel => shapes::draw_pinwheel(draws),
            Self::Rings => shapes::draw_rings(draws),
            Self::TwoMoons => curve::two_moons().draw(draws),
            Self::SwissRoll => curve::swiss_roll().draw(draws),
        }
    }

    /// Natural logarithm of the density at `x`, per unit of area; minus infinity only
    /// outside the fields of the checkerboard.
    pub fn log_density(&self, x: [f32; 2]) -> f64 {
        let x = x.map(f64::from);
        match self {
            Self::Gaussians8 => shapes::log_gaussians(x),
            Self::Checkerboard => shapes::log_checkerboard(x),
            Self::Pinwheel => shapes::log_pinwheel(x),
            Self::Rings => shapes::log_rings(x),
            Self::TwoMoons => curve::two_moons().log_density(x),
            Self::SwissRoll => curve::swiss_roll().log_density(x),
        }
    }

    /// Density at `x`, per unit of area.
    pub fn density(&self, x: [f32; 2]) -> f64 {
        self.log_density(x).exp()
    }

    /// Centres of separate parts, if there are such: the bumps, the fields of the board,
    /// the blades. Nearest to its centre, a point belongs to it.
    pub fn modes(&self) -> Option<Vec<[f32; 2]>> {
        let modes = match self {
            Self::Gaussians8 => shapes::gaussian_centres().to_vec(),
            Self::Checkerboard => shapes::field_centres().to_vec(),
            Self::Pinwheel => shapes::blade_centres().to_vec(),
            Self::TwoMoons | Self::SwissRoll | Self::Rings => return None,
        };
        Some(modes.into_iter().map(|m| m.map(|v| v as f32)).collect())
    }

    /// Half the side of a square around 0 that holds all but a millionth of the points:
    /// the range of plots and grids.
    pub fn half_width(&self) -> f32 {
        match self {
            Self::Gaussians8 => 1.1,
            Self::Checkerboard => 0.9,
            Self::TwoMoons => 1.2,
            Self::SwissRoll | Self::Rings => 1.25,
            Self::Pinwheel => 1.75,
        }
    }
}

/// Which of `places` is nearest to `x`.
fn nearest(places: &[[f64; 2]], x: [f64; 2]) -> usize {
    let square = |place: &[f64; 2]| (x[0] - place[0]).powi(2) + (x[1] - place[1]).powi(2);
    (0..places.len()).min_by(|a, b| square(&places[*a]).total_cmp(&square(&places[*b]))).unwrap_or(0)
}

/// Logarithm of a sum of exponentials; minus infinity for nothing.
fn log_sum_exp(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let max = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return max;
    }
    max + terms.map(|term| (term - max).exp()).sum::<f64>().ln()
}

/// Logarithm of the density of an isotropic Gaussian in the plane at squared distance
/// `square` from its centre.
fn log_gaussian(square: f64, std: f64) -> f64 {
    -square / (2.0 * std * std) - (std::f64::consts::TAU * std * std).ln()
}

#[cfg(test)]
#[path = "density_tests.rs"]
mod tests;
