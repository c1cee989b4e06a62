//! Small programs, one or more for each kernel, and tiny networks, against plain f64 loops.

use std::collections::HashMap;

use anyhow::Context;
use onestep_core::exec::{Executor, RunArgs};
use onestep_core::graph::reference::{Feed, evaluate};
use onestep_core::graph::{Graph, Op, Var};
use onestep_core::nets::{MlpConfig, NetworkConfig, Params, UnetConfig};
use onestep_core::plan::{Program, SLOT_ALIGN};

use super::{Outcome, read, values};

/// Where every case leaves its results.
const OUT: &str = "selftest.out";
/// A store of bytes, four to a word.
const BYTES: &str = "selftest.bytes";
const SEED: u32 = 7;
const STEP: u32 = 3;

/// A program that has to contain a kernel.
struct Case {
    kernel: &'static str,
    what: &'static str,
    tolerance: f64,
    build: for<'g> fn(&'g Graph) -> Vec<Var<'g>>,
}

/// Rounding of a few operations.
const CLOSE: f64 = 2e-6;
/// Sums of a few hundred terms, and the elementary functions of fast shading languages.
const SUMS: f64 = 2e-5;

fn input<'g>(graph: &'g Graph, name: &str, shape: &[usize]) -> Var<'g> {
    graph.input(&format!("selftest.{name}"), 0, shape)
}

fn index(graph: &Graph, count: usize, rows: usize) -> Var<'_> {
    (graph.uniform(1, &[count]) * rows as f32).floor()
}

/// Rows and bytes per row of [`BYTES`].
const TABLE: [usize; 2] = [13, 11];

const CASES: &[Case] = &[
    Case {
        kernel: "pointwise",
        what: "arithmetic",
        tolerance: CLOSE,
        build: |g| {
            let (a, b) = (input(g, "a", &[37, 19]), input(g, "b", &[1, 19]));
            vec![a * b + a.max(b) - b / (a.abs() + 2.0), a.permute(&[1, 0]) * 3.0, a.less(b).pad(0, 1, 2)]
        },
    },
    Case {
        kernel: "pointwise",
        what: "functions",
        tolerance: SUMS,
        build: |g| {
            let a = input(g, "a", &[41, 23]);
            vec![
                (a * 3.0).exp(),
                (a.abs() + 0.1).log(),
                (a * 4.0).sin(),
                a.cos(),
                (a * 5.0).silu(),
                (a * 9.0).softplus(),
            ]
        },
    },
    Case {
        kernel: "pointwise",
        what: "random numbers",
        tolerance: SUMS,
        build: |g| vec![g.normal(5, &[1000]), g.uniform(6, &[1000])],
    },
    Case {
        kernel: "reduce",
        what: "rows, columns, all",
        tolerance: SUMS,
        build: |g| {
            let a = input(g, "a", &[67, 129]);
            vec![a.sum(&[0]), a.square().sum(&[1]), a.sum_all()]
        },
    },
    Case {
        kernel: "moments",
        what: "group norm",
        tolerance: SUMS,
        build: |g| vec![input(g, "a", &[3, 7, 7, 2, 4]).moments(&[1, 2, 4], 1e-5)],
    },
    Case {
        kernel: "matmul",
        what: "plain and transposed",
        tolerance: SUMS,
        build: |g| {
            let (a, b) = (input(g, "a", &[33, 47]), input(g, "b", &[47, 29]));
            let (at, bt) = (input(g, "a", &[47, 33]), input(g, "b", &[29, 47]));
            vec![a.matmul(b), at.matmul_with(b, true, false), a.matmul_with(bt, false, true)]
        },
    },
    Case {
        kernel: "matmul",
        what: "batched, with activation",
        tolerance: SUMS,
        build: |g| vec![input(g, "a", &[4, 17, 9]).silu().matmul(input(g, "b", &[4, 9, 21])).silu()],
    },
    Case {
        kernel: "conv2d",
        what: "3x3 and 1x1",
        tolerance: SUMS,
        build: |g| {
            let x = input(g, "a", &[3, 9, 7, 5]);
            vec![x.silu().conv2d(input(g, "b", &[3, 3, 5, 11])) + 1.0, x.conv2d(input(g, "b", &[1, 1, 5, 8]))]
        },
    },
    Case { kernel: "conv2d", what: "gradient of input", tolerance: SUMS, build: |g| vec![conv_gradients(g)[0]] },
    Case {
        kernel: "conv2d_grad_weight",
        what: "gradient of weights",
        tolerance: SUMS,
        build: |g| vec![conv_gradients(g)[1]],
    },
    Case {
        kernel: "softmax",
        what: "rows",
        tolerance: SUMS,
        build: |g| vec![(input(g, "a", &[17, 33]) * 8.0).softmax()],
    },
    Case {
        kernel: "gather",
        what: "rows of a table",
        tolerance: 0.0,
        build: |g| vec![input(g, "a", &[13, 11]).gather(index(g, 29, 13))],
    },
    Case {
        kernel: "scatter_add",
        what: "gradient of a table",
        tolerance: CLOSE,
        build: |g| {
            let table = input(g, "a", &[13, 11]);
            let loss = (table.gather(index(g, 29, 13)) * input(g, "b", &[29, 11])).sum_all();
            g.grad(loss, &[table])
        },
    },
    Case {
        kernel: "gather_bytes",
        what: "images",
        tolerance: 0.0,
        build: |g| {
            let [rows, width] = TABLE;
            let store = g.input(BYTES, 0, &[(rows * width).div_ceil(4)]);
            vec![store.gather_bytes(index(g, 29, rows), rows, width)]
        },
    },
];

