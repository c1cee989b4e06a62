//! The executor without a GPU: every kernel of a plan on its twin, with threads and vectors.
//!
//! It is what machines without a usable GPU train on, one half of every parity test, and the way
//! to bisect a wrong shader. Invariant: a run gives the same bits every time, for any number of
//! threads: work is cut by shape, and partial sums are added in a fixed order.
//!
//! Where to look: `program` and `body` interpret pointwise code, `conv`, `conv_grad`, `winograd`, `matmul` and
//! `reduce` cut the work into tasks, `rest` has the small kernels, `memory` how launches borrow their
//! operands, `kept` what outlives a run. The inner loops are in [`onestep_kernels`].

#![allow(clippy::cast_possible_wrap, reason = "sizes and element numbers are far below 2^31")]

mod body;
mod conv;
mod conv_grad;
mod flow;
mod image;
mod kept;
mod launch;
mod matmul;
mod memory;
mod moments;
mod pointwise;
mod program;
mod reduce;
mod reduce_map;
mod rest;
mod sums;
#[cfg(test)]
mod tests;
mod view;
mod winograd;

pub use launch::run_launch;
pub use onestep_kernels::par::threads;

use super::{ExecError, LaunchTime, PlanId, Plans, RunArgs};
use crate::plan::{ArenaKind, Launch, Plan};
use kept::{Kept, Shelf};
use launch::run_with_kept;
use memory::Memory;
use onestep_kernels::{math, narrow, par, rng, simd, tile};

/// Fills scratch memory before each run if [`CpuExecutor::poison`] is set: far from any sensible
/// value, and easy to recognise.
const POISON: f32 = -12345.0;

/// Runs plans on the processor.
#[derive(Debug, Default)]
pub struct CpuExecutor {
    memory: Memory,
    plans: Plans<Prepared>,
    /// Fill scratch arenas with -12345.0 before each run, so that a plan that reads what it did
    /// not write is found out. On in debug builds.
    pub poison: bool,
}

/// A plan, and what its runs keep for later ones.
#[derive(Debug)]
struct Prepared {
    plan: Plan,
    shelf: Shelf,
}

impl CpuExecutor {
    /// An executor without stores.
    pub fn new() -> Self {
        Self { poison: cfg!(debug_assertions), ..Self::default() }
    }

    /// Makes a store of `len` zeros; replaces one of that name.
    pub fn create_store(&mut self, name: &str, len: usize) -> Result<(), ExecError> {
        self.memory.create(name, len)
    }

    /// Drops a store, if there is one of that name.
    pub fn remove_store(&mut self, name: &str) {
        self.memory.remove(name);
    }

    /// Whether there is a store of that name.
    pub fn has_store(&self, name: &str) -> bool {
        self.memory.len_of(name).is_some()
    }

    /// Elements of a store.
    pub fn store_len(&self, name: &str) -> Option<usize> {
        self.memory.len_of(name)
    }

    /// Overwrites elements `offset ..` of a store.
    pub fn write(&mut self, name: &str, offset: usize, values: &[f32]) -> Result<(), ExecError> {
        self.memory.range_mut(name, offset, values.len())?.copy_from_slice(values);
        Ok(())
    }

    /// As [`CpuExecutor::write`], for stores that hold words such as packed bytes.
    pub fn write_words(&mut self, name: &str, offset: usize, words: &[u32]) -> Result<(), ExecError> {
        let range = self.memory.range_mut(name, offset, words.len())?;
        bytemuck::cast_slice_mut(range).copy_from_slice(words);
        Ok(())
    }

    /// Elements `offset .. offset + len` of a store.
    #[expect(clippy::unused_async, reason = "the GPU executor has to wait here")]
    pub async fn read(&self, name: &str, offset: usize, len: usize) -> Result<Vec<f32>, ExecError> {
        self.memory.range(name, offset, len).map(<[f32]>::to_vec)
    }

    /// As [`CpuExecutor::read`], for stores that hold words.
    #[expect(clippy::unused_async, reason = "the GPU executor has to wait here")]
    pub async fn read_words(&self, name: &str, offset: usize, len: usize) -> Result<Vec<u32>, ExecError> {
        self.memory.range(name, offset, len).map(|range| bytemuck::cast_slice(range).to_vec())
    }

    /// Takes a plan whose stores exist, and makes scratch memory for it.
    ///
    /// # Panics
    /// If the plan breaks its own invariants: a slot outside its arena, a launch that reads what
    /// it writes, one store as two arenas.
    pub fn prepare(&mut self, plan: &Plan) -> Result<PlanId, ExecError> {
        for (i, arena) in plan.arenas.iter().enumerate() {
            let twice = plan.arenas[..i].iter().any(|other| other.kind == arena.kind);
            assert!(!twice, "plan `{}` lists {:?} twice", plan.name, arena.kind);
            match &arena.kind {
                ArenaKind::Store(name) => self.memory.check(name, arena.len)?,
                ArenaKind::Scratch(number) => {
                    let scratch = &mut self.memory.scratch;
                    if scratch.len() <= *number {
                        scratch.resize_with(number + 1, Vec::new);
                    }
                    let len = scratch[*number].len().max(arena.len);
                    memory::grow(&mut scratch[*number], len, POISON, || {
                        format!("memory for the {} (bytes)", plan.name)
                    })?;
                }
            }
        }
        for launch in &plan.launches {
            for slot in launch.inputs.iter().chain(&launch.outputs) {
                let fits = slot.offset + slot.len <= plan.arenas[slot.arena].len;
                assert!(fits, "{} of `{}` leaves its arena", launch.label, plan.name);
            }
            let clash = |slot| launch.outputs.iter().any(|out| out.arena == slot);
            let reads_written = launch.inputs.iter().any(|slot| clash(slot.arena));
            assert!(!reads_written, "{} of `{}` reads what it writes", launch.label, plan.name);
        }
        Ok(self.plans.add(Prepared { plan: plan.clone(), shelf: Shelf::new(plan) }))
    }

