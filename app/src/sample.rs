//! `onestep sample`: images or points from a generator.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use onestep_core::data::{LARGEST_GRID, Picture, write_npy_f32, write_npy_u8};
use onestep_core::model::{ModelFile, ModelMeta};
use onestep_core::sampling::{Chooser, Verifier};
use serde::Serialize;

use crate::device::{self, DeviceArgs};
use crate::draw::{draw, open_generator, open_model, set_steps};
use crate::exit::bad_input;
use crate::output::{note, print, print_json, progress};
use crate::pictures::{Target, check_writable, grid, points, to_bytes};
use crate::range::in_range;
use crate::seeds::{Classes, Seeds};
use crate::verifier::ChoiceArgs;

/// Arguments of `onestep sample`.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    /// A generator snapshot, or a run's folder for its newest one.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Which samples: the same seed always gives the same one.
    #[arg(long, value_name = "LIST", default_value = "0-63")]
    seeds: Seeds,
    /// Which classes, in turn, such as 3 or 0-9; for a model that was trained with classes [default: that of seed s is s mod K].
    #[arg(long, value_name = "LIST")]
    class: Option<Classes>,
    /// Where to: an array (.npy), a picture (.png), or a folder for one PNG per seed.
    #[arg(long, value_name = "DIR|FILE.npy|FILE.png")]
    out: Option<PathBuf>,
    /// Also write all samples as one picture.
    #[arg(long, value_name = "FILE.png")]
    grid: Option<PathBuf>,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Noise levels to walk through [default: as the model was trained for; one for most].
    #[arg(long, value_name = "N", value_parser = in_range::<u32>(1..=1000))]
    steps: Option<u32>,
    /// Seeds per run of the network, at most 64 images or 4096 points; it changes the speed, never the samples.
    #[arg(long, value_name = "N", default_value_t = 65_536, hide_default_value = true,
        value_parser = in_range::<u32>(1..=65_536))]
    batch: u32,
    /// Print a summary as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Largest result, in bytes: it is held in memory.
const MAX_BYTES: u64 = 8 << 30;

#[derive(Serialize)]
struct Summary {
    samples: usize,
    secs: f64,
    samples_per_sec: f64,
    device: String,
    /// Of the network, per sample.
    evaluations: usize,
    files: Vec<PathBuf>,
    /// The class of each sample, of a model with classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    classes: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    choice: Option<Scores>,
}

/// What the choice among candidates changed.
#[derive(Serialize)]
struct Scores {
    /// Such as `best of 8`.
    kept: String,
    candidates: u32,
    mean_score: f64,
    mean_score_kept: f64,
}

/// Draws and writes.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let mut model = open_model(&args.model)?;
    set_steps(&mut model, args.steps)?;
    let seeds = &args.seeds.0[..];
    let target = args.out.as_deref().map(Target::parse).transpose()?;
    check(args, &model.meta, target.as_ref())?;
    let classes = classes(args, &model)?;
    let ratio = args.choice.open_ratio(&model)?;
    let (candidates, choice) = (args.choice.candidates(), args.choice.choice());

    let mut executor = device::open(&args.device, quiet)?;
    let mut generator = open_generator(&mut executor, &model)?;
    let bar = progress(quiet, seeds.len() as u64 * u64::from(candidates), "samples");
    let batch = generator.rows().min(args.batch as usize);
    let start = Instant::now();
    let (samples, scores) = if let Some(ratio) = &ratio {
        let verifier = Verifier::new(&mut executor, ratio, generator.rows())?;
        let mut chooser = Chooser { generator: &mut generator, verifier: &verifier, candidates, choice, batch };
        let kept = pollster::block_on(chooser.draw(&mut executor, seeds, &classes, &|n| bar.inc(n)))
            .with_context(|| model.name.clone())?;
        let count = seeds.len() as f64;
        let scores = Scores {
            kept: args.choice.to_string(),
            candidates,
            mean_score: kept.sum / (count * f64::from(candidates)),
            mean_score_kept: kept.sum_kept / count,
        };
        (kept.samples, Some(scores))
    } else {
        let mut samples = Vec::with_capacity(seeds.len() * generator.width());
        let mut classes = classes.iter().copied();
        for seeds in seeds.chunks(batch) {
            let classes: Vec<u32> = classes.by_ref().take(seeds.len()).collect();
            let drawn = draw(&mut generator, &mut executor, seeds, &classes);
            samples.extend(drawn.with_context(|| model.name.clone())?);
            bar.inc(seeds.len() as u64);
        }
        (samples, None)
    };
    let secs = start.elapsed().as_secs_f64();
    bar.finish_and_clear();

    let files = write(args, target.as_ref(), &model, &samples)?;
    let rate = seeds.len() as f64 / secs;
    if args.json {
        let device = executor.name();
        return print_json(&Summary {
            samples: seeds.len(),
            secs,
            samples_per_sec: rate,
            device,
            evaluations: model.meta.draw().evaluations(),
            files,
            classes,
            choice: scores,
        });
    }
    if let Some(Scores { kept, mean_score, mean_score_kept, .. }) = scores {
        print(format_args!("{kept}: mean score {mean_score:.4} of all, {mean_score_kept:.4} of those kept"))?;
    }
    let what = if is_points(&model.meta) { "points" } else { "images" };
    print(format_args!("{} {what} in {secs:.3} s: {rate:.1} {what}/s on {}", seeds.len(), executor.name()))?;
    for file in &files {
        note(quiet, format_args!("wrote {}", file.display()));
    }
    Ok(())
}

