//! From a graph to launches: *how* to compute.
//!
//! [`Program`] collects what a run has to leave behind, [`Program::build`] makes the [`Plan`]:
//! decide what is stored ([`fuse`]), turn each launch into code over index maps ([`expand`]),
//! order the launches ([`schedule`]) and place every value in an arena ([`place`]).

mod expand;
mod fuse;
pub mod ir;
mod place;
mod program;
mod schedule;
mod table;

pub use ir::*;
pub use program::{Adam, Program};

use crate::graph::GraphError;

/// Why no plan can be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The graph itself is wrong.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Bytes are gathered from something that is not a store.
    #[error("`{label}` gathers bytes from a computed value; bytes come from a store")]
    BytesNotInStore {
        /// Where.
        label: String,
    },
    /// One launch reads too many values, and none of them can be stored first.
    #[error("`{label}` reads {got} buffers, a launch can bind {limit}")]
    TooManyOperands {
        /// Where.
        label: String,
        /// How many.
        got: usize,
        /// How many there may be.
        limit: usize,
    },
    /// One launch writes all statistics of a program.
    #[error("the {program} records {got} statistics, gradient norms included, a launch can bind {limit}")]
    TooManyStatistics {
        /// Of which program.
        program: String,
        /// How many.
        got: usize,
        /// How many there may be.
        limit: usize,
    },
    /// An output's store offset is not aligned, or outputs overlap.
    #[error("output to `{store}` at element {offset}: {problem}")]
    Output {
        /// The store.
        store: String,
        /// First element.
        offset: usize,
        /// What is wrong.
        problem: &'static str,
    },
}