fn conv_gradients(g: &Graph) -> Vec<Var<'_>> {
    let (x, w) = (input(g, "a", &[3, 9, 7, 5]), input(g, "b", &[3, 3, 5, 11]));
    let loss = (x.silu().conv2d(w) * input(g, "c", &[3, 9, 7, 11])).sum_all();
    g.grad(loss, &[x, w])
}

/// Checks every kernel that a graph can ask for.
pub fn run(executor: &mut Executor) -> Vec<Outcome> {
    CASES
        .iter()
        .map(|case| {
            let name = format!("{}: {}", case.kernel, case.what);
            let graph = Graph::new();
            let wanted = (case.build)(&graph);
            check(executor, &name, &graph, &wanted, case.tolerance, Some(case.kernel))
                .unwrap_or_else(|error| Outcome::failed(name, &error))
        })
        .collect()
}

/// Checks the gradients of whole tiny networks.
pub fn networks(executor: &mut Executor) -> Vec<Outcome> {
    let unet = UnetConfig { model_channels: 4, channel_mult_emb: 2, ..UnetConfig::tiny() };
    let mlp = MlpConfig { dim: 2, width: 16, depth: 2, label_dim: 0, two_times: false };
    [("mlp", NetworkConfig::Mlp(mlp)), ("unet", NetworkConfig::Unet(unet))]
        .into_iter()
        .map(|(kind, network)| {
            let name = format!("network {kind}: gradient of the denoising loss");
            let graph = Graph::new();
            let params = Params::new(&graph, "selftest.parameters");
            let shape: Vec<usize> = [3].into_iter().chain(network.data_shape()).collect();
            let x = input(&graph, "a", &shape);
            let sigma = graph.uniform(2, &[3]) + 0.1;
            let loss = (network.denoiser(&params, x, sigma, None) - input(&graph, "b", &shape)).square().mean_all();
            let variables: Vec<Var<'_>> = params.all().into_iter().map(|(_, variable)| variable).collect();
            let wanted = graph.grad(loss, &variables);
            check(executor, &name, &graph, &wanted, 2e-4, None).unwrap_or_else(|error| Outcome::failed(name, &error))
        })
        .collect()
}

/// Runs a program on the device and by plain loops, with the same random content of its stores.
fn check(
    executor: &mut Executor,
    name: &str,
    graph: &Graph,
    wanted: &[Var<'_>],
    tolerance: f64,
    kernel: Option<&str>,
) -> anyhow::Result<Outcome> {
    let mut program = Program::new(name, graph);
    let mut offset = 0;
    let mut places = Vec::new();
    for var in wanted {
        program = program.output(*var, OUT, offset);
        places.push((offset, var.len()));
        offset += var.len().next_multiple_of(SLOT_ALIGN);
    }
    let plan = program.build()?;
    if let Some(kernel) = kernel {
        let there = plan.launches.iter().any(|launch| launch.kernel.name() == kernel);
        anyhow::ensure!(there, "its plan launches no `{kernel}`");
    }
    let mut feed = Feed { seed: SEED, step: STEP, ..Feed::default() };
    for (number, (store, len)) in inputs(graph).into_iter().enumerate() {
        let contents = values(number as u32 + 1, len);
        executor.create_store(&store, len)?;
        if store == BYTES {
            let words: Vec<u32> = contents.iter().map(|x| (x * 1e9) as i32 as u32).collect();
            executor.write_words(&store, 0, &words)?;
            feed.stores.insert(store, words.iter().flat_map(|w| w.to_le_bytes()).map(f64::from).collect());
        } else {
            executor.write(&store, 0, &contents)?;
            feed.stores.insert(store, contents.into_iter().map(f64::from).collect());
        }
    }
    executor.create_store(OUT, offset)?;
    // What a kernel leaves out shows.
    executor.write(OUT, 0, &vec![f32::NAN; offset])?;
    let id = executor.prepare(&plan)?;
    executor.run(id, &RunArgs { scalars: &[], seed: SEED, step: STEP })?;
    let all = read(executor, OUT, offset).context("reading the results")?;
    let got: Vec<&[f32]> = places.iter().map(|(offset, len)| &all[*offset..][..*len]).collect();
    let want = evaluate(graph, &feed, wanted);
    // Each result by its own scale: a wrong small one must not hide behind a large one.
    let each = got.iter().zip(&want).map(|(got, want)| Outcome::compare(name, got, want, tolerance));
    let rank =
        |outcome: &Outcome| (!outcome.passed, if outcome.worst.is_nan() { f64::INFINITY } else { outcome.worst });
    let worst = each.max_by(|a, b| {
        let (a, b) = (rank(a), rank(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    worst.context("the case computes nothing")
}

/// The stores that a graph reads, with the elements that it needs, in order of first use.
fn inputs(graph: &Graph) -> Vec<(String, usize)> {
    let mut order = Vec::new();
    let mut lens: HashMap<String, usize> = HashMap::new();
    for node in graph.nodes().iter() {
        if let Op::Input(place) = &node.op {
            let end = place.offset + node.shape.iter().product::<usize>();
            let len = lens.entry(place.store.clone()).or_insert_with(|| {
                order.push(place.store.clone());
                0
            });
            *len = (*len).max(end.next_multiple_of(SLOT_ALIGN));
        }
    }
    order.into_iter().map(|store| (store.clone(), lens[&store])).collect()
}
