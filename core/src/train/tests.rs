//! What every method has to hold, without its author writing a test.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::data::Density;
use crate::exec::cpu::CpuExecutor;
use crate::exec::gpu::{Choice, Tuning, lower};
use crate::exec::{Executor, RunArgs};
use crate::graph::reference::{Feed, evaluate};
use crate::graph::{Graph, Op};
use crate::nets::{MlpConfig, NetworkConfig, UnetConfig};
use crate::plan::ArenaKind;

pub(super) fn points(method: &'static Method) -> Setup {
    let network = NetworkConfig::Mlp(MlpConfig { dim: 2, width: 16, depth: 2, label_dim: 0, two_times: false });
    let data = DataSpec { shape: vec![2], rows: 50, bytes: false, classes: 0 };
    fitting(Setup { network, data, config: Config { method: method.into(), batch: 8, ..Config::default() } })
}

pub(super) fn images(method: &'static Method) -> Setup {
    let network = NetworkConfig::Unet(UnetConfig::tiny());
    let data = DataSpec { shape: vec![8, 8, 1], rows: 20, bytes: true, classes: 0 };
    fitting(Setup { network, data, config: Config { method: method.into(), batch: 4, ..Config::default() } })
}

/// The same with classes, if the method needs them.
fn fitting(setup: Setup) -> Setup {
    if setup.config.method.get().needs.contains(&Need::Classes) { with_classes(setup) } else { setup }
}

/// The same with three classes.
pub(super) fn with_classes(mut setup: Setup) -> Setup {
    match &mut setup.network {
        NetworkConfig::Mlp(config) => config.label_dim = 3,
        NetworkConfig::Unet(config) => config.label_dim = 3,
        #[cfg(feature = "gallery")]
        NetworkConfig::Students(_) => unreachable!("only recipes have them"),
    }
    setup.data.classes = 3;
    (setup.config.classes, setup.config.guidance) = (1, 2.0);
    setup
}

