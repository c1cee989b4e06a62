//! Equal compute: how many turns a method gets for a budget.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Instant;

use onestep_core::exec::Executor;
use onestep_core::graph::Graph;
use onestep_core::nets::sampler;
use onestep_core::train::{Config, Count, Handover, KnobError, Overrides, Phase, Recipe, Setup, Trainer, sample_batch};
use serde::{Deserialize, Serialize};

/// What every run of a comparison may spend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// Floating-point operations.
    Operations(f64),
    /// Seconds on this device.
    Seconds(f64),
}

impl FromStr for Budget {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no budget; write one such as 5TFLOP, 800GFLOP, 2min or 90s");
        let at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(at);
        let number: f64 = number.trim().parse().map_err(|_| wrong())?;
        if !(number.is_finite() && number > 0.0) {
            return Err(wrong());
        }
        match unit.to_ascii_lowercase().as_str() {
            "tflop" => Ok(Self::Operations(number * 1e12)),
            "gflop" => Ok(Self::Operations(number * 1e9)),
            "min" => Ok(Self::Seconds(number * 60.0)),
            "s" => Ok(Self::Seconds(number)),
            _ => Err(wrong()),
        }
    }
}

/// Share of a budget that the phases before the last may take.
const BEFORE: f64 = 0.4;
/// Share of that which pairs of noise and sample may take, so that something is left to train what draws them.
const DRAWN: f64 = 0.5;

/// What a run was fitted to. It is kept beside the run, which is to go on as it was begun: seconds are others whenever
/// they are measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// Lengths of its phases, and how many pairs they draw, by their settings.
    pub lengths: BTreeMap<String, u64>,
    /// What its phases cost.
    pub phases: Vec<PhaseCost>,
}

/// What a phase costs, in operations or in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseCost {
    pub turns: u64,
    /// Each turn.
    pub each: f64,
    /// What is drawn at its end.
    pub then: f64,
}

impl PhaseCost {
    /// What it costs to have made so many of its turns.
    fn spent(&self, turns: u64) -> f64 {
        self.each * turns as f64 + if turns >= self.turns { self.then } else { 0.0 }
    }
}

impl Fitted {
    /// For a run whose settings have their lengths.
    pub fn new(setup: &Setup, costs: &Costs) -> Self {
        let recipe = setup.recipe();
        let length = |phase: &Phase| match phase.length {
            Count::Knob(name) => Some((name.to_owned(), phase.length.of(&setup.config))),
            Count::Times(_) => None,
        };
        let pairs = setup.config.method.get().knobs.contains(&"pairs");
        let pairs = pairs.then(|| ("pairs".to_owned(), setup.config.pairs as u64));
        Self { lengths: recipe.phases.iter().filter_map(length).chain(pairs).collect(), phases: costs.phases(setup) }
    }

    /// What the run costs up to this turn, counted over all its phases.
    pub fn spent(&self, turns: u64) -> f64 {
        let mut left = turns;
        let mut spent = 0.0;
        for phase in &self.phases {
            let here = left.min(phase.turns);
            spent += phase.spent(here);
            left -= here;
            if here < phase.turns {
                break;
            }
        }
        spent
    }

    /// Gives settings these lengths.
    pub fn apply(&self, config: &mut Config) -> Result<(), KnobError> {
        let mut overrides = Overrides::default();
        for (knob, turns) in &self.lengths {
            overrides.set(knob, &turns.to_string())?;
        }
        config.apply(&overrides);
        Ok(())
    }
}

/// What the updates of a run cost, each once, in operations or in seconds; and one evaluation of a sample.
pub struct Costs {
    updates: BTreeMap<&'static str, f64>,
    sample: f64,
}

impl Costs {
    /// Operations, read off the plans.
    pub fn operations(setup: &Setup) -> anyhow::Result<Self> {
        let recipe = setup.recipe();
        let of = |update: onestep_core::train::Update| {
            anyhow::Ok((update.name, update.plan(setup, &recipe)?.flops() as f64))
        };
        let updates = recipe.updates().into_iter().map(of).collect::<Result<_, _>>()?;
        Ok(Self { updates, sample: sample_operations(setup, &recipe)? })
    }

