//! An update whose batch is cut into slices: for each slice the part that makes gradients, then one part that uses them.
//!
//! What a slice gives is added to what the others gave; the sums lie in stores, and what needs them reads them there. So
//! the gradient of a cut batch is that of the whole one, to rounding. If a gradient itself depends on a sum over the batch,
//! slices are gone through twice: a **pass** ends where sums are complete, and the next one computes anew what it needs.

use std::ops::Range;

use super::recipe::{Recipe, Update};
use super::slots::{Slots, slices};
use super::step::{Setup, Step, store_len};
use crate::graph::{Graph, Op, Place, Var};
use crate::plan::{Plan, PlanError, Program, SLOT_ALIGN};

/// Plans of an update, and their order.
pub(super) struct Cut {
    /// Each once.
    pub plans: Vec<Plan>,
    /// What is done with them.
    pub stages: Vec<Stage>,
    /// Stores that only these plans use, with their lengths.
    pub stores: Stores,
}

impl Cut {
    /// The plans in the order in which they run.
    pub fn runs(&self) -> impl Iterator<Item = &Plan> {
        self.stages.iter().filter_map(|stage| match stage {
            Stage::Run(plan) => Some(&self.plans[*plan]),
            Stage::Sum(_) => None,
        })
    }

    /// All launches, for people.
    pub fn joined(&self, update: &Update) -> Plan {
        match &self.plans[..] {
            [whole] => whole.clone(),
            _ => Plan::joined(&format!("{} step", update.name), self.runs()),
        }
    }
}

/// A part of an update.
pub(super) enum Stage {
    /// Runs the plan of this number.
    Run(usize),
    /// Here these stores, of so many elements, hold sums over the slots of this process. With several processes they
    /// have to be added up. What slices keep for themselves is not among them.
    Sum(Stores),
}

/// Stores, with the number of elements.
type Stores = Vec<(String, usize)>;

/// What a slice adds to the sums of one pass.
#[derive(Default)]
pub(super) struct Pass<'g> {
    outputs: Vec<(Var<'g>, Place)>,
    /// Elements of its store of sums.
    sums: usize,
    /// Elements of its store of rows that are kept.
    kept: usize,
    /// Networks whose gradients it makes.
    networks: Vec<&'static str>,
}

/// Store of what slices, but for the first, add to `store`.
fn addend(store: &str) -> String {
    format!("{store}.slice")
}

/// Store of an update's sums over the batch, of one pass.
fn sums(update: &str, pass: usize) -> String {
    format!("sums.{update}.{pass}")
}

/// Store of what slices of an update keep in one pass for later ones: a row for each slot of the batch.
fn kept(update: &str, pass: usize) -> String {
    format!("kept.{update}.{pass}")
}