/// The class of each sample; empty for a model without classes.
fn classes(args: &Args, model: &ModelFile) -> anyhow::Result<Vec<u32>> {
    let known = model.meta.network.classes();
    let wanted = match &args.class {
        Some(Classes(wanted)) if known == 0 => {
            return Err(bad_input!(
                "--class {}: {} has no classes; leave the flag out, or train a model with --classes",
                wanted[0],
                model.name
            ));
        }
        Some(Classes(wanted)) => wanted,
        // A sample depends on its seed alone.
        None => return Ok(model.meta.network.classes_of(&args.seeds.0)),
    };
    if let Some(other) = wanted.iter().find(|class| **class as usize >= known) {
        return Err(bad_input!("--class {other}: {} has the classes 0 to {}", model.name, known - 1));
    }
    Ok(wanted.iter().copied().cycle().take(args.seeds.0.len()).collect())
}

fn is_points(meta: &ModelMeta) -> bool {
    meta.data_shape.len() == 1
}

/// What can be refused before anything is computed.
fn check(args: &Args, meta: &ModelMeta, target: Option<&Target>) -> anyhow::Result<()> {
    if target.is_none() && args.grid.is_none() {
        return Err(bad_input!(
            "the samples have nowhere to go; give --out samples.npy, --out FOLDER or --grid FILE.png"
        ));
    }
    if is_points(meta) && matches!(target, Some(Target::Folder(_))) {
        return Err(bad_input!("--out: this model makes points, not images; give a file that ends in .npy or .png"));
    }
    if is_points(meta) && meta.data_shape != [2] && (args.grid.is_some() || matches!(target, Some(Target::Png(_)))) {
        return Err(bad_input!("points of {:?} numbers have no picture; give --out FILE.npy alone", meta.data_shape));
    }
    if let Some(grid) = &args.grid
        && grid.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("png"))
    {
        return Err(bad_input!("--grid {}: pictures are PNG; give a name that ends in .png", grid.display()));
    }
    let largest = u64::from(args.seeds.0.iter().copied().max().unwrap_or(0));
    let candidates = u64::from(args.choice.candidates());
    if (largest + 1) * candidates > 1 << 32 {
        let most = (1_u64 << 32) / candidates - 1;
        return Err(bad_input!("seed {largest}: with {candidates} candidates each, seeds go up to {most}"));
    }
    let width: usize = meta.data_shape.iter().product();
    let bytes = args.seeds.0.len() as u64 * width as u64 * 4;
    if bytes > MAX_BYTES {
        let most = MAX_BYTES / (4 * width as u64);
        return Err(bad_input!("{} seeds are too many for one run; give at most {most} at a time", args.seeds.0.len()));
    }
    let pictured = args.grid.is_some() || matches!(target, Some(Target::Png(_)));
    if pictured && !is_points(meta) && args.seeds.0.len() * width > LARGEST_GRID {
        return Err(bad_input!(
            "{} images are too many for one picture; give at most {} seeds, or --out FILE.npy alone",
            args.seeds.0.len(),
            LARGEST_GRID / width
        ));
    }
    target.map(Target::check).transpose()?;
    args.grid.as_deref().map(check_writable).transpose()?;
    Ok(())
}

/// Writes what was asked for; returns the paths.
fn write(args: &Args, target: Option<&Target>, model: &ModelFile, samples: &[f32]) -> anyhow::Result<Vec<PathBuf>> {
    let meta = &model.meta;
    let mut files = Vec::new();
    let mut save = |picture: &Picture, path: &Path| -> anyhow::Result<()> {
        picture.save_png(path)?;
        files.push(path.to_path_buf());
        Ok(())
    };
    if let &[height, width, channels] = &meta.data_shape[..] {
        let images = to_bytes(samples, meta.data_range);
        let size = height * width * channels;
        if let Some(path) = &args.grid {
            save(&grid(&images, [height, width, channels])?, path)?;
        }
        match target {
            Some(Target::Npy(path)) => {
                write_npy_u8(path, &[images.len() / size, height, width, channels], &images)?;
                files.push(path.clone());
            }
            Some(Target::Png(path)) if images.len() == size => {
                save(&Picture { pixels: images, width, height, channels }, path)?;
            }
            Some(Target::Png(path)) => save(&grid(&images, [height, width, channels])?, path)?,
            Some(Target::Folder(folder)) => {
                let mut drawn: BTreeMap<u32, u32> = BTreeMap::new();
                for (seed, image) in args.seeds.0.iter().zip(images.chunks_exact(size)) {
                    let picture = Picture { pixels: image.to_vec(), width, height, channels };
                    let times = drawn.entry(*seed).and_modify(|times| *times += 1).or_insert(1);
                    // One seed gives another picture of each class.
                    let again = if *times > 1 { format!("-{times}") } else { String::new() };
                    picture.save_png(folder.join(format!("{seed:06}{again}.png")))?;
                }
                files.push(folder.clone());
            }
            None => {}
        }
    } else {
        let pictures =
            [args.grid.as_ref(), target.and_then(|t| if let Target::Png(path) = t { Some(path) } else { None })];
        for path in pictures.into_iter().flatten() {
            save(&points(samples, meta.data_range), path)?;
        }
        if let Some(Target::Npy(path)) = target {
            let width = meta.data_shape[0];
            write_npy_f32(path, &[samples.len() / width, width], samples)?;
            files.push(path.clone());
        }
    }
    Ok(files)
}