    /// Seconds, measured on a device.
    pub fn seconds(
        setup: &Setup,
        data: &onestep_core::train::TrainingData,
        executor: Executor,
    ) -> anyhow::Result<Self> {
        /// Runs of each update: the first compiles, the others are timed.
        const RUNS: u32 = 4;
        let mut trainer = Trainer::new(executor, setup.clone(), &data.words)?;
        trainer.set_labels(&data.labels)?;
        let mut updates = BTreeMap::new();
        let (mut operations, mut secs) = (0.0, 0.0);
        for update in trainer.recipe().updates() {
            trainer.step(update.name)?;
            trainer.executor.sync()?;
            let start = Instant::now();
            for _ in 1..RUNS {
                trainer.step(update.name)?;
            }
            trainer.executor.sync()?;
            let each = start.elapsed().as_secs_f64() / f64::from(RUNS - 1);
            operations += trainer.plan(update.name).map_or(0.0, |plan| plan.flops() as f64);
            secs += each;
            updates.insert(update.name, each);
        }
        let sample = sample_operations(setup, trainer.recipe())? * secs / operations.max(1.0);
        Ok(Self { updates, sample })
    }

    /// Costs of a turn of a phase.
    fn turn(&self, config: &Config, phase: &Phase) -> f64 {
        let cost = |(count, update): &(Count, onestep_core::train::Update)| {
            count.of(config) as f64 * self.updates.get(update.name).copied().unwrap_or(0.0)
        };
        phase.turn.iter().map(cost).sum()
    }

    /// Costs of what a phase draws at its end.
    fn collected(&self, setup: &Setup, phase: &Phase) -> f64 {
        let cost = |handover: &Handover| match handover {
            Handover::Collect { draw, rows, guided, .. } => {
                let asked = if *guided && setup.guides() { 2 } else { 1 };
                (asked * draw.evaluations() * rows) as f64 * self.sample
            }
            _ => 0.0,
        };
        phase.then.iter().map(cost).sum()
    }

    /// What each phase of a run costs.
    fn phases(&self, setup: &Setup) -> Vec<PhaseCost> {
        let cost = |phase: &Phase| PhaseCost {
            turns: phase.length.of(&setup.config),
            each: self.turn(&setup.config, phase),
            then: self.collected(setup, phase),
        };
        setup.recipe().phases.iter().map(cost).collect()
    }

    /// What a whole run costs.
    pub fn run(&self, setup: &Setup) -> f64 {
        self.phases(setup).iter().map(|phase| phase.spent(phase.turns)).sum()
    }

    /// The settings with which all phases together cost `budget`: those before the last keep their lengths, or are
    /// shortened alike to [`BEFORE`] of it, of which pairs get [`DRAWN`] at most; the last takes what is left, at least one
    /// turn.
    pub fn fit(&self, setup: &Setup, budget: f64) -> anyhow::Result<Config> {
        let drawn_by = |setup: &Setup| setup.recipe().phases.iter().map(|phase| self.collected(setup, phase)).sum();
        let (drawn, allowed): (f64, f64) = (drawn_by(setup), DRAWN * BEFORE * budget);
        let mut setup = setup.clone();
        if drawn > allowed {
            setup.config.pairs = (setup.config.pairs as f64 * allowed / drawn).max(1.0) as usize;
        }
        let setup = &setup;
        let drawn: f64 = drawn_by(setup);
        let recipe = setup.recipe();
        let mut config = setup.config.clone();
        let Some((last, before)) = recipe.phases.split_last() else { return Ok(config) };
        let cost = |config: &Config| -> f64 {
            before.iter().map(|phase| self.turn(config, phase) * phase.length.of(config) as f64).sum()
        };
        let (whole, allowed) = (cost(&config), (BEFORE * budget - drawn).max(0.0));
        if whole > allowed {
            for phase in before {
                let Count::Knob(name) = phase.length else { continue };
                // Of the settings as they were: several phases may have one length.
                let turns = (phase.length.of(&setup.config) as f64 * allowed / whole).floor().max(1.0);
                let mut shorter = Overrides::default();
                shorter.set(name, &format!("{turns:.0}"))?;
                config.apply(&shorter);
            }
        }
        let left = budget - drawn - cost(&config);
        config.steps = (left / self.turn(&config, last).max(f64::MIN_POSITIVE)).floor().max(1.0) as u64;
        Ok(config)
    }
}

