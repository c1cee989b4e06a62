//! `onestep selftest`: every kernel on a device against an independent computation.
//!
//! [`cases`] runs small programs for each kernel and compares with plain f64 loops over the same
//! graph; [`steps`] runs whole training steps of tiny networks, on a GPU against the CPU executor.

mod cases;
mod optimizer;
mod steps;

use onestep_core::exec::Executor;
use serde::Serialize;

use crate::device::{self, DeviceArgs};
use crate::output::{print, print_json};

/// Arguments of `onestep selftest`.
#[derive(clap::Args)]
pub struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// What one check found.
#[derive(Debug, Serialize)]
struct Outcome {
    /// Kernel, or what else was checked.
    name: String,
    /// Largest difference, as a share of the largest wanted value.
    worst: f64,
    /// Largest share that passes.
    tolerance: f64,
    passed: bool,
    /// What went wrong, if that is not the difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    device: &'a str,
    passed: bool,
    checks: &'a [Outcome],
}

impl Outcome {
    /// Compares what a device computed with what is right.
    fn compare(name: impl Into<String>, got: &[f32], want: &[f64], tolerance: f64) -> Self {
        let largest = want.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        let errors = got.iter().zip(want).map(|(got, want)| (f64::from(*got) - want).abs());
        // `f64::max` drops NaN; a comparison must not.
        let worst = errors.fold(0.0, |worst: f64, e| if e.is_nan() || e > worst { e } else { worst });
        let worst = worst / largest.max(f64::MIN_POSITIVE);
        let problem = if got.len() != want.len() || want.is_empty() {
            Some(format!("{} values instead of {}", got.len(), want.len()))
        } else if largest == 0.0 {
            Some("nothing but zeros is wanted, which shows nothing".to_owned())
        } else {
            None
        };
        let passed = problem.is_none() && worst <= tolerance;
        Self { name: name.into(), worst, tolerance, passed, problem }
    }

    /// A check that could not run.
    fn failed(name: impl Into<String>, problem: &anyhow::Error) -> Self {
        let problem = Some(format!("{problem:#}"));
        Self { name: name.into(), worst: f64::INFINITY, tolerance: 0.0, passed: false, problem }
    }
}

/// Runs all checks and prints them; an error if any fails.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let mut executor = device::open(&args.device, quiet)?;
    let name = executor.name();
    let mut outcomes = cases::run(&mut executor);
    outcomes.extend(optimizer::run(&mut executor));
    outcomes.extend(cases::networks(&mut executor));
    if !executor.is_cpu() {
        outcomes.extend(steps::run(executor));
    }
    let failures = outcomes.iter().filter(|outcome| !outcome.passed).count();
    if args.json {
        print_json(&Report { device: &name, passed: failures == 0, checks: &outcomes })?;
    } else {
        print_table(&outcomes)?;
    }
    anyhow::ensure!(failures == 0, "{failures} of {} checks failed on {name}; please report this", outcomes.len());
    if !args.json {
        print(format_args!("all {} checks passed on {name}", outcomes.len()))?;
    }
    Ok(())
}

fn print_table(outcomes: &[Outcome]) -> anyhow::Result<()> {
    print(format_args!("{:<44} {:>12} {:>12}", "check", "worst error", "tolerance"))?;
    for Outcome { name, worst, tolerance, passed, problem } in outcomes {
        let verdict = if *passed { "pass" } else { "FAIL" };
        let problem = problem.as_ref().map(|p| format!("  {p}")).unwrap_or_default();
        print(format_args!("{name:<44} {worst:>12.2e} {tolerance:>12.0e}  {verdict}{problem}"))?;
    }
    Ok(())
}

/// Reproducible numbers between -1 and 1.
fn values(seed: u32, len: usize) -> Vec<f32> {
    let bits = |i: usize| onestep_core::random::threefry2x32([seed, 0x5445_5354], [i as u32, 0])[0];
    (0..len).map(|i| 2.0 * onestep_core::random::uniform(bits(i)) - 1.0).collect()
}

/// The first elements of a store.
fn read(executor: &Executor, store: &str, len: usize) -> anyhow::Result<Vec<f32>> {
    Ok(pollster::block_on(executor.read(store, 0, len))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_number_a_nan_and_silence_all_fail() {
        let passed = |got: &[f32], want: &[f64]| Outcome::compare("x", got, want, 1e-3).passed;
        assert!(passed(&[1.0, 2.0], &[1.0, 2.0005]));
        assert!(!passed(&[1.0, 2.0], &[1.0, 2.1]));
        assert!(!passed(&[f32::NAN, 2.0], &[1.0, 2.0]));
        assert!(!passed(&[2.0, f32::NAN], &[2.0, 1.0]));
        assert!(!passed(&[1.0], &[1.0, 2.0]));
        assert!(!passed(&[], &[]));
        assert!(!passed(&[0.0], &[0.0]));
    }
}
