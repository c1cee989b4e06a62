//! `onestep export`: a model in another form, such as half-size weights for the web page.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use onestep_core::model::{ModelFile, ModelKind, Storage};

use crate::exit::bad_input;
use crate::output::note;
use crate::pictures::check_writable;

/// Arguments of `onestep export`.
#[derive(clap::Args)]
pub struct Args {
    /// A generator, ratio network or denoiser.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// What to write.
    #[arg(long, value_enum, default_value_t = Format::F16)]
    format: Format,
    /// Where to.
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
}

/// Forms of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// safetensors with 16-bit floating-point weights
    F16,
    /// safetensors with 32-bit floating-point weights
    F32,
}

/// Reads, converts, writes.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let model = ModelFile::open(&args.model)?;
    let storage = match args.format {
        Format::F16 => Storage::F16,
        Format::F32 => Storage::F32,
    };
    save(&model, storage, &args.out)?;
    note(quiet, format_args!("wrote {}", args.out.display()));
    Ok(())
}

/// Writes a model that is not a state.
pub fn save(model: &ModelFile, storage: Storage, out: &Path) -> anyhow::Result<()> {
    if model.meta.kind == ModelKind::State {
        return Err(bad_input!("{}: is the state of a run; give one of its snapshots", model.name));
    }
    check_writable(out)?;
    Ok(model.save(out, storage)?)
}