fn sample_operations(setup: &Setup, recipe: &Recipe) -> anyhow::Result<f64> {
    let batch = sample_batch(&setup.data);
    let plan = sampler(&Graph::new(), &recipe.drawn().net, setup.config.sigma_init, "grid", "param", batch).build()?;
    Ok(plan.flops() as f64 / batch as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use onestep_core::train::{METHODS, Preset, TrainingData};

    #[test]
    fn budgets_have_units() {
        assert_eq!("5TFLOP".parse(), Ok(Budget::Operations(5e12)));
        assert_eq!("800 gflop".parse(), Ok(Budget::Operations(8e11)));
        assert_eq!("2min".parse(), Ok(Budget::Seconds(120.0)));
        assert_eq!("1.5s".parse(), Ok(Budget::Seconds(1.5)));
        for wrong in ["5", "TFLOP", "-1s", "0min", "5 hours", "nans", ""] {
            let error = wrong.parse::<Budget>().unwrap_err();
            assert!(error.contains("5TFLOP"), "{wrong}: {error}");
        }
    }

    /// Turns of several phases counted alike, so that points of a curve stood at other compute than was spent.
    #[test]
    fn a_curve_has_what_each_phase_costs() {
        let phase = |turns, each, then| PhaseCost { turns, each, then };
        let phases = vec![phase(2, 10.0, 5.0), phase(0, 3.0, 0.0), phase(4, 1.0, 0.0)];
        let fitted = Fitted { lengths: BTreeMap::new(), phases };
        let spent: Vec<f64> = (0..8).map(|turn| fitted.spent(turn)).collect();
        assert_eq!(spent, [0.0, 10.0, 25.0, 26.0, 27.0, 28.0, 29.0, 29.0]);
    }

    /// For every method: what it spends is the budget, short of one turn, and the phases before the last take no more
    /// than their share.
    #[test]
    fn every_method_spends_the_budget() {
        let data = TrainingData::points("two", &[[0.5, 0.0], [-0.5, 0.0]]);
        for method in METHODS {
            let config = Preset::find("gaussians").expect("a preset").config_for(method);
            let original = Config { width: 16, batch: 32, ..config };
            let config = original.clone();
            let mut setup = Setup { network: data.network(&config), data: data.spec.clone(), config };
            let costs = Costs::operations(&setup).unwrap();
            for budget in [2e11, 4e12] {
                setup.config = costs.fit(&setup, budget).unwrap();
                let recipe = setup.recipe();
                let last = costs.turn(&setup.config, recipe.phases.last().unwrap());
                let spent = costs.run(&setup);
                assert!(spent <= budget && spent > budget - 1.01 * last, "{}: {spent} of {budget}", method.name);
                let of_last = last * setup.config.steps as f64;
                let drawn: f64 = recipe.phases.iter().map(|phase| costs.collected(&setup, phase)).sum();
                assert!(drawn <= DRAWN * BEFORE * budget, "{}: pairs for {drawn} of {budget}", method.name);
                assert!(of_last >= (1.0 - BEFORE) * budget - drawn - last, "{}", method.name);
                // What is kept of it brings the same lengths back.
                let mut again = original.clone();
                let fitted = Fitted::new(&setup, &costs);
                fitted.apply(&mut again).unwrap();
                assert_eq!(again, setup.config);
                let turns: u64 = fitted.phases.iter().map(|phase| phase.turns).sum();
                assert!((fitted.spent(turns) - spent).abs() < 1e-9 * spent, "{}", method.name);
            }
        }
    }
}
