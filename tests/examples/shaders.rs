//! Writes every shader that a device may be handed, for compilers that are not here: `shaders FOLDER` empties the folder
//! and writes a file of WGSL for each, whose first line holds the values of its constants as JSON.
//!
//! Every kernel in every variant, around a choice of bodies; and what each launch of each plan becomes, of every preset
//! with every method, with classes and without, on a graphics card and on software that stands in for one.

#[path = "../../shaders/tests/cases/mod.rs"]
mod cases;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

use onestep_core::exec::gpu::{Choice, Tuning, lower};
use onestep_core::graph::Graph;
use onestep_core::nets::sampler;
use onestep_core::plan::{Kernel, Plan, Slot};
use onestep_core::train::{Config, DataSpec, METHODS, Need, PRESETS, Setup, TrainingData, sample_batch};
use onestep_shaders::{PEAK, TILES};

/// Elements that WebGPU lets a kernel bind everywhere.
const MAX_ELEMENTS: usize = (128 << 20) / 4;

/// Constants without a value of their own get this one in cases: a multiple of four, as vectors want it, and small
/// enough to number a scalar.
const SIZE: f64 = 4.0;

/// Files by name; equal shaders are one file.
#[derive(Default)]
struct Files {
    texts: BTreeSet<String>,
    files: BTreeMap<String, String>,
}

impl Files {
    fn add(&mut self, name: &str, source: &str, constants: &[(String, f64)]) {
        let values: BTreeMap<&str, f64> = constants.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let text = format!("// {}\n{source}", serde_json::to_string(&values).expect("numbers have a text"));
        if self.texts.insert(text.clone()) {
            self.files.insert(format!("{name}-{:05}.wgsl", self.files.len()), text);
        }
    }
}

fn main() {
    let folder = std::env::args().nth(1).expect("usage: shaders FOLDER");
    let mut files = Files::default();
    for case in cases::all().into_iter().filter(|case| is_telling(case.body)) {
        let source = case.text();
        files.add(&format!("{}.{}", case.kernel, case.variant.name()), &source, &sizes(&source));
    }
    for (name, source) in PEAK {
        files.add(&format!("peak.{name}"), source, &sizes(source));
    }
    let cases = files.files.len();
    let (mut seen, mut sources) = (BTreeSet::new(), BTreeSet::new());
    for launch in plans().iter().flat_map(|plan| &plan.launches) {
        let lens = |slots: &[Slot]| slots.iter().map(|slot| slot.len).collect::<Vec<_>>();
        if !seen.insert(format!("{:?} {:?} {:?}", launch.kernel, lens(&launch.inputs), lens(&launch.outputs))) {
            continue;
        }
        for tuning in tunings(&launch.kernel) {
            for dispatch in lower(launch, &tuning).unwrap_or_else(|e| panic!("{}: {e}", launch.label)) {
                // What a measurement may choose differs in its text: once with any sizes.
                if matches!(tuning.choice, Choice::Forced(_)) && !sources.insert(dispatch.source.clone()) {
                    continue;
                }
                let constants: Vec<_> = dispatch.constants.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
                files.add(&dispatch.name, &dispatch.source, &constants);
            }
        }
    }
    write(Path::new(&folder), &files.files).unwrap_or_else(|e| panic!("{folder}: {e}"));
    println!("{cases} cases of kernels and variants, {} launches of plans", files.files.len() - cases);
}

fn write(folder: &Path, files: &BTreeMap<String, String>) -> std::io::Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    files.iter().try_for_each(|(name, text)| std::fs::write(folder.join(name), text))
}

/// Of the 128 combinations of a contraction's seven flags: none, one, all but one, all.
fn is_telling(body: usize) -> bool {
    let flags = body.count_ones();
    flags <= 1 || flags >= 6
}

/// Values of the constants that have none.
fn sizes(source: &str) -> Vec<(String, f64)> {
    let declared = source.lines().filter_map(|line| line.strip_prefix("override ")).filter(|line| !line.contains('='));
    declared.filter_map(|line| Some((line.split_once(':')?.0.to_owned(), SIZE))).collect()
}

/// What the fixed table chooses on software and on a card, and of a contraction also what a measurement may choose.
fn tunings(kernel: &Kernel) -> Vec<Tuning> {
    let tuning = |software, choice| Tuning { software, choice, temporaries: true, max_elements: MAX_ELEMENTS };
    let mut all = vec![tuning(false, Choice::Table), tuning(true, Choice::Table)];
    if matches!(kernel, Kernel::MatMul { .. } | Kernel::Conv2d { .. } | Kernel::Conv2dGradWeight { .. }) {
        all.extend(TILES.iter().map(|tile| tuning(false, Choice::Forced(*tile))));
    }
    all
}

/// Every plan of every preset and method, once for presets that differ in their data alone. With classes, those of points,
/// and of images those of methods that need them: planning takes most of the time here, and the kernels are the same.
fn plans() -> Vec<Plan> {
    let mut setups = BTreeMap::new();
    for preset in PRESETS {
        let data = data(&preset.config());
        for method in METHODS {
            for classes in [0, 1] {
                let needed = u32::from(method.needs.contains(&Need::Classes));
                if classes < needed || (classes > needed && data.spec.bytes) {
                    continue;
                }
                let config = Config { classes, ..preset.config_for(method) };
                let setup = Setup { network: data.network(&config), data: data.spec.clone(), config };
                let key = format!("{} {:?} {}", method.name, setup.network, setup.config.batch);
                setups.entry(key).or_insert(setup);
            }
        }
    }
    setups.values().flat_map(of).collect()
}

/// The data of a preset; of those that would have to be downloaded, only shape and number, which is all that counts.
fn data(config: &Config) -> TrainingData {
    let (side, channels, rows) = match config.data.as_str() {
        "fashion-mnist" => (28, 1, 60_000),
        "cifar10" => (32, 3, 50_000),
        _ => return TrainingData::load(config, &mut |_| ControlFlow::Continue(())).expect("built in, or computed"),
    };
    let spec = DataSpec { shape: vec![side, side, channels], rows, bytes: true, classes: 10 };
    TrainingData {
        spec,
        words: Vec::new(),
        labels: Vec::new(),
        name: String::new(),
        license: String::new(),
        density: None,
        first: Vec::new(),
    }
}

/// Every plan of a run: its updates, and how samples are drawn.
fn of(setup: &Setup) -> Vec<Plan> {
    let recipe = setup.recipe();
    let updates = recipe.updates();
    let updates = updates.iter().map(|update| update.plan(setup, &recipe));
    let network = recipe.drawn();
    let params = format!("{}.{}", network.name, network.best());
    let graph = Graph::new();
    let batch = sample_batch(&setup.data);
    let sample = sampler(&graph, &network.net, setup.config.sigma_init, "grid", &params, batch).build();
    updates.chain([sample]).map(|plan| plan.expect("what is trained can be planned")).collect()
}
