//! Which variant of a kernel a launch gets.
//!
//! Invariant: under [`Choice::Table`] the choice depends on the shape and the kind of device only,
//! so that a seed reproduces a run on another machine with the same device.

use std::collections::BTreeMap;

use onestep_shaders::{Tile, tile};

/// Sizes of a contraction as the tiles see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `matmul`, `conv2d` or `conv2d_grad_weight`.
    pub kernel: &'static str,
    /// Independent products.
    pub batch: usize,
    /// Rows.
    pub m: usize,
    /// Columns.
    pub n: usize,
    /// Contracted positions.
    pub k: usize,
}

/// How contraction variants are chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// The fixed table of the device's kind.
    Table,
    /// The fastest by measurement: per kernel and size class, the name of a tile.
    Measured(BTreeMap<String, String>),
    /// This tile for every contraction (tests and benchmarks).
    Forced(Tile),
}

/// What the choice depends on besides the shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// The adapter runs on a processor (lavapipe, SwiftShader, WARP).
    pub software: bool,
    /// Source of the choice.
    pub choice: Choice,
    /// Split long contractions over several workgroups if there are few outputs.
    pub split: bool,
}

/// Workgroups that fill a GPU; fewer, and a long sum is split.
const BUSY_GROUPS: usize = 128;

/// Shortest part of a split contraction, in positions of k.
const SPLIT_MIN: usize = 128;

impl Problem {
    /// Products with few columns, few outputs, or many behave alike within their class.
    pub fn class(&self) -> &'static str {
        if self.n <= 4 {
            "narrow"
        } else if self.batch * self.m * self.n <= 128 * 128 {
            "small"
        } else {
            "large"
        }
    }

    /// Key in the table of measured choices.
    pub fn key(&self) -> String {
        format!("{}/{}", self.kernel, self.class())
    }

    /// Workgroups (or invocations, if the tile is not shared) of a tile.
    pub fn tiles(&self, tile: &Tile) -> usize {
        let (rows, cols) = if tile.shared { (tile.tm * tile.ty, tile.tn * tile.tx) } else { (tile.tm, tile.tn) };
        self.batch * self.m.div_ceil(rows as usize) * self.n.div_ceil(cols as usize)
    }
}

impl Tuning {
    /// The tile of a contraction.
    pub fn tile(&self, problem: &Problem) -> Tile {
        match &self.choice {
            Choice::Forced(tile) => *tile,
            Choice::Measured(names) => {
                names.get(&problem.key()).and_then(|name| tile(name)).unwrap_or_else(|| self.table(problem))
            }
            Choice::Table => self.table(problem),
        }
    }

    fn table(&self, problem: &Problem) -> Tile {
        let name = match (self.software, problem.class()) {
            (true, "narrow") => "direct8x4",
            (true, _) => "direct8",
            // Few outputs: small tiles keep more of the GPU busy.
            (false, "narrow" | "small") => "tile4",
            (false, _) => "tile8",
        };
        tile(name).expect("the table names tiles of the registry")
    }

    /// Into how many parts k is cut.
    pub fn splits(&self, problem: &Problem, tile: &Tile) -> usize {
        if !self.split || !tile.shared {
            return 1;
        }
        (BUSY_GROUPS / problem.tiles(tile).max(1)).min(problem.k / SPLIT_MIN).max(1)
    }

    /// Outputs per workgroup, invocations per output, and chunks, of sums of `reduced` terms for
    /// `kept` outputs. `along_rows`: neighbouring terms of one sum are neighbours in memory, rather
    /// than neighbouring outputs.
    pub fn rows(&self, kept: usize, reduced: usize, along_rows: bool, may_split: bool) -> (u32, u32, usize) {
        // Each invocation should have a few terms to add before the tree does the rest.
        let wanted = (reduced / 4).max(1).next_power_of_two();
        let (ox, ry) = if self.software {
            // Barriers are dear there, and 8 lanes is all the width there is.
            if kept >= 64 { (32, 1) } else { (1, wanted.min(32)) }
        } else if along_rows {
            let ry = wanted.min(256);
            ((64 / ry).max(1), ry)
        } else {
            let ox = kept.next_power_of_two().min(32);
            (ox, wanted.min(256 / ox))
        };
        let groups = kept.div_ceil(ox);
        let busy = if self.software { 8 } else { 256 };
        let chunks = if may_split { (busy / groups.max(1)).min(reduced / (ry * 64)).max(1) } else { 1 };
        (ox as u32, ry as u32, chunks)
    }
}
