//! `ONESTEP_CPU=kernel,...` or `all`: run those kernels of a plan on their CPU twin, to find a wrong
//! shader by halving. Slow: every such launch waits for the device and copies its operands.
//!
//! Invariant: without the variable nothing here costs anything.

use super::memory::download;
use super::{GpuExecutor, Step};
use crate::exec::{ExecError, PlanId, RunArgs, cpu};
use crate::plan::Slot;

/// Which kernels run on their twin.
#[derive(Debug, Default)]
pub struct OnCpu {
    names: Vec<String>,
}

impl OnCpu {
    /// Reads `ONESTEP_CPU`.
    pub fn from_env() -> Self {
        Self::parse(&std::env::var("ONESTEP_CPU").unwrap_or_default())
    }

    /// Reads names of kernels separated by commas, or `all`.
    pub fn parse(names: &str) -> Self {
        Self { names: names.split(',').map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()).collect() }
    }

    /// Whether any kernel does.
    pub fn any(&self) -> bool {
        !self.names.is_empty()
    }

    fn has(&self, kernel: &str) -> bool {
        self.names.iter().any(|n| n == kernel || n == "all")
    }
}

/// Runs a plan whose bind groups exist, part on the device and part on twins.
pub fn run(executor: &mut GpuExecutor, plan: PlanId, args: &RunArgs<'_>) -> Result<(), ExecError> {
    let launches = executor.plans[plan].plan.launches.clone();
    let mut step = 0;
    for (number, launch) in launches.iter().enumerate() {
        let own = |s: &Step| s.launch == number;
        let end = step + executor.plans[plan].steps[step..].iter().take_while(|s| own(s)).count();
        if executor.on_cpu.has(launch.kernel.name()) {
            let inputs = launch.inputs.iter().map(|s| fetch(executor, plan, s)).collect::<Result<Vec<_>, _>>()?;
            let mut outputs = launch.outputs.iter().map(|s| fetch(executor, plan, s)).collect::<Result<Vec<_>, _>>()?;
            let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
            let mut slices: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
            cpu::run_launch(launch, &inputs, &mut slices, args);
            for (slot, values) in launch.outputs.iter().zip(&outputs) {
                let array = executor.memory.arena(&executor.plans[plan].plan.arenas[slot.arena].kind)?;
                executor.gpu.queue.write_buffer(&array.buffer, slot.offset as u64 * 4, bytemuck::cast_slice(values));
            }
        } else {
            executor.submit(plan, step..end);
        }
        step = end;
    }
    executor.gpu.check()
}

fn fetch(executor: &GpuExecutor, plan: PlanId, slot: &Slot) -> Result<Vec<f32>, ExecError> {
    let array = executor.memory.arena(&executor.plans[plan].plan.arenas[slot.arena].kind)?;
    let words = pollster::block_on(download(&executor.gpu, &array.buffer, slot.offset, slot.len))?;
    Ok(bytemuck::cast_vec(words))
}
