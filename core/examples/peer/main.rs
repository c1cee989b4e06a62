//! onestep's side of `cargo xtask bench peers`.
//!
//! `peer cases FOLDER` writes what other frameworks have to compute alike, for the presets `mnist` and `gaussians`;
//! `peer serve FOLDER PRESET [gpu]` measures when asked. A line on standard input names a piece of work (`warmup`,
//! `iteration`, `sample 64`, `memory`), a line on standard output answers with a number: seconds per run, or bytes.
//! `peers/README.md` has the whole protocol.

mod case;

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use onestep_core::exec::Executor;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::exec::gpu::{DeviceRequest, GpuExecutor};
use onestep_core::model::ModelFile;
use onestep_core::nets::latent;
use onestep_core::sampling::Generator;
use onestep_core::train::{Config, Preset, Setup, Trainer, TrainingData};

type Failure = Box<dyn std::error::Error>;

/// Shortest time that is measured, in seconds.
const SPAN: f64 = 0.5;
/// Runs of a piece of work before it is measured for the first time.
const WARM_UP: usize = 2;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["cases", folder] => ["mnist", "gaussians"].iter().try_for_each(|name| case::write(Path::new(folder), name)),
        ["serve", folder, preset] => serve(Path::new(folder), preset, false),
        ["serve", folder, preset, "gpu"] => serve(Path::new(folder), preset, true),
        _ => {
            eprintln!("usage: peer cases FOLDER | peer serve FOLDER PRESET [gpu]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn executor(gpu: bool) -> Result<Executor, Failure> {
    Ok(if gpu {
        Executor::Gpu(Box::new(pollster::block_on(GpuExecutor::new(&DeviceRequest::default()))?))
    } else {
        Executor::Cpu(CpuExecutor::new())
    })
}

/// A run of a preset at its first step.
fn trainer(preset: &str, gpu: bool) -> Result<Trainer, Failure> {
    let config = Preset::find(preset).ok_or(format!("there is no preset `{preset}`"))?.config();
    // The peers' networks know no classes.
    let config = Config { classes: 0, ..config };
    let data = TrainingData::load(&config, &mut |_| std::ops::ControlFlow::Continue(()))?;
    let setup = Setup { network: data.network(&config), data: data.spec.clone(), config };
    Ok(Trainer::new(executor(gpu)?, setup, &data.words)?)
}

/// Answers until nobody asks any more.
fn serve(folder: &Path, preset: &str, gpu: bool) -> Result<(), Failure> {
    let mut trainer = trainer(preset, gpu)?;
    if !trainer.in_last_phase() {
        trainer.next_phase();
    }
    let model = ModelFile::open(folder.join(format!("{preset}.generator.safetensors")))?;
    println!("onestep {}, {}", env!("CARGO_PKG_VERSION"), trainer.executor.name());
    let mut generator = None;
    let mut known = BTreeSet::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut job: Box<dyn FnMut() -> Result<(), Failure>> = match line.split(' ').collect::<Vec<_>>()[..] {
            ["memory"] => {
                println!("{}", peak_memory()?);
                continue;
            }
            ["iteration"] => Box::new(|| {
                trainer.turn()?;
                Ok(trainer.executor.sync()?)
            }),
            ["warmup"] => Box::new(|| {
                trainer.step("warmup")?;
                Ok(trainer.executor.sync()?)
            }),
            ["sample", rows] => {
                let rows: u32 = rows.parse()?;
                if generator.is_none() {
                    let mut executor = executor(gpu)?;
                    let most = Generator::usual_batch(&model.meta);
                    generator = Some((Generator::new(&mut executor, &model, &[1, most])?, executor));
                }
                let (generator, executor) = generator.as_mut().expect("made above");
                let latents: Vec<f32> = (0..rows).flat_map(|seed| latent(seed, generator.width())).collect();
                Box::new(move || {
                    pollster::block_on(generator.draw(executor, &latents))?;
                    Ok(())
                })
            }
            _ => return Err(format!("`{line}` is no work that is known here").into()),
        };
        if known.insert(line.clone()) {
            (0..WARM_UP).try_for_each(|_| job())?;
        }
        let start = Instant::now();
        let mut runs = 0;
        while runs == 0 || start.elapsed().as_secs_f64() < SPAN {
            job()?;
            runs += 1;
        }
        println!("{}", start.elapsed().as_secs_f64() / f64::from(runs));
    }
    Ok(())
}

/// Most memory that this program has had, in bytes.
fn peak_memory() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    Ok(peak.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