/// Runs the plan of an update on the CPU executor and its graph by f64 loops, and compares what
/// each leaves behind.
fn plan_matches_reference(setup: &Setup, update: Update) {
    let recipe = setup.recipe();
    let graph = Graph::new();
    let (program, declared) = Step::write(&update, setup, &recipe, &graph);
    let plan = program.build().unwrap();
    let mut executor = CpuExecutor::new();
    executor.poison = true;
    let mut feed = Feed { seed: 7, step: 3, ..Feed::default() };
    let layout = |store: &str| {
        let network = store.strip_suffix(".param").or(store.strip_suffix(".ema"))?;
        recipe.network(network).map(Network::layout)
    };
    for arena in &plan.arenas {
        let ArenaKind::Store(name) = &arena.kind else { continue };
        executor.create_store(name, arena.len).unwrap();
        let mut values = vec![0.0_f32; arena.len];
        if let Some(layout) = layout(name) {
            // Away from the zeros that some layers start with, and another phase for each network.
            let phase = name.bytes().map(f32::from).sum::<f32>();
            for (i, (value, first)) in values.iter_mut().zip(layout.initial(5)).enumerate() {
                *value = first + 0.05 * (i as f32 * 0.7 + phase).sin();
            }
        } else if name == DataSpec::STORE && !setup.data.bytes {
            values.iter_mut().enumerate().for_each(|(i, v)| *v = (i as f32 * 0.37).sin());
        } else if declared.remembered.iter().any(|(remembered, _)| remembered == name) {
            // Above a half: of an accuracy below it diffratio makes nothing.
            values.iter_mut().enumerate().for_each(|(i, v)| *v = 0.75 + 0.2 * (i as f32 * 0.37).sin());
        } else if name == DataSpec::LABELS {
            values.iter_mut().enumerate().for_each(|(i, v)| *v = (i % 3) as f32);
        }
        executor.write(name, 0, &values).unwrap();
        feed.stores.insert(name.clone(), values.iter().map(|v| f64::from(*v)).collect());
    }
    if setup.data.bytes {
        let bytes: Vec<u8> = (0..setup.data.rows * setup.data.width()).map(|i| (i * 37 % 251) as u8).collect();
        let words: Vec<u32> = bytes.chunks(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
        if plan.arenas.iter().any(|a| a.kind == ArenaKind::Store(DataSpec::STORE.into())) {
            executor.write_words(DataSpec::STORE, 0, &words).unwrap();
        }
        feed.stores.insert(DataSpec::STORE.into(), bytes.iter().map(|b| f64::from(*b)).collect());
    }
    let scalars = vec![0.5; plan.scalars.len()];
    feed.scalars.extend(plan.scalars.iter().map(|name| (name.clone(), 0.5)));
    let id = executor.prepare(&plan).unwrap();
    executor.run(id, &RunArgs { scalars: &scalars, seed: 7, step: 3 }).unwrap();
    let (vars, places): (Vec<_>, Vec<_>) = program.outputs().unzip();
    let wanted = evaluate(&graph, &feed, &vars);
    let mut compared = 0;
    for ((place, wanted), var) in places.iter().zip(&wanted).zip(&vars) {
        let got = pollster::block_on(executor.read(&place.store, place.offset, wanted.len())).unwrap();
        let scale = wanted.iter().fold(0.0_f64, |m, w| m.max(w.abs())).max(1e-3);
        for (i, (g, w)) in got.iter().zip(wanted).enumerate() {
            let error = (f64::from(*g) - w).abs() / scale;
            let label = &var.node().label;
            assert!(error <= 2e-3, "{}, {update:?}: {label} element {i}: plan {g}, reference {w}", setup.config.method);
        }
        compared += usize::from(wanted.iter().any(|w| w.abs() > 1e-6));
    }
    let method = setup.config.method;
    assert!(compared * 2 > places.len(), "{method}, {update:?}: most outputs are zero: the comparison proves nothing");
    assert!(graph.nodes().iter().any(|n| matches!(n.op, Op::Random { .. })));
}

#[test]
fn plans_match_the_reference() {
    for setup in METHODS.iter().flat_map(|method| [points(method), images(method)]) {
        for update in setup.recipe().updates() {
            plan_matches_reference(&setup, update);
        }
    }
}

#[test]
fn plans_with_classes_match_the_reference() {
    for setup in METHODS.iter().flat_map(|method| [points(method), images(method)]) {
        let setup = with_classes(setup);
        for update in setup.recipe().updates() {
            plan_matches_reference(&setup, update);
        }
    }
}

#[test]
fn plans_with_second_derivatives_match_the_reference() {
    let method = Method::find("diffratio").expect("the first");
    for mut setup in [points(method), images(method)] {
        setup.config.r1 = 0.3;
        plan_matches_reference(&setup, setup.recipe().update("ratio").expect("it has a ratio network"));
    }
}

#[test]
fn plans_with_rewards_match_the_reference() {
    let method = Method::find("flash-dmd").expect("it has rewards");
    for setup in [points(method), images(method)] {
        let mut setup = with_classes(setup);
        setup.config.reward_weight = 0.5;
        setup.config.few_steps = 3;
        for update in setup.recipe().updates() {
            plan_matches_reference(&setup, update);
        }
    }
}

/// As a browser's device is handed them: lowering refuses a launch of more than eight buffers, planning does before it.
#[test]
fn updates_over_points_fit_a_browser() {
    let tuning = Tuning { software: false, choice: Choice::Table, temporaries: true, max_elements: (128 << 20) / 4 };
    let mut seen = BTreeSet::new();
    for preset in PRESETS {
        let Ok(density) = Density::parse(&preset.config().data) else { continue };
        let data = TrainingData::density(density, 1);
        for (method, classes) in METHODS.iter().flat_map(|method| [(method, 0), (method, 1)]) {
            let config = Config { classes, ..preset.config_for(method) };
            let setup = Setup { network: data.network(&config), data: data.spec.clone(), config };
            let name = format!("{}, {:?}", method.name, setup.network);
            let lacks_classes = classes == 0 && method.needs.contains(&Need::Classes);
            // Where only the data differ, plans are the same.
            if lacks_classes || !seen.insert(name.clone()) {
                continue;
            }
            let recipe = setup.recipe();
            for update in recipe.updates() {
                let plan = update.plan(&setup, &recipe).unwrap_or_else(|e| panic!("{name}, {}: {e}", update.name));
                for launch in &plan.launches {
                    lower(launch, &tuning).unwrap_or_else(|e| panic!("{name}, {}, {}: {e}", update.name, launch.label));
                }
            }
        }
    }
    assert!(!seen.is_empty(), "no preset has points");
}

pub(super) fn turns(trainer: &mut Trainer, count: usize) {
    for _ in 0..count {
        if trainer.phase_is_over() && !trainer.in_last_phase() {
            for handover in trainer.phase().then.clone() {
                pollster::block_on(trainer.hand_over(handover)).unwrap();
            }
            trainer.next_phase();
        }
        trainer.turn().unwrap();
    }
}

/// Every store that a later update reads.
pub(super) fn state(trainer: &Trainer) -> Vec<(String, Vec<f32>)> {
    let stores = trainer.state().into_iter();
    stores
        .map(|(name, len)| {
            let values = pollster::block_on(trainer.executor.read(&name, 0, len)).unwrap();
            (name, values)
        })
        .collect()
}

#[test]
fn a_run_with_classes_that_is_resumed_equals_an_uninterrupted_one() {
    let rows: Vec<u32> = (0..100).map(|i| (i as f32 * 0.37).sin().to_bits()).collect();
    for method in METHODS {
        let mut setup = with_classes(points(method));
        setup.config.warmup_steps = 3;
        let start = |labels: &[u32]| {
            let mut trainer = Trainer::new(Executor::Cpu(CpuExecutor::new()), setup.clone(), &rows).unwrap();
            trainer.set_labels(labels).unwrap();
            trainer
        };
        let labels: Vec<u32> = (0..50).map(|i| i % 3).collect();
        let mut whole = start(&labels);
        turns(&mut whole, 7);
        let mut first = start(&labels);
        turns(&mut first, 5);
        let mut second = start(&labels);
        second.counters = first.counters.clone();
        for (name, values) in state(&first) {
            second.executor.write(&name, 0, &values).unwrap();
        }
        turns(&mut second, 2);
        assert!(state(&whole) == state(&second), "{}: the resumed run went another way", method.name);
        let mut others = start(&[0; 50]);
        turns(&mut others, 7);
        assert!(state(&whole) != state(&others), "{}: labels change nothing", method.name);
        let samples = pollster::block_on(whole.sample(&[0.5; 12])).unwrap();
        assert!(samples[..6] == samples[6..] && samples[..2] != samples[2..4], "{}: classes in turn", method.name);
    }
}

/// Text of every plan of a method, with the numbers that its updates record.
fn plans(setup: &Setup) -> BTreeMap<&'static str, String> {
    let recipe = setup.recipe();
    let text = |update: Update| {
        let graph = Graph::new();
        let (program, declared) = Step::write(&update, setup, &recipe, &graph);
        format!("{}\n{declared:?}", program.build().unwrap())
    };
    recipe.updates().into_iter().map(|update| (update.name, text(update))).collect()
}

