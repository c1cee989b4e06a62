//! Executors: *where* a plan runs.
//!
//! `cpu` and `gpu` run the same [`Plan`](crate::plan::Plan) and offer the same methods; nothing above this module knows
//! which of them is at work.

pub mod cpu;
mod executor;
pub mod gpu;
#[cfg(feature = "native")]
pub mod peak;
mod plans;

pub use executor::Executor;
use plans::Plans;

/// Numbers that a run passes to its plan.
#[derive(Clone, Copy, Debug)]
pub struct RunArgs<'a> {
    /// Values of [`Plan::scalars`](crate::plan::Plan::scalars), in that order.
    pub scalars: &'a [f32],
    /// First word of every random key.
    pub seed: u32,
    /// First word of every per-step random counter; the row of a `Record`.
    pub step: u32,
}

/// A plan that an executor has prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlanId(pub usize);

/// Time spent in one launch.
#[derive(Clone, Debug)]
pub struct LaunchTime {
    /// Index into [`Plan::launches`](crate::plan::Plan::launches).
    pub launch: usize,
    /// Seconds.
    pub secs: f64,
}

/// What can go wrong on a device.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// A store that was never created.
    #[error("the plan needs the store `{name}`, which does not exist")]
    NoStore {
        /// Its name.
        name: String,
    },
    /// A store that is too small for a plan or a transfer.
    #[error("store `{name}` has {have} elements where {want} are needed")]
    StoreTooSmall {
        /// Its name.
        name: String,
        /// Elements that it has.
        have: usize,
        /// Elements that are needed.
        want: usize,
    },
    /// A number of scalars that differs from the plan's.
    #[error("plan `{plan}` takes {want} scalars, got {got}")]
    Scalars {
        /// The plan's name.
        plan: String,
        /// Scalars of the plan.
        want: usize,
        /// Scalars passed.
        got: usize,
    },
    /// No adapter fits the request.
    #[error("{0}")]
    NoAdapter(String),
    /// The device is gone; make a new executor from the last good state.
    #[error("the GPU device was lost: {0}")]
    DeviceLost(String),
    /// A limit of the device is exceeded.
    #[error("{what} needs {need}, this device allows {limit}; {fix}")]
    Limit {
        /// What is too big.
        what: String,
        /// How much it needs.
        need: u64,
        /// How much there may be.
        limit: u64,
        /// What the user can do.
        fix: String,
    },
    /// The system gives this program no more memory, though the machine has some.
    #[error("{what}: the system refused {need} bytes of memory; lower --batch or --width, or allow more (ulimit -v)")]
    NoMemory {
        /// What it was for.
        what: String,
        /// Bytes.
        need: u64,
    },
    /// Anything that the device reports.
    #[error("GPU error: {0}")]
    Gpu(String),
}
