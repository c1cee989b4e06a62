//! Adapters as whole networks, to draw from and to save.

use crate::exec::RunArgs;
use crate::exec::cpu::CpuExecutor;
use crate::graph::Graph;
use crate::nets::{NetworkConfig, Params};
use crate::plan::Program;

use super::trainer::TrainError;

/// The weights `base` of a denoiser with the changes of an adapter of this rank on them, in the layout of `base`.
pub(super) fn whole(
    network: &NetworkConfig,
    rank: usize,
    base: &[f32],
    adapter: &[f32],
) -> Result<Vec<f32>, TrainError> {
    const STORES: [&str; 3] = ["base", "adapter", "whole"];
    let graph = Graph::new();
    let params = Params::adapter(&graph, STORES[1], STORES[0], rank);
    let shape: Vec<usize> = std::iter::once(1).chain(network.data_shape()).collect();
    let _ = network.denoiser(&params, graph.input("x", 0, &shape), graph.input("sigma", 0, &[1]), None);
    let changed = params.changed();
    let program = changed
        .iter()
        .fold(Program::new("whole", &graph), |program, (offset, weight)| program.output(*weight, STORES[2], *offset));
    let plan = program.build()?;
    let mut executor = CpuExecutor::new();
    for (store, values) in STORES.into_iter().zip([base, adapter, base]) {
        executor.create_store(store, values.len())?;
        executor.write(store, 0, values)?;
    }
    let plan = executor.prepare(&plan)?;
    executor.run(plan, &RunArgs { scalars: &[], seed: 0, step: 0 })?;
    Ok(pollster::block_on(executor.read(STORES[2], 0, base.len()))?)
}
