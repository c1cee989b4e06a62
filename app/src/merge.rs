//! `onestep merge`: one model of two, their weights interpolated.

use std::path::PathBuf;

use onestep_core::model::{self, ModelFile, Storage};

use crate::draw::snapshot;
use crate::output::note;
use crate::pictures::check_writable;
use crate::range::in_range;

/// Arguments of `onestep merge`.
#[derive(clap::Args)]
pub struct Args {
    /// A model, or a run's folder for its newest generator.
    first: PathBuf,
    /// Another of the same kind, network and data, which began with the same weights.
    second: PathBuf,
    /// The second model's share of the weights, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = in_range::<f32>(0.0..=1.0))]
    weight: f32,
    /// Where to.
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
}

/// Reads, merges, writes.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let [first, second] = [&args.first, &args.second].map(|path| anyhow::Ok(ModelFile::open(snapshot(path)?)?));
    let merged = model::merge(&first?, &second?, args.weight)?;
    check_writable(&args.out)?;
    merged.save(&args.out, Storage::F32)?;
    note(quiet, format_args!("wrote {}", args.out.display()));
    Ok(())
}
