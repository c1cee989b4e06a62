//! Evaluation: how close generated samples are to the data, in numbers that say what they are.
//!
//! Images are judged in the feature space of a small classifier ([`image_features`] is its network, [`classifier`] its
//! training, [`lenet`] its weights) by [`frechet`] and [`manifold`], and in pixel space by [`nearest`]; [`images`] does
//! all of it in one call. Two-dimensional samples are judged by [`planar`] and [`energy`], paths from noise to
//! samples by `straightness`, the fine detail of images by `spectrum`. [`report`] gives every number its honest name. Only
//! the classifier needs a device; the rest is host code on plain slices without random state, the same bits for the same
//! input.
//!
//! Invariant: an input that is empty, not finite or of the wrong size is an error; it never becomes a number.

pub mod classifier;
mod distance;
mod eigen;
pub mod energy;
pub mod frechet;
pub mod image_features;
pub mod images;
pub mod lenet;
mod lenet_file;
pub mod manifold;
pub mod nearest;
pub mod planar;
pub mod report;
#[cfg(not(target_arch = "wasm32"))]
pub mod spectrum;
#[cfg(not(target_arch = "wasm32"))]
pub mod straightness;

pub use distance::Rows;

/// Why a metric has no value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// Too little to measure.
    #[error("{what}: wanted at least {wanted}, got {got}")]
    TooFew {
        /// Which operand, and in what it is counted.
        what: String,
        /// The smallest count that has a meaning.
        wanted: usize,
        /// What came.
        got: usize,
    },
    /// A slice that does not have the size that its shape says.
    #[error("{what}: wanted {wanted} numbers, got {got}")]
    Length {
        /// Which operand, with its shape.
        what: String,
        /// Numbers that the shape takes.
        wanted: usize,
        /// Numbers that came.
        got: usize,
    },
    /// Two operands that live in different spaces.
    #[error("{what}: both sides must have the same dimension, got {first} and {second}")]
    Dimension {
        /// What was compared.
        what: &'static str,
        /// Dimension of the first operand.
        first: usize,
        /// Dimension of the second.
        second: usize,
    },
    /// NaN or infinity, or a number whose square has no place in its type.
    #[error("{what}: number {index} is {value}; wanted finite numbers of a moderate size")]
    NotFinite {
        /// Which operand.
        what: String,
        /// Position in it, row-major.
        index: usize,
        /// The number.
        value: f64,
    },
    /// A setting out of its range.
    #[error("{name}: wanted {wanted}, got {got}")]
    Setting {
        /// Which setting.
        name: &'static str,
        /// What it may be.
        wanted: String,
        /// What it was.
        got: String,
    },
}

/// The first number that is not finite, as an error.
fn all_finite(what: &str, values: impl Iterator<Item = f64>) -> Result<(), EvalError> {
    for (index, value) in values.enumerate() {
        if !value.is_finite() {
            return Err(EvalError::NotFinite { what: what.to_owned(), index, value });
        }
    }
    Ok(())
}

fn at_least(what: &str, wanted: usize, got: usize) -> Result<(), EvalError> {
    if got < wanted { Err(EvalError::TooFew { what: what.to_owned(), wanted, got }) } else { Ok(()) }
}

#[cfg(test)]
mod testing {
    use crate::random::{normal, threefry2x32};

    /// `count` standard normal numbers of a stream.
    pub fn normals(stream: u32, count: usize) -> Vec<f32> {
        (0..count.div_ceil(2) as u32).flat_map(|i| normal(threefry2x32([1, stream], [0, i]))).take(count).collect()
    }

    /// `count` standard normal points of the plane.
    pub fn normal_points(stream: u32, count: usize) -> Vec<[f32; 2]> {
        (0..count as u32).map(|i| normal(threefry2x32([2, stream], [0, i]))).collect()
    }

    /// Fails also when the error is NaN.
    pub fn assert_near(got: f64, wanted: f64, tolerance: f64, what: &str) {
        let error = (got - wanted).abs();
        let within = error <= tolerance;
        assert!(within, "{what}: got {got}, wanted {wanted}, error {error:e}, tolerance {tolerance:e}");
    }
}