/// The last pass on whose sums or rows any of these values depends.
fn last_read(values: &[Var<'_>], update: &str, passes: usize) -> Option<usize> {
    let stores: Vec<[String; 2]> = (0..passes).map(|pass| [sums(update, pass), kept(update, pass)]).collect();
    let mut last = None;
    ancestors(values, |op| {
        if let Op::Input(place) = op {
            last = last.max(stores.iter().position(|of_pass| of_pass.contains(&place.store)));
        }
    });
    last
}

/// Calls `see` for each operator that these values are made of.
fn ancestors(values: &[Var<'_>], mut see: impl FnMut(&Op)) {
    let Some(first) = values.first() else { return };
    let nodes = first.graph().nodes();
    let mut seen = vec![false; nodes.len()];
    for value in values {
        seen[value.id()] = true;
    }
    // A node comes after its operands.
    for id in (0..nodes.len()).rev() {
        if seen[id] {
            see(&nodes[id].op);
            nodes[id].inputs.iter().for_each(|input| seen[*input] = true);
        }
    }
}

/// Panics if what is left after the last pass depends on more of the batch than its sums, which is a mistake in the method.
pub(super) fn check_close(values: &[Var<'_>], update: &str) {
    ancestors(values, |op| {
        assert!(!matches!(op, Op::Random { .. }), "`{update}` remembers what is no sum over the batch");
    });
}

impl<'g> Pass<'g> {
    fn program(&self, name: &str, graph: &'g Graph, first: bool) -> Program<'g> {
        self.outputs.iter().fold(Program::new(name, graph), |program, (value, Place { store, offset })| {
            let store = if first { store.clone() } else { addend(store) };
            program.output(*value, &store, *offset)
        })
    }

    /// Where its sums and its rows are, with the number of elements.
    fn stores(&self, update: &str, pass: usize, recipe: &Recipe) -> Stores {
        let gradient = |name: &&'static str| {
            let network = recipe.network(name).expect("it was found before");
            (format!("{name}.grad"), store_len(network.layout().len))
        };
        let own = [(sums(update, pass), self.sums), (kept(update, pass), self.kept)];
        self.networks.iter().map(gradient).chain(own.into_iter().filter(|(_, len)| *len > 0)).collect()
    }
}

/// Passes while a slice is written.
#[derive(Default)]
pub(super) struct Passes<'g>(Vec<Pass<'g>>);

impl<'g> Passes<'g> {
    /// The first pass in which `values` can be computed.
    fn of(&mut self, values: &[Var<'g>], update: &str) -> usize {
        let pass = last_read(values, update, self.0.len()).map_or(0, |last| last + 1);
        if self.0.len() <= pass {
            self.0.resize_with(pass + 1, Pass::default);
        }
        pass
    }

    /// Has `value` summed; returns where.
    pub fn sum(&mut self, value: Var<'g>, update: &str) -> Place {
        let number = self.of(&[value], update);
        let pass = &mut self.0[number];
        let place = Place { store: sums(update, number), offset: pass.sums };
        pass.sums += value.len().next_multiple_of(SLOT_ALIGN);
        pass.outputs.push((value, place.clone()));
        place
    }

    /// Has `rows` kept, one for each slot of the batch, with zeros where they are another slice's; returns where.
    pub fn keep(&mut self, rows: Var<'g>, update: &str) -> Place {
        let number = self.of(&[rows], update);
        let pass = &mut self.0[number];
        let place = Place { store: kept(update, number), offset: pass.kept };
        pass.kept += rows.len().next_multiple_of(SLOT_ALIGN);
        pass.outputs.push((rows, place.clone()));
        place
    }

    /// Has the gradients of a network summed; they go to these elements of their store.
    pub fn gradients(&mut self, network: &'static str, gradients: &[(usize, Var<'g>)], update: &str) {
        let values: Vec<Var<'g>> = gradients.iter().map(|(_, gradient)| *gradient).collect();
        let number = self.of(&values, update);
        let pass = &mut self.0[number];
        let place = |offset| Place { store: format!("{network}.grad"), offset };
        pass.outputs.extend(gradients.iter().map(|(offset, gradient)| (*gradient, place(*offset))));
        pass.networks.push(network);
    }
}

/// Adds what a slice gave to the sums.
fn addition(name: &str, stores: &[(String, usize)]) -> Result<Plan, PlanError> {
    let graph = Graph::new();
    let mut program = Program::new(name, &graph);
    for (store, len) in stores {
        let sum = graph.input(store, 0, &[*len]) + graph.input(&addend(store), 0, &[*len]);
        program = program.output(sum, store, 0);
    }
    program.build()
}

/// What one process does for an update: these slots of the batch, in as many slices as the settings say.
pub(super) fn cut(update: &Update, setup: &Setup, recipe: &Recipe, own: &Range<usize>) -> Result<Cut, PlanError> {
    let batch = setup.config.batch;
    let slices: Vec<Slots> = slices(own, setup.config.accumulate).iter().map(|part| Slots::of(part, batch)).collect();
    // The page never cuts: what follows is 8 kB that its laboratory need not load.
    if cfg!(target_arch = "wasm32") || slices.iter().all(|slice| slice.is_all()) {
        return Ok(Cut { plans: vec![update.whole(setup, recipe)?], stages: vec![Stage::Run(0)], stores: Vec::new() });
    }
    let name = update.name;
    let mut plans = Vec::new();
    let mut add = |plan: Plan| {
        plans.push(plan);
        plans.len() - 1
    };
    // By slice and pass: the number of the plan, and where its sums are.
    let mut parts: Vec<Vec<(usize, Stores)>> = Vec::new();
    for (i, slots) in slices.iter().enumerate() {
        let graph = Graph::new();
        let Passes(passes) = Step::write_slice(update, setup, recipe, &graph, *slots);
        let part = |(number, pass): (usize, &Pass<'_>)| {
            let plan = pass.program(&format!("{name} gradient"), &graph, i == 0).build()?;
            Ok((add(plan), pass.stores(name, number, recipe)))
        };
        parts.push(passes.iter().enumerate().map(part).collect::<Result<_, PlanError>>()?);
    }
    let mut stages = Vec::new();
    let mut stores = Vec::new();
    for pass in 0..parts[0].len() {
        let mut to_sum = parts[0][pass].1.clone();
        let (sums, kept) = (sums(name, pass), kept(name, pass));
        let addition = if parts.len() > 1 { Some(add(addition(&format!("{name} sum"), &to_sum)?)) } else { None };
        for (i, part) in parts.iter().enumerate() {
            stages.push(Stage::Run(part[pass].0));
            stages.extend(addition.filter(|_| i > 0).map(Stage::Run));
        }
        // The stores of gradients are there for every run.
        stores.extend(to_sum.iter().filter(|(store, _)| *store == sums || *store == kept).cloned());
        if parts.len() > 1 {
            stores.extend(to_sum.iter().map(|(store, len)| (addend(store), *len)));
        }
        to_sum.retain(|(store, _)| *store != kept);
        stages.push(Stage::Sum(to_sum));
    }
    let graph = Graph::new();
    stages.push(Stage::Run(add(Step::write_close(update, setup, recipe, &graph, slices[0]).build()?)));
    Ok(Cut { plans, stages, stores })
}
