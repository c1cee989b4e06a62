//! `onestep lab`: what networks learn, where the truth is known exactly.

mod bias;
mod picture;
mod record;
mod ways;

/// Arguments of `onestep lab`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// How far one ratio network and two denoisers are from the exact difference of two scores.
    Bias(bias::Args),
}

/// Runs an experiment.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    match &args.what {
        What::Bias(args) => bias::run(args, quiet),
    }
}
