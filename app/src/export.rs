//! `onestep export`: a model in another form: half-size weights for the web page, or ONNX.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use onestep_core::files::atomic_write;
use onestep_core::model::{ModelFile, ModelKind, Storage};
use onestep_core::nets::Rule;
use onestep_core::onnx;

use crate::draw::snapshot;
use crate::exit::{BeforeWork, bad_input};
use crate::output::note;
use crate::pictures::check_writable;

/// Arguments of `onestep export`.
#[derive(clap::Args)]
pub struct Args {
    /// A generator, ratio network or denoiser, or a run's folder for its newest generator; for ONNX a generator.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// What to write [default: onnx for a name that ends so, else f16].
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where to.
    #[arg(long, value_name = "FILE.safetensors|FILE.onnx")]
    out: PathBuf,
    /// Call a network that draws in many evaluations a denoiser, as which the page's race takes it.
    #[arg(long)]
    as_denoiser: bool,
}

/// Forms of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// safetensors with 16-bit floating-point weights
    F16,
    /// safetensors with 32-bit floating-point weights
    F32,
    /// ONNX of any batch size for other runtimes: `latent` f32, N x C x H x W (or N x 2) and standard
    /// normal, to `sample` of the same shape in the data's range, -1 to 1 for images; with K classes also
    /// `label` f32, N x K and one-hot
    Onnx,
}

impl Format {
    /// What a file of this name is to hold.
    pub fn of(path: &Path) -> Self {
        if is_onnx(path) { Self::Onnx } else { Self::F16 }
    }
}

/// Reads, converts, writes.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let mut model = ModelFile::open(snapshot(&args.model)?)?;
    if args.as_denoiser {
        if model.meta.kind != ModelKind::Generator || model.meta.draw().rule == Rule::Jump {
            return Err(bad_input!(
                "--as-denoiser: {} does not draw along paths of noise; give a generator of `denoise` or `flow`",
                model.name
            ));
        }
        model.meta.kind = ModelKind::Denoiser;
    }
    save(&model, args.format.unwrap_or_else(|| Format::of(&args.out)), &args.out)?;
    note(quiet, format_args!("wrote {}", args.out.display()));
    Ok(())
}

fn is_onnx(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"))
}

/// Writes a model that is not a state.
pub fn save(model: &ModelFile, format: Format, out: &Path) -> anyhow::Result<()> {
    if model.meta.kind == ModelKind::State {
        return Err(bad_input!("{}: is the state of a run; give one of its snapshots", model.name));
    }
    if is_onnx(out) != (format == Format::Onnx) {
        let wanted = if format == Format::Onnx { ".onnx" } else { ".safetensors" };
        return Err(bad_input!("--out {}: what is written there ends in {wanted}", out.display()));
    }
    check_writable(out)?;
    match format {
        Format::F16 => model.save(out, Storage::F16)?,
        Format::F32 => model.save(out, Storage::F32)?,
        Format::Onnx => {
            let evaluations = model.meta.draw().evaluations();
            if evaluations > 1 {
                return Err(bad_input!(
                    "{}: is drawn from in {evaluations} evaluations, and an ONNX file holds one; give a one-step generator",
                    model.name
                ));
            }
            let bytes = onnx::export(model).before_work()?;
            atomic_write(out, |file| file.write_all(&bytes))?;
        }
    }
    Ok(())
}
