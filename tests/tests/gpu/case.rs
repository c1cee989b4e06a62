//! One launch on both executors.

use onestep_core::exec::RunArgs;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::exec::gpu::{Choice, GpuExecutor, Tuning};
use onestep_core::plan::{Arena, ArenaKind, Kernel, Launch, Plan, SLOT_ALIGN, Slot};
use onestep_shaders::TILES;
use onestep_tests::{POISON, Side, Tolerance, compare, gpu};
use pollster::block_on;

pub const SCALARS: [f32; 9] = [0.5, -1.25, 3.0, 0.9, 0.999, 1e-8, 0.1, 0.01, 2.0];
pub const SEED: u32 = 0x1234_5678;
pub const STEP: u32 = 41;

/// One launch with its operands.
pub struct Case {
    pub what: String,
    pub kernel: Kernel,
    pub inputs: Vec<Vec<f32>>,
    pub outputs: Vec<Vec<f32>>,
}

impl Case {
    pub fn new(what: impl Into<String>, kernel: Kernel, inputs: Vec<Vec<f32>>, outputs: &[usize]) -> Self {
        Self { what: what.into(), kernel, inputs, outputs: outputs.iter().map(|len| vec![POISON; *len]).collect() }
    }

    /// A plan of that launch; inputs lie in the store `in`, outputs in `out`.
    pub fn plan(&self) -> Plan {
        let slots = |arena: usize, arrays: &[Vec<f32>]| {
            let mut offset = 0;
            let mut slots = Vec::new();
            for array in arrays {
                slots.push(Slot { arena, offset, len: array.len() });
                offset += array.len().next_multiple_of(SLOT_ALIGN);
            }
            (slots, offset.max(1))
        };
        let (inputs, in_len) = slots(0, &self.inputs);
        let (outputs, out_len) = slots(1, &self.outputs);
        let arena = |name: &str, len| Arena { kind: ArenaKind::Store(name.to_owned()), len };
        Plan {
            name: self.what.clone(),
            arenas: vec![arena("in", in_len), arena("out", out_len)],
            launches: vec![Launch {
                kernel: self.kernel.clone(),
                inputs,
                outputs,
                flops: 0,
                bytes: 0,
                label: self.what.clone(),
            }],
            scalars: (0..SCALARS.len()).map(|i| format!("s{i}")).collect(),
        }
    }

    pub fn on_cpu(&self) -> Vec<Vec<f32>> {
        let plan = self.plan();
        let launch = &plan.launches[0];
        let mut cpu = CpuExecutor::new();
        cpu.create_store("in", plan.arenas[0].len).unwrap();
        cpu.create_store("out", plan.arenas[1].len).unwrap();
        for (slot, array) in launch.inputs.iter().zip(&self.inputs) {
            cpu.write("in", slot.offset, array).unwrap();
        }
        for (slot, array) in launch.outputs.iter().zip(&self.outputs) {
            cpu.write("out", slot.offset, array).unwrap();
        }
        let id = cpu.prepare(&plan).unwrap();
        cpu.run(id, &RunArgs { scalars: &SCALARS, seed: SEED, step: STEP }).unwrap();
        launch.outputs.iter().map(|slot| block_on(cpu.read("out", slot.offset, slot.len)).unwrap()).collect()
    }

    pub fn on_gpu(&self, gpu: &mut GpuExecutor) -> Vec<Vec<f32>> {
        let plan = self.plan();
        let launch = &plan.launches[0];
        gpu.create_store("in", plan.arenas[0].len).unwrap();
        gpu.create_store("out", plan.arenas[1].len).unwrap();
        for (slot, array) in launch.inputs.iter().zip(&self.inputs) {
            gpu.write("in", slot.offset, array).unwrap();
        }
        for (slot, array) in launch.outputs.iter().zip(&self.outputs) {
            gpu.write("out", slot.offset, array).unwrap();
        }
        let id = gpu.prepare(&plan).unwrap_or_else(|e| panic!("{}: {e}", self.what));
        gpu.poison_scratch();
        gpu.run(id, &RunArgs { scalars: &SCALARS, seed: SEED, step: STEP })
            .unwrap_or_else(|e| panic!("{}: {e}", self.what));
        launch.outputs.iter().map(|slot| block_on(gpu.read("out", slot.offset, slot.len)).unwrap()).collect()
    }

    /// Runs the case under each tuning and compares; collects what differs.
    pub fn check(&self, tunings: &[(String, Tuning)], tolerance: Tolerance, failures: &mut Vec<String>) {
        let want = self.on_cpu();
        let mut gpu = gpu();
        for (name, tuning) in tunings {
            gpu.set_tuning(tuning.clone());
            let got = self.on_gpu(&mut gpu);
            assert!(!want.is_empty());
            for (j, (got, want)) in got.iter().zip(&want).enumerate() {
                let what = format!("{} [{name}] output {j} on {}", self.what, gpu.adapter().name);
                let (got, want) = (Side { name: "gpu", values: got }, Side { name: "twin", values: want });
                failures.extend(compare(&what, got, want, tolerance).err());
            }
        }
    }
}

pub fn report(failures: &[String]) {
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

fn tuning(software: bool, choice: Choice, temporaries: bool) -> Tuning {
    Tuning { software, choice, temporaries, max_elements: usize::MAX }
}

/// The fixed tables for software and for hardware, with and without temporary buffers.
pub fn tables() -> Vec<(String, Tuning)> {
    [(true, true), (false, true), (false, false)]
        .map(|(software, temporaries)| {
            let name = format!("table, software {software}, temporaries {temporaries}");
            (name, tuning(software, Choice::Table, temporaries))
        })
        .to_vec()
}

/// Every tile: all in one dispatch; split, with costly operands apart; with epilogues apart.
pub fn tiles() -> Vec<(String, Tuning)> {
    let of = |tile: &onestep_shaders::Tile, software, temporaries| {
        let name = format!("{}, software {software}, temporaries {temporaries}", tile.name);
        (name, tuning(software, Choice::Forced(*tile), temporaries))
    };
    let mut all: Vec<_> = TILES.iter().flat_map(|tile| [of(tile, false, false), of(tile, false, true)]).collect();
    all.push(of(&TILES[0], true, true));
    all.push(of(&TILES[TILES.len() - 1], true, true));
    all
}

pub fn product(dims: &[usize]) -> usize {
    dims.iter().product()
}
