//! Which tiles are fast on this adapter: measured at the first start, then read from a cache.
//!
//! Invariant: it takes about [`BUDGET_SECS`] at most; what has not been measured by then keeps the
//! table's choice, as on software adapters (whose answer is known) and in browsers (no clock).

use litemap::LiteMap;
use std::time::Duration;

use onestep_shaders::tile;

use super::{Choice, GpuExecutor, cache, profile};
use crate::exec::{ExecError, RunArgs};
use crate::plan::{Arena, ArenaKind, Body, ConvShape, Kernel, Launch, Plan, SLOT_ALIGN, Slot};

/// No candidate is begun after this time.
const BUDGET_SECS: f64 = 0.8;

/// Launches per timing, so that submitting is a small part of it.
const REPEATS: usize = 8;

const INPUTS: &str = "measure.in";
const OUTPUT: &str = "measure.out";

/// Tiles worth trying for a class of sizes.
fn candidates(class: &str) -> &'static [&'static str] {
    match class {
        "narrow" => &["tile4", "direct8x4", "direct4"],
        "small" => &["tile4", "tile4_wide", "direct4"],
        _ => &["tile8", "tile8_wide", "tile4_wide", "direct8"],
    }
}

/// A representative launch of each kernel and class, the most common first.
fn examples() -> Vec<(&'static str, Kernel, [usize; 3])> {
    let convs = [("large", [16, 16, 64, 64]), ("small", [1, 8, 64, 64]), ("narrow", [16, 16, 32, 3])];
    let mut examples = Vec::new();
    for (class, [b, side, ci, co]) in convs {
        let shape = ConvShape { b, h: side, w: side, ci, co, k: 3 };
        let (x, y) = ([b, side, side, ci], [b, side, side, co]);
        let (pixels, weights) = (b * side * side, 9 * ci * co);
        let conv = Kernel::Conv2d { shape, flip: false, prologue: Body::load(1, &x), epilogue: Body::acc(&y) };
        examples.push((class, conv, [weights, pixels * ci, pixels * co]));
        if class == "large" {
            let grad = Kernel::Conv2dGradWeight { shape, prologue: Body::load(0, &x), prologue_d: Body::load(1, &y) };
            examples.push((class, grad, [pixels * ci, pixels * co, weights]));
        }
    }
    for (class, [m, n, k]) in [("large", [512, 512, 256]), ("small", [128, 64, 256])] {
        let (prologue, epilogue) = (Body::load(1, &[m, k]), Body::acc(&[m, n]));
        let kernel = Kernel::MatMul { batch: 1, m, n, k, ta: false, tb: false, prologue, epilogue };
        examples.push((class, kernel, [k * n, m * k, m * n]));
    }
    examples
}

impl GpuExecutor {
    /// Measures anew which tiles are fast, for at most about `budget` (plus one candidate), and returns
    /// the fastest by kernel and class of sizes. Changes nothing; [`Choice::Measured`] takes it.
    pub fn measure(&mut self, budget: Duration) -> Result<LiteMap<String, String>, ExecError> {
        measure(self, budget)
    }
}

/// The choice for the executor's adapter.
pub fn choice(executor: &mut GpuExecutor) -> Result<Choice, ExecError> {
    if executor.tuning.software || cfg!(target_arch = "wasm32") {
        return Ok(Choice::Table);
    }
    let key = cache::key(&executor.gpu.adapter);
    if let Some(names) = cache::load(&key) {
        return Ok(Choice::Measured(names));
    }
    let names = measure(executor, Duration::from_secs_f64(BUDGET_SECS))?;
    // A cache that can't be written costs the next start a second, nothing else.
    let _ = cache::save(&key, &names);
    Ok(Choice::Measured(names))
}

/// The fastest tile per kernel and class, of those that `budget` allows to measure.
fn measure(executor: &mut GpuExecutor, budget: Duration) -> Result<LiteMap<String, String>, ExecError> {
    let tuning = executor.tuning.clone();
    let mut spent = 0.0;
    let mut names = LiteMap::new();
    for (class, kernel, sizes) in examples() {
        let plan = plan(&kernel, sizes);
        for arena in &plan.arenas {
            if let ArenaKind::Store(name) = &arena.kind {
                executor.create_store(name, arena.len)?;
            }
        }
        let mut best = f64::INFINITY;
        for name in candidates(class) {
            if spent > budget.as_secs_f64() {
                break;
            }
            executor.tuning.choice = Choice::Forced(tile(name).expect("candidates are tiles of the registry"));
            let mut secs = f64::INFINITY;
            spent += profile::timed(|| {
                secs = fastest(executor, &plan)?;
                Ok(())
            })?;
            if secs < best {
                best = secs;
                names.insert(format!("{}/{class}", kernel.name()), (*name).to_owned());
            }
        }
    }
    executor.remove_store(INPUTS);
    executor.remove_store(OUTPUT);
    executor.tuning = tuning;
    Ok(names)
}

/// Seconds of the faster of two runs, after one that warms up.
fn fastest(executor: &mut GpuExecutor, plan: &Plan) -> Result<f64, ExecError> {
    let id = executor.prepare(plan)?;
    let mut best = f64::INFINITY;
    for warm in [false, true, true] {
        let secs = profile::timed(|| {
            executor.run(id, &RunArgs { scalars: &[], seed: 0, step: 0 })?;
            executor.sync()
        })?;
        if warm {
            best = best.min(secs);
        }
    }
    executor.release(id);
    Ok(best)
}

fn plan(kernel: &Kernel, [a, b, out]: [usize; 3]) -> Plan {
    let second = a.next_multiple_of(SLOT_ALIGN);
    let arena = |name: &str, len| Arena { kind: ArenaKind::Store(name.to_owned()), len };
    let slot = |arena, offset, len| Slot { arena, offset, len };
    let launch = Launch {
        kernel: kernel.clone(),
        inputs: vec![slot(0, 0, a), slot(0, second, b)],
        outputs: vec![slot(1, 0, out)],
        flops: 0,
        bytes: 0,
        label: "measure".to_owned(),
    };
    Plan {
        name: "measure".to_owned(),
        arenas: vec![arena(INPUTS, second + b), arena(OUTPUT, out)],
        launches: vec![launch; REPEATS],
        scalars: Vec::new(),
    }
}
