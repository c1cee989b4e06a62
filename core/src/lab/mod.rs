//! The bias laboratory: how well networks estimate the difference of two scores that is known exactly.
//!
//! Data and samples are Gaussian [mixtures](Mixture), so their scores have a closed form at every noise level. The same
//! difference is learned in two ways, by [one ratio network](Kind::Ratio) and by two denoisers, and a [`Probe`] says how
//! far each is off: at points, and in the gradient that a generator would get. Networks are trained by the project's own
//! trainer; what is exact is computed in f64 beside them. `onestep lab bias` runs it.

mod mixture;
mod probe;
mod training;

pub use mixture::{BUMPS, Distance, Drawn, Mixture};
pub use probe::{Answer, Bias, Gradient, Probe, Slope, difference};
pub use training::{Kind, Task, Trained};
