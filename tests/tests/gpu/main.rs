//! The GPU executor: every kernel in every variant against its twin on the CPU, and the executor's
//! own promises (errors as values, buffers that grow, the same bits twice).
//!
//! A mutated shader turns these red; that has been tried (CONTRIBUTING.md says how).

mod bodies;
mod case;
mod contractions;
mod executor;
mod pointwise;
mod small;
mod sums;
