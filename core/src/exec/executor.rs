//! One interface over both executors, so that nothing above asks which device runs.

use super::cpu::CpuExecutor;
use super::gpu::GpuExecutor;
use super::{ExecError, LaunchTime, PlanId, RunArgs};
use crate::plan::Plan;

/// A device that runs plans.
pub enum Executor {
    /// Twins on the processor.
    Cpu(CpuExecutor),
    /// WGSL on a GPU, or on software that stands in for one.
    Gpu(Box<GpuExecutor>),
}

macro_rules! both {
    ($self:ident, $executor:ident => $call:expr) => {
        match $self {
            Executor::Cpu($executor) => $call,
            Executor::Gpu($executor) => $call,
        }
    };
}

impl Executor {
    /// Name for people, such as `cpu (2 threads)` or `llvmpipe (Vulkan)`.
    pub fn name(&self) -> String {
        match self {
            Self::Cpu(_) => match super::cpu::threads() {
                1 => "cpu (1 thread)".to_owned(),
                threads => format!("cpu ({threads} threads)"),
            },
            Self::Gpu(gpu) => format!("{} ({})", gpu.adapter().name, gpu.adapter().backend),
        }
    }

    /// Whether it is the processor's executor.
    pub fn is_cpu(&self) -> bool {
        matches!(self, Self::Cpu(_))
    }

    /// Makes a store of `len` zeros; replaces one of that name.
    pub fn create_store(&mut self, name: &str, len: usize) -> Result<(), ExecError> {
        both!(self, e => e.create_store(name, len))
    }

    /// Drops a store, if there is one of that name.
    pub fn remove_store(&mut self, name: &str) {
        both!(self, e => e.remove_store(name));
    }

    /// Elements of a store.
    pub fn store_len(&self, name: &str) -> Option<usize> {
        both!(self, e => e.store_len(name))
    }

    /// Overwrites elements `offset ..` of a store.
    pub fn write(&mut self, name: &str, offset: usize, values: &[f32]) -> Result<(), ExecError> {
        both!(self, e => e.write(name, offset, values))
    }

    /// As [`Executor::write`], for stores of words such as packed bytes.
    pub fn write_words(&mut self, name: &str, offset: usize, words: &[u32]) -> Result<(), ExecError> {
        both!(self, e => e.write_words(name, offset, words))
    }

    /// Elements `offset .. offset + len` of a store.
    pub async fn read(&self, name: &str, offset: usize, len: usize) -> Result<Vec<f32>, ExecError> {
        both!(self, e => e.read(name, offset, len).await)
    }

    /// Takes a plan whose stores exist.
    pub fn prepare(&mut self, plan: &Plan) -> Result<PlanId, ExecError> {
        both!(self, e => e.prepare(plan))
    }

    /// Drops a plan, which must not be run again.
    pub fn release(&mut self, plan: PlanId) {
        both!(self, e => e.release(plan));
    }

    /// Plans that are prepared.
    pub fn plan_count(&self) -> usize {
        both!(self, e => e.plan_count())
    }

    /// Runs a plan; on a GPU this only submits the work.
    pub fn run(&mut self, plan: PlanId, args: &RunArgs<'_>) -> Result<(), ExecError> {
        both!(self, e => e.run(plan, args))
    }

    /// Waits until all submitted work is done.
    pub fn sync(&self) -> Result<(), ExecError> {
        match self {
            Self::Cpu(_) => Ok(()),
            Self::Gpu(gpu) => gpu.sync(),
        }
    }

    /// As [`Executor::sync`], for hosts that must not block: completes when the device has done all
    /// submitted work.
    pub async fn finished(&self) -> Result<(), ExecError> {
        match self {
            Self::Cpu(_) => Ok(()),
            Self::Gpu(gpu) => gpu.finished().await,
        }
    }

    /// Runs a plan and times each launch.
    pub async fn profile(&mut self, plan: PlanId, args: &RunArgs<'_>) -> Result<Vec<LaunchTime>, ExecError> {
        match self {
            Self::Cpu(cpu) => cpu.profile(plan, args),
            Self::Gpu(gpu) => gpu.profile(plan, args).await,
        }
    }

    /// Bytes of each scratch arena and store.
    pub fn memory(&self) -> Vec<(String, u64)> {
        both!(self, e => e.memory())
    }
}
