//! Variants: the same kernel, divided differently among workgroups and invocations.
//!
//! Invariant: every variant stays within WebGPU's default limits (256 invocations and 16 KiB of
//! workgroup memory per workgroup). Which variant is fast depends on the device; who chooses is the
//! executor.

use crate::Family;

/// How a contraction is tiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Name in profiles and caches.
    pub name: &'static str,
    /// Rows per invocation, a multiple of 4.
    pub tm: u32,
    /// Columns per invocation, a multiple of 4.
    pub tn: u32,
    /// Invocations along the columns; all invocations if not `shared`.
    pub tx: u32,
    /// Invocations along the rows.
    pub ty: u32,
    /// Positions of k that pass through workgroup memory at a time; 0 if not `shared`.
    pub tk: u32,
    /// Whether the operands pass through workgroup memory, with barriers.
    pub shared: bool,
}

impl Tile {
    const fn shared(name: &'static str, per_thread: u32, tx: u32, ty: u32, tk: u32) -> Self {
        Self { name, tm: per_thread, tn: per_thread, tx, ty, tk, shared: true }
    }

    /// Rows and columns that a workgroup owns (an invocation, if not `shared`).
    pub const fn extent(&self) -> (usize, usize) {
        let (tx, ty) = if self.shared { (self.tx, self.ty) } else { (1, 1) };
        ((self.tm * ty) as usize, (self.tn * tx) as usize)
    }

    const fn direct(name: &'static str, tm: u32, tn: u32, tx: u32) -> Self {
        Self { name, tm, tn, tx, ty: 1, tk: 0, shared: false }
    }
}

/// Tilings of a contraction. `tile*` suit GPUs (the wide ones large products), `direct*` software
/// adapters and GPUs whose caches do the work of workgroup memory.
pub const TILES: &[Tile] = &[
    Tile::shared("tile4", 4, 8, 8, 16),
    Tile::shared("tile4_wide", 4, 16, 16, 16),
    Tile::shared("tile8", 8, 8, 8, 16),
    Tile::shared("tile8_wide", 8, 16, 16, 8),
    Tile::direct("direct4", 4, 4, 32),
    Tile::direct("direct8x4", 8, 4, 32),
    Tile::direct("direct8", 8, 8, 32),
];

/// The tiling of a name.
pub fn tile(name: &str) -> Option<Tile> {
    TILES.iter().copied().find(|t| t.name == name)
}

/// How a kernel's work is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// One invocation per item, 64 to a workgroup.
    Items,
    /// A workgroup owns `ox` rows, and `ry` invocations share a row; without barriers if `ry` is 1.
    /// `ry` is a power of two.
    Rows {
        /// Rows per workgroup.
        ox: u32,
        /// Invocations per row.
        ry: u32,
    },
    /// Tiles of a matrix product.
    Tile(Tile),
}

impl Variant {
    /// The family that it divides.
    pub fn family(self) -> Family {
        match self {
            Self::Items => Family::Items,
            Self::Rows { .. } => Family::Rows,
            Self::Tile(_) => Family::Contraction,
        }
    }

    /// Name in profiles.
    pub fn name(self) -> &'static str {
        match self {
            Self::Items => "items",
            Self::Rows { ry: 1, .. } => "lanes",
            Self::Rows { .. } => "tree",
            Self::Tile(tile) => tile.name,
        }
    }

    /// Values that the templates read.
    pub(crate) fn values(self) -> Vec<(&'static str, u32)> {
        match self {
            Self::Items => Vec::new(),
            Self::Rows { ox, ry } => vec![("ox", ox), ("ry", ry)],
            Self::Tile(Tile { tm, tn, tx, ty, tk, shared, name: _ }) => {
                vec![("tm", tm), ("tn", tn), ("tx", tx), ("ty", ty), ("tk", tk), ("shared", u32::from(shared))]
            }
        }
    }
}
