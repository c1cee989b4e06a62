//! What the window asks of the worker, and what comes back: plain data.
//!
//! Invariant: a task says all that its answer depends on, besides the model, so that equal tasks have equal answers
//! and a view can tell by comparison whether it has to ask again.

use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui::ColorImage;
use onestep_core::eval::nearest::Neighbour;
use onestep_core::nets::latent;
use onestep_core::sampling::{line_latent, plane_latent};

/// Places for one task each, the most urgent first: what follows a dragging finger goes before what takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// Another model.
    Open,
    /// The sample under the finger, on the plane.
    Place,
    /// The sample at the slider, between two seeds.
    Between,
    /// A batch of samples.
    Samples,
    /// Samples between two seeds.
    Strip,
    /// Samples all over the plane.
    Map,
    /// A grid of latents through a generator of points.
    Lattice,
    /// The best of several candidates.
    Best,
    /// The training images closest to samples.
    Nearest,
    /// Files, each with a number of its own: no file is left out because a later one was asked for.
    Write(u64),
}

/// Which latents a generator is to map.
#[derive(Clone, Debug, PartialEq)]
pub enum Latents {
    /// The seeds from `first` on.
    Seeds {
        /// First seed.
        first: u32,
        /// How many.
        count: usize,
    },
    /// Places (across, down) of the unit square between four seeds.
    Plane {
        /// First of the four.
        seed: u32,
        /// Where.
        places: Vec<[f32; 2]>,
    },
    /// Shares of the way between two seeds.
    Line {
        /// Seed at 0.
        from: u32,
        /// Seed at 1.
        to: u32,
        /// Where.
        shares: Vec<f32>,
    },
    /// Lines of constant first, then of constant second coordinate: see [`lattice`].
    Lattice,
}

impl Latents {
    /// The latents, `width` numbers each, one after the other.
    pub fn numbers(&self, width: usize) -> Vec<f32> {
        match self {
            Self::Seeds { first, count } => {
                (0..*count as u32).flat_map(|i| latent(first.wrapping_add(i), width)).collect()
            }
            Self::Plane { seed, places } => {
                places.iter().flat_map(|[u, v]| plane_latent(*seed, width, *u, *v)).collect()
            }
            Self::Line { from, to, shares } => {
                shares.iter().flat_map(|share| line_latent(*from, *to, width, *share)).collect()
            }
            Self::Lattice => lattice(),
        }
    }

    /// The seeds that stand for the classes of the samples, in turn.
    pub fn seeds(&self) -> Vec<u32> {
        match self {
            Self::Seeds { first, count } => (0..*count as u32).map(|i| first.wrapping_add(i)).collect(),
            Self::Plane { seed, .. } | Self::Line { from: seed, .. } => vec![*seed],
            Self::Lattice => vec![0],
        }
    }
}

/// Lines of the lattice in each direction.
pub const LATTICE_LINES: usize = 9;
/// Points of each line: enough to follow a generator's folds.
pub const LATTICE_POINTS: usize = 129;
/// The lattice goes from minus this to this: 95 % of normal numbers.
const LATTICE_HALF: f32 = 2.0;

/// `[2 LATTICE_LINES, LATTICE_POINTS, 2]`: first the lines along which the second number changes, then the others.
fn lattice() -> Vec<f32> {
    let at = |i: usize, n: usize| LATTICE_HALF * (2.0 * i as f32 / (n - 1) as f32 - 1.0);
    let line = |along: usize, i: usize| {
        let place = move |j: usize| (at(i, LATTICE_LINES), at(j, LATTICE_POINTS));
        (0..LATTICE_POINTS).flat_map(move |j| {
            let (a, b) = place(j);
            if along == 1 { [a, b] } else { [b, a] }
        })
    };
    [1, 0].into_iter().flat_map(|along| (0..LATTICE_LINES).flat_map(move |i| line(along, i))).collect()
}

/// How samples become textures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One image per sample.
    Each,
    /// One image of all, in rows of this many.
    Rows(usize),
}

