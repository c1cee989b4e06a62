//! `cargo xtask fault --soak 60`: trains for so many minutes, and says whether a turn takes longer and the program more
//! memory than before. For a machine that does nothing else meanwhile.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::step;

/// Parts of the run that are compared.
const PARTS: usize = 10;
/// What two of them may differ by, the first one aside, in which memory is still asked for.
const FLAT: f64 = 1.03;
/// Between two looks at the memory.
const PERIOD: Duration = Duration::from_secs(5);

/// Trains on digits, without a warm-up: all turns are of one kind.
pub fn run(minutes: u32, device: &str) -> Result<bool> {
    let outdir = step::target_dir().join("soak");
    let _ = fs::remove_dir_all(&outdir);
    let program = step::target_dir().join(format!("release/onestep{}", std::env::consts::EXE_SUFFIX));
    let minutes = minutes.to_string();
    let mut command = std::process::Command::new(program);
    command.args(["train", "-q", "--preset", "mnist", "--warmup-steps", "0", "--steps", "100000000"]);
    command.args(["--minutes", &minutes, "--device", device, "--outdir"]).arg(&outdir);
    step::heading(&format!("{minutes} minutes of training on {device}"));
    let mut child = command.spawn().context("cannot start the program")?;
    let (start, mut memory) = (Instant::now(), Vec::new());
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        memory.extend(resident(child.id()).map(|bytes| (start.elapsed().as_secs_f64(), bytes)));
        std::thread::sleep(PERIOD);
    };
    ensure!(status.success(), "the run ended with {status}");
    let end = start.elapsed().as_secs_f64();
    let turns = parts(&turns(&outdir)?, end);
    let memory = parts(&memory, end);
    println!("{:>6} {:>14} {:>14}", "part", "ms per turn", "MB of memory");
    for part in 0..PARTS {
        let of = |values: &[f64], unit: f64| values.get(part).map_or("-".to_owned(), |x| format!("{:.1}", x / unit));
        println!("{:>6} {:>14} {:>14}", part + 1, of(&turns, 1.0), of(&memory, 1e6));
    }
    let [late, grown] = [&turns, &memory].map(|values| growth(values));
    println!("last three parts against parts two to four: time {late:.3}, memory {grown:.3}");
    let [time, memory] = [&turns, &memory].map(|values| spread(values));
    println!(
        "largest part over the smallest, without the first: time {time:.3}, memory {memory:.3}; wanted {FLAT} at most"
    );
    Ok(time <= FLAT && memory <= FLAT)
}

/// Bytes of memory that a program has now, where the system tells (Linux).
fn resident(id: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(1024.0 * line.trim().strip_suffix(" kB")?.parse::<f64>().ok()?)
}

/// When each tick of the only run was, and its milliseconds per turn.
fn turns(outdir: &Path) -> Result<Vec<(f64, f64)>> {
    let run = fs::read_dir(outdir)?.flatten().next().context("there is no run")?.path();
    let lines = fs::read_to_string(run.join("stats.jsonl"))?;
    let values = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    Ok(values.filter_map(|v| Some((v["Timing/elapsed_secs"].as_f64()?, v["Timing/ms_per_step"].as_f64()?))).collect())
}

/// The median of each part of the time up to `end`; a part without a value is left out.
fn parts(values: &[(f64, f64)], end: f64) -> Vec<f64> {
    let part = |at: f64| ((at / end * PARTS as f64) as usize).min(PARTS - 1);
    let of = |number: usize| {
        let mut inside: Vec<f64> = values.iter().filter(|(at, _)| part(*at) == number).map(|(_, x)| *x).collect();
        inside.sort_by(f64::total_cmp);
        inside.get(inside.len() / 2).copied()
    };
    (0..PARTS).filter_map(of).collect()
}

/// The largest part over the smallest, without the first.
fn spread(parts: &[f64]) -> f64 {
    let later = parts.get(1..).unwrap_or_default();
    let [least, most] =
        later.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[least, most], x| [least.min(*x), most.max(*x)]);
    most / least
}

/// The middle one of the last three parts over that of the second to fourth: where a machine is shared with others, parts
/// differ by more than is allowed, and this tells whether they rise.
fn growth(parts: &[f64]) -> f64 {
    let middle = |three: &[f64]| {
        let mut three = three.to_vec();
        three.sort_by(f64::total_cmp);
        three[1]
    };
    if parts.len() < PARTS { f64::NAN } else { middle(&parts[PARTS - 3..]) / middle(&parts[1..4]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_medians_and_a_rise_is_seen() {
        let flat: Vec<(f64, f64)> = (0..100).map(|i| (f64::from(i), if i % 9 == 0 { 50.0 } else { 2.0 })).collect();
        assert_eq!(parts(&flat, 100.0), [2.0; PARTS]);
        assert_eq!([spread, growth].map(|of| of(&parts(&flat, 100.0))), [1.0; 2]);
        let leak: Vec<(f64, f64)> = (0..100).map(|i| (f64::from(i), 100.0 + f64::from(i))).collect();
        assert!([spread, growth].iter().all(|of| of(&parts(&leak, 100.0)) > FLAT));
        assert!([spread, growth].iter().all(|of| of(&[]).is_nan()), "nothing measured is no pass");
    }
}
