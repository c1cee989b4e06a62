//! Which variant of a kernel a launch gets.
//!
//! Invariant: under [`Choice::Table`] the choice depends on the shape and the kind of device only,
//! so that a seed reproduces a run on another machine with the same device.

use litemap::LiteMap;

use onestep_shaders::{Tile, tile};

use crate::graph::UnaryOp;
use crate::plan::{Body, Inst};

/// Sizes of a contraction as the tiles see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `matmul`, `conv2d` or `conv2d_grad_weight`.
    pub kernel: &'static str,
    /// Taps of a convolution, else 1.
    pub taps: usize,
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
    Measured(LiteMap<String, String>),
    /// This tile for every contraction (tests and benchmarks).
    Forced(Tile),
}

/// What the choice depends on besides the shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// The adapter runs on a processor (lavapipe, `SwiftShader`, WARP).
    pub software: bool,
    /// Source of the choice.
    pub choice: Choice,
    /// Use buffers of the executor's own: split long sums with few outputs over several workgroups, and
    /// compute operands and epilogues apart where that saves work.
    pub temporaries: bool,
    /// Elements that a binding can hold.
    pub max_elements: usize,
}

/// Workgroups that fill a GPU; fewer, and a long sum is split.
const BUSY_GROUPS: usize = 128;

/// Shortest part of a split contraction, in positions of k.
const SPLIT_MIN: usize = 128;

/// Operations that an elementary function counts for.
const TRANSCENDENTAL: usize = 20;

/// Operations per point of an expression, besides its first load or the contraction's result.
fn cost(body: &Body) -> usize {
    let operations = |inst: &Inst| match inst {
        Inst::Unary(
            UnaryOp::Exp | UnaryOp::Log | UnaryOp::Sigmoid | UnaryOp::Softplus | UnaryOp::Sin | UnaryOp::Cos,
            _,
        ) => TRANSCENDENTAL,
        Inst::Random { .. } => 4 * TRANSCENDENTAL,
        Inst::Const(_) | Inst::Scalar(_) => 0,
        _ => 1,
    };
    body.insts.iter().map(operations).sum::<usize>().saturating_sub(1)
}

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
        let (rows, cols) = tile.extent();
        self.batch * self.m.div_ceil(rows) * self.n.div_ceil(cols)
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
            // A shared tile would waste nearly all of its columns. The other kernels have few rows, too,
            // and need splits.
            (false, "narrow") if problem.kernel == "conv2d" => "direct4",
            // Few outputs: small tiles keep more of the GPU busy.
            (false, "narrow" | "small") => "tile4",
            (false, _) => "tile8",
        };
        tile(name).expect("the table names tiles of the registry")
    }

    /// Into how many parts k is cut.
    pub fn splits(&self, problem: &Problem, tile: &Tile) -> usize {
        if !self.temporaries || !tile.shared {
            return 1;
        }
        (BUSY_GROUPS / problem.tiles(tile).max(1)).min(problem.k / SPLIT_MIN).max(1)
    }

    /// Whether an operand is computed beforehand, rather than `uses` times within the product; its
    /// temporary then ends at element `end`.
    pub fn operand_apart(&self, body: &Body, uses: usize, end: usize) -> bool {
        // Writing and reading an element costs about as much as so many operations: more on a GPU,
        // which has many for each byte that it can move.
        let traffic = if self.software { 20 } else { 200 };
        self.temporaries && end <= self.max_elements && cost(body) * (uses - 1) > traffic
    }

    /// Whether an epilogue gets a dispatch of its own: software adapters take minutes to compile a
    /// network's kernels if its text stands in each of them sixteen times.
    pub fn epilogue_apart(&self, body: &Body) -> bool {
        self.temporaries && self.software && cost(body) >= TRANSCENDENTAL
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
        let chunks =
            if may_split && self.temporaries { (busy / groups.max(1)).min(reduced / (ry * 64)).max(1) } else { 1 };
        (ox as u32, ry as u32, chunks)
    }
}
