//! The inner loops of the CPU executor: slices in, slices out.
//!
//! A crate of its own because its profile is: a browser's module is compiled for size except for this, where the time
//! goes (`[profile.web]` in the workspace's `Cargo.toml`). Hence the invariant: what is exported for hot loops is no
//! generic function, which would be compiled where it is called. How work is cut into tasks is the caller's business
//! (`exec::cpu` of `onestep-core`).
//!
//! Where to look: [`tile`] and [`narrow`] hold the loops of contractions, [`winograd`] what saves some of them, [`mod@math`] the elementary functions,
//! [`sums`] those that add up, [`rng`] random numbers, [`simd`] how one loop is compiled for several instruction
//! sets, [`par`] threads; `peak` what all of them are measured by.

#![allow(clippy::cast_possible_wrap, reason = "sizes and element numbers are far below 2^31")]

pub mod math;
pub mod narrow;
pub mod op;
pub mod par;
#[cfg(not(target_arch = "wasm32"))]
pub mod peak;
pub mod rng;
pub mod simd;
pub mod sums;
pub mod tile;
pub mod winograd;