/// Work for the worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// Read this snapshot, or the newest one of this run's folder.
    Open(PathBuf),
    /// Draw.
    Draw {
        /// What from.
        latents: Latents,
        /// As what.
        form: Form,
    },
    /// Draw candidates, and let the ratio network rank them.
    Best {
        /// The seed, as `onestep sample --best-of` counts: its candidates are `seed * candidates ..`.
        seed: u32,
        /// How many.
        candidates: u32,
        /// The ratio network; without one that of the same step, beside the generator.
        ratio: Option<PathBuf>,
    },
    /// Look for the training images closest to the samples of seeds.
    Nearest {
        /// First seed.
        first: u32,
        /// How many.
        count: usize,
        /// The training images; without them those that the model names, if they are at hand.
        data: Option<PathBuf>,
    },
    /// Write samples as one picture.
    SavePicture {
        /// Which.
        samples: Arc<Samples>,
        /// Where to.
        path: PathBuf,
    },
    /// Write the generator with 16-bit weights.
    ExportWeights(PathBuf),
}

/// What came of a task.
#[derive(Debug)]
pub enum Answer {
    /// Another model is open.
    Opened(Facts),
    /// Samples.
    Drawn(Drawn),
    /// Candidates.
    Ranked(Ranked),
    /// Neighbours.
    Compared(Compared),
    /// A file is written.
    Wrote(PathBuf),
    /// How far it is.
    Working(String),
    /// Something that only a person can choose is missing; the sentence says what.
    Missing(String),
    /// It went wrong.
    Failed(String),
}

/// What there is to know about an open model.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// File name.
    pub name: String,
    /// `[H, W, C]` or `[D]`.
    pub shape: Vec<usize>,
    /// Numbers that mean black and white, or the range of plots.
    pub range: [f32; 2],
    /// Name of the training data.
    pub dataset: String,
    /// Licence of the weights.
    pub license: String,
    /// Generator updates.
    pub step: u64,
    /// Parameters of the generator.
    pub parameters: usize,
    /// Where it runs.
    pub device: String,
}

/// Samples, and all that a file of them needs.
#[derive(Debug, PartialEq)]
pub struct Samples {
    /// What the generator gave, `[N, ..shape]`; empty if other images stand between the samples.
    pub values: Vec<f32>,
    /// The same as bytes; empty for points.
    pub bytes: Vec<u8>,
    /// `[H, W, C]` or `[D]`.
    pub shape: Vec<usize>,
    /// The range of the values.
    pub range: [f32; 2],
}

/// A drawn batch.
#[derive(Debug)]
pub struct Drawn {
    /// What it was drawn from.
    pub latents: Latents,
    /// The samples.
    pub samples: Arc<Samples>,
    /// For textures; none for points.
    pub images: Vec<ColorImage>,
    /// Time that the generator took.
    pub secs: f64,
}

/// Candidates, the best first.
#[derive(Debug)]
pub struct Ranked {
    /// Their seeds.
    pub seeds: Vec<u32>,
    /// Their scores.
    pub scores: Vec<f32>,
    /// The samples.
    pub samples: Arc<Samples>,
    /// For textures.
    pub images: Vec<ColorImage>,
    /// Time that both networks took.
    pub secs: f64,
}

/// Samples beside their neighbours.
#[derive(Debug)]
pub struct Compared {
    /// First seed.
    pub first: u32,
    /// Name of the training data.
    pub data: String,
    /// How many images it has.
    pub data_count: usize,
    /// The nearest image of each sample; distances for pixels from 0 to 1.
    pub neighbours: Vec<Neighbour>,
    /// Sample, neighbour, sample, neighbour, ...
    pub samples: Arc<Samples>,
    /// The same, for textures.
    pub images: Vec<ColorImage>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lattice_lines_hold_one_number_still_and_span_the_square() {
        let points = lattice();
        let points: &[[f32; 2]] = points.as_chunks().0;
        assert_eq!(points.len(), 2 * LATTICE_LINES * LATTICE_POINTS);
        for (i, line) in points.chunks(LATTICE_POINTS).enumerate() {
            let (still, moving) = if i < LATTICE_LINES { (0, 1) } else { (1, 0) };
            assert!(line.iter().all(|p| p[still] == line[0][still]), "line {i}");
            assert_eq!((line[0][moving], line[LATTICE_POINTS - 1][moving]), (-2.0, 2.0), "line {i}");
        }
        assert_eq!((points[0][0], points[LATTICE_POINTS * (LATTICE_LINES - 1)][0]), (-2.0, 2.0));
    }
}
