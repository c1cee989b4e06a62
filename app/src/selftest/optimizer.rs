//! The optimizer and the statistics ring: kernels that change stores in place, so plain loops in f64
//! over their formulas are the other side (see `Kernel::Adam` and `Kernel::Record`).

use onestep_core::exec::{Executor, RunArgs};
use onestep_core::graph::Graph;
use onestep_core::plan::{Adam, Program};

use super::{Outcome, read, values};

const NETWORK: &str = "selftest.network";
const STATS: &str = "selftest.stats";
/// Rows of the ring, and the step that is recorded.
const RING: usize = 4;
const STEP: u32 = 6;
const LEN: usize = 2 * Adam::ROW;

/// Learning rate, decays, eps, corrections, decay of the average, clip: in the order of names below.
const SCALARS: [(&str, f32); 8] = [
    ("lr", 0.01),
    ("beta1", 0.9),
    ("beta2", 0.99),
    ("eps", 1e-8),
    ("correction1", 0.19),
    ("correction2", 0.02),
    ("ema_decay", 0.95),
    ("clip", 0.5),
];

/// Checks both.
pub fn run(executor: &mut Executor) -> Vec<Outcome> {
    check(executor).unwrap_or_else(|error| vec![Outcome::failed("adam and record", &error)])
}

fn check(executor: &mut Executor) -> anyhow::Result<Vec<Outcome>> {
    let graph = Graph::new();
    let gradient = graph.input("selftest.gradient", 0, &[LEN]);
    let plan = Program::new("optimizer", &graph)
        .output(gradient * 0.5, &format!("{NETWORK}.grad"), 0)
        .adam(NETWORK, LEN)
        .record(STATS, RING, &[gradient.square().mean_all()])
        .build()?;
    let store = |name: &str| format!("{NETWORK}.{name}");
    let contents = values(9, LEN);
    executor.create_store("selftest.gradient", LEN)?;
    executor.write("selftest.gradient", 0, &contents)?;
    executor.create_store(&store("grad"), LEN)?;
    let mut state = Vec::new();
    for (number, name) in ["param", "m", "v", "ema"].into_iter().enumerate() {
        let mut values = values(10 + number as u32, LEN);
        if name == "v" {
            values = values.into_iter().map(f32::abs).collect();
        }
        executor.create_store(&store(name), LEN)?;
        executor.write(&store(name), 0, &values)?;
        state.push(values);
    }
    executor.create_store(STATS, RING * 2)?;
    let scalar = |name: &String| {
        let known = SCALARS
            .iter()
            .find(|(known, _)| name.strip_prefix(NETWORK).and_then(|rest| rest.strip_prefix(".")) == Some(*known));
        known.map(|(_, value)| *value).ok_or_else(|| anyhow::anyhow!("unknown scalar {name}"))
    };
    let scalars = plan.scalars.iter().map(scalar).collect::<Result<Vec<f32>, _>>()?;
    let id = executor.prepare(&plan)?;
    executor.run(id, &RunArgs { scalars: &scalars, seed: 0, step: STEP })?;

    let gradient: Vec<f64> = contents.iter().map(|g| f64::from(*g) * 0.5).collect();
    let norm_sq: f64 = gradient.iter().map(|g| g * g).sum();
    let mut outcomes = Vec::new();
    for (name, want) in ["param", "m", "v", "ema"].into_iter().zip(updated(&gradient, norm_sq, &state)) {
        let got = read(executor, &store(name), LEN)?;
        outcomes.push(Outcome::compare(format!("adam: {name}"), &got, &want, 2e-6));
    }
    let row = STEP as usize % RING * 2;
    let got = &read(executor, STATS, RING * 2)?[row..row + 2];
    let mean = gradient.iter().map(|g| 4.0 * g * g).sum::<f64>() / LEN as f64;
    outcomes.push(Outcome::compare("record: a row of statistics", got, &[mean, norm_sq], 2e-5));
    Ok(outcomes)
}

/// Parameters, both moments and the average after one update.
fn updated(gradient: &[f64], norm_sq: f64, state: &[Vec<f32>]) -> [Vec<f64>; 4] {
    let [lr, b1, b2, eps, c1, c2, decay, clip] = SCALARS.map(|(_, value)| f64::from(value));
    let scale = (clip / norm_sq.sqrt()).min(1.0);
    let mut out = [const { Vec::new() }; 4];
    for (i, g) in gradient.iter().enumerate() {
        let [param, m, v, ema] = [0, 1, 2, 3].map(|j: usize| f64::from(state[j][i]));
        let g = g * scale;
        let m = b1 * m + (1.0 - b1) * g;
        let v = b2 * v + (1.0 - b2) * g * g;
        let param = param - lr * (m / c1) / ((v / c2).sqrt() + eps);
        let ema = ema + (1.0 - decay) * (param - ema);
        out.iter_mut().zip([param, m, v, ema]).for_each(|(all, x)| all.push(x));
    }
    out
}
