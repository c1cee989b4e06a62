//! A graph, its gradient, its plan, and the plan's run on the processor and on a GPU.
//!
//! `cargo run --release -p onestep-core --example first_step`

use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::exec::gpu::{DeviceRequest, GpuExecutor};
use onestep_core::exec::{Executor, RunArgs};
use onestep_core::graph::Graph;
use onestep_core::plan::Program;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A loss: the mean of (silu(x w) - 1)^2.
    let graph = Graph::new();
    let x = graph.input("x", 0, &[4, 3]);
    let w = graph.input("w", 0, &[3, 2]);
    let loss = graph.scope("loss", || (x.matmul(w).silu() - 1.0).square().mean_all());
    // Its gradient is a part of the same graph, and could be differentiated again.
    let slope = graph.grad(loss, &[w])[0];
    // The plan: which kernels run in which order, and what they leave in which store.
    let plan = Program::new("first step", &graph).output(loss, "loss", 0).output(slope, "slope", 0).build()?;
    println!("{plan}");
    run(Executor::Cpu(CpuExecutor::new()), &plan)?;
    match pollster::block_on(GpuExecutor::new(&DeviceRequest::default())) {
        Ok(gpu) => run(Executor::Gpu(Box::new(gpu)), &plan)?,
        Err(error) => println!("no GPU: {error}"),
    }
    Ok(())
}

fn run(mut executor: Executor, plan: &onestep_core::plan::Plan) -> Result<(), Box<dyn std::error::Error>> {
    for (store, len) in [("x", 12), ("w", 6), ("loss", 1), ("slope", 6)] {
        executor.create_store(store, len)?;
        executor.write(store, 0, &(0..len).map(|i| (i as f32).sin()).collect::<Vec<_>>())?;
    }
    let id = executor.prepare(plan)?;
    executor.run(id, &RunArgs { scalars: &[], seed: 0, step: 0 })?;
    let (loss, slope) =
        (pollster::block_on(executor.read("loss", 0, 1))?, pollster::block_on(executor.read("slope", 0, 6))?);
    println!("{}: loss {loss:?}, slope {slope:?}", executor.name());
    Ok(())
}