#[test]
fn settings_that_a_method_does_not_list_change_none_of_its_plans() {
    for method in METHODS {
        let setup = points(method);
        let before = plans(&setup);
        for knob in KNOBS.iter().filter(|knob| !COMMON.contains(&knob.name) && !method.knobs.contains(&knob.name)) {
            let mut other = setup.clone();
            let mut overrides = Overrides::default();
            let value = match other.config.number(knob.name) {
                Some(number) => (number + 1.0).to_string(),
                None if knob.name == "guidance_rule" => "anti-cfg".to_owned(),
                None => "js".to_owned(),
            };
            overrides.set(knob.name, &value).unwrap();
            other.config.apply(&overrides);
            assert!(plans(&other) == before, "{} reads `{}` and does not list it", method.name, knob.name);
        }
    }
}

#[test]
fn every_setting_belongs_to_all_methods_or_to_one_that_lists_it() {
    for knob in KNOBS {
        let common = COMMON.contains(&knob.name);
        let listed = METHODS.iter().any(|method| method.knobs.contains(&knob.name));
        assert!(common != listed, "`{}` is read by {}", knob.name, if common { "all and by some" } else { "none" });
    }
    for name in COMMON.iter().chain(METHODS.iter().flat_map(|method| method.knobs)) {
        assert!(Knob::find(name).is_some(), "there is no setting `{name}`");
    }
}

