//! The engine of onestep: from a loss to a device in three plain steps.
//!
//! [`graph`] says *what* to compute, [`plan`] *how*, [`exec`] *where*. Networks
//! ([`nets`]) and methods are functions that build graphs; nothing above [`exec`]
//! knows which device runs. ARCHITECTURE.md walks through one training step.

pub mod data;
pub mod eval;
pub mod exec;
pub mod files;
pub mod graph;
pub mod json;
#[cfg(all(feature = "native", feature = "gallery"))]
pub mod lab;
pub mod model;
mod names;
pub mod nets;
pub mod onnx;
pub mod plan;
pub mod random;
pub mod sampling;
pub mod session;
pub mod train;