    /// Drops a plan, which must not be run again.
    pub fn release(&mut self, plan: PlanId) {
        self.plans.release(plan);
    }

    /// Plans that are prepared.
    pub fn plan_count(&self) -> usize {
        self.plans.count()
    }

    /// Runs a plan to its end.
    pub fn run(&mut self, plan: PlanId, args: &RunArgs) -> Result<(), ExecError> {
        self.each_launch(plan, args, |_, launch, kept, inputs, outputs| {
            run_with_kept(launch, kept, inputs, outputs, args);
            true
        })
    }

    /// Runs a plan and times each launch. On wasm, which has no clock here, all times are 0.
    pub fn profile(&mut self, plan: PlanId, args: &RunArgs) -> Result<Vec<LaunchTime>, ExecError> {
        let mut times = Vec::new();
        self.each_launch(plan, args, |i, launch, kept, inputs, outputs| {
            let secs = timed(|| run_with_kept(launch, kept, inputs, outputs, args));
            times.push(LaunchTime { launch: i, secs });
            true
        })?;
        Ok(times)
    }

    /// Runs a plan until some launch writes NaN or infinity: its number and label.
    pub fn first_non_finite(&mut self, plan: PlanId, args: &RunArgs) -> Result<Option<(usize, String)>, ExecError> {
        let mut found = None;
        self.each_launch(plan, args, |i, launch, kept, inputs, outputs| {
            run_with_kept(launch, kept, inputs, outputs, args);
            let mut written = outputs.iter().flat_map(|out| out.iter());
            if written.any(|x| rest::is_not_finite(*x)) {
                found = Some((i, launch.label.clone()));
            }
            found.is_none()
        })?;
        Ok(found)
    }

    /// Bytes of each scratch arena and store.
    pub fn memory(&self) -> Vec<(String, u64)> {
        self.memory.sizes()
    }

    /// Calls `visit` with each launch and its slices until it returns false.
    fn each_launch(
        &mut self,
        plan: PlanId,
        args: &RunArgs,
        mut visit: impl FnMut(usize, &Launch, Option<&mut Kept>, &[&[f32]], &mut [&mut [f32]]) -> bool + Send,
    ) -> Result<(), ExecError> {
        let Prepared { plan, shelf } = &mut self.plans[plan];
        if args.scalars.len() != plan.scalars.len() {
            let (want, got) = (plan.scalars.len(), args.scalars.len());
            return Err(ExecError::Scalars { plan: plan.name.clone(), want, got });
        }
        // Checked again: a store may have been removed or replaced since the plan was prepared.
        for arena in &plan.arenas {
            if let ArenaKind::Store(name) = &arena.kind {
                self.memory.check(name, arena.len)?;
            }
        }
        let memory = &mut self.memory;
        shelf.look(plan, memory);
        let mut arenas: Vec<Vec<f32>> = plan
            .arenas
            .iter()
            .map(|arena| match &arena.kind {
                ArenaKind::Store(name) => memory.take(name),
                ArenaKind::Scratch(number) => std::mem::take(&mut memory.scratch[*number]),
            })
            .collect();
        if self.poison {
            for (arena, buffer) in plan.arenas.iter().zip(&mut arenas) {
                if matches!(arena.kind, ArenaKind::Scratch(_)) {
                    buffer.fill(POISON);
                }
            }
        }
        par::together(|| {
            for (i, launch) in plan.launches.iter().enumerate() {
                let kept = shelf.of(i);
                let visit = |inputs: &[&[f32]], outputs: &mut [&mut [f32]]| visit(i, launch, kept, inputs, outputs);
                if !memory::with_slices(launch, &mut arenas, visit) {
                    break;
                }
            }
        });
        for (arena, buffer) in plan.arenas.iter().zip(arenas) {
            match &arena.kind {
                ArenaKind::Store(name) => memory.put_back(name, buffer),
                ArenaKind::Scratch(number) => memory.scratch[*number] = buffer,
            }
        }
        #[cfg(not(target_arch = "wasm32"))]
        for slot in plan.launches.iter().flat_map(|launch| &launch.outputs) {
            if let ArenaKind::Store(name) = &plan.arenas[slot.arena].kind {
                memory.note_write(name);
            }
        }
        Ok(())
    }
}

/// Seconds that `job` takes.
#[cfg(not(target_arch = "wasm32"))]
fn timed(job: impl FnOnce()) -> f64 {
    let start = std::time::Instant::now();
    job();
    start.elapsed().as_secs_f64()
}

/// Runs `job`; the browser's clock belongs to the caller.
#[cfg(target_arch = "wasm32")]
fn timed(job: impl FnOnce()) -> f64 {
    job();
    0.0
}