/// A setting that may change while training is a number of the plan, whose text does not change with it. Some methods
/// listed `label_dropout` and told all labels.
#[test]
fn numbers_of_plans_are_settings_that_the_method_lists() {
    for method in METHODS {
        let setup = with_classes(points(method));
        let recipe = setup.recipe();
        let scalars = |update: Update| update.plan(&setup, &recipe).unwrap().scalars;
        let mut read: Vec<String> = recipe.updates().into_iter().flat_map(scalars).collect();
        read.retain(|name| Knob::find(name).is_some());
        for name in &read {
            assert!(method.reads(name), "{} reads `{name}` and does not list it", method.name);
        }
        let drops = read.iter().any(|name| name == "label_dropout");
        assert_eq!(drops, method.reads("label_dropout"), "{}", method.name);
    }
}

/// A teacher was asked twice, with and without the class, though guidance of weight 1 makes no difference.
#[test]
fn guidance_that_makes_no_difference_costs_nothing() {
    let operations = |method: &str, guidance: f32| {
        let mut setup = with_classes(points(Method::find(method).unwrap()));
        setup.config.guidance = guidance;
        let recipe = setup.recipe();
        recipe.updates().iter().map(|update| update.plan(&setup, &recipe).unwrap().flops()).sum::<u64>()
    };
    for method in ["dmd", "vsd", "sid", "swiftbrush", "cd"] {
        assert!(operations(method, 1.0) < operations(method, 2.0), "{method}");
    }
}

#[test]
fn recipes_hang_together() {
    for setup in METHODS.iter().flat_map(|method| [points(method), images(method)]) {
        let recipe = setup.recipe();
        let has = |name: &str| recipe.network(name).is_some();
        for network in &recipe.networks {
            assert!(!matches!(network.first, First::From(other) if !has(other)), "{} copies nothing", network.name);
            assert!(!matches!(network.mode, Mode::Adapter { of, .. } if !has(of)), "{} adapts nothing", network.name);
        }
        let last = recipe.phases.last().and_then(|phase| phase.saves.first());
        assert_eq!(last.map(|(name, _)| *name), Some(recipe.drawn().name));
        let declared: Vec<Declared> = recipe.updates().iter().map(|update| update.declared(&setup, &recipe)).collect();
        let statistics: Vec<&str> = declared.iter().flat_map(|d| &d.statistics).map(|s| s.name.as_str()).collect();
        let curves = recipe.plots.iter().flat_map(|plot| plot.curves).map(|(name, ..)| *name);
        for name in recipe.story.iter().filter_map(|moment| moment.statistic).chain(curves) {
            assert!(statistics.contains(&name), "{}: nothing records {name}", setup.config.method);
        }
        for update in recipe.story.iter().filter_map(|moment| moment.update) {
            assert!(recipe.update(update).is_some(), "{}: its story tells of {update}", setup.config.method);
        }
        for phase in &recipe.phases {
            let paths = recipe.paths(phase).map(|(_, name)| recipe.network(name).expect("paths of a network"));
            assert!(paths.is_none_or(|network| network.head == Head::Denoise), "{} has no denoiser", phase.name);
            phase.length.of(&setup.config);
            assert!(phase.saves.first().is_some_and(|(name, _)| has(name)), "{} draws from nothing", phase.name);
            for handover in phase.then.iter().chain(&recipe.inherit) {
                match handover {
                    Handover::Copy { from, to } | Handover::Encoder { from, to } => assert!(has(from) && has(to)),
                    Handover::Save(name, _) => assert!(has(name)),
                    Handover::Collect { draw, rows, .. } => assert!(draw.is_valid() && *rows > 0),
                }
            }
            for (count, update) in &phase.turn {
                count.of(&setup.config);
                let declared = update.declared(&setup, &recipe);
                assert!(!declared.updated.is_empty(), "{} changes nothing", update.name);
                assert!(!declared.statistics.is_empty(), "{} reports nothing", update.name);
            }
        }
    }
}
