//! `onestep lab`: what networks learn, where the truth is known exactly; and what it costs.

mod bias;
mod growth;
mod picture;
mod record;
mod ways;

use std::path::Path;

use crate::exit::bad_input;

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
    /// How time and memory grow with batch, channels, pixels, parameters and threads.
    Growth(growth::Args),
}

/// Runs an experiment.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    match &args.what {
        What::Bias(args) => bias::run(args, quiet),
        What::Growth(args) => growth::run(args, quiet),
    }
}

/// A page of a folder of documents with `text` between its marks of that name.
fn replaced(docs: &Path, (page, name): (&str, &str), text: &str) -> anyhow::Result<String> {
    let path = docs.join(page);
    let old = std::fs::read_to_string(&path).map_err(|error| bad_input!("{}: {error}", path.display()))?;
    let marks = [format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->")];
    match [old.find(&marks[0]), old.find(&marks[1])] {
        [Some(begin), Some(end)] if begin < end => {
            Ok(format!("{}\n\n{}\n\n{}", &old[..begin + marks[0].len()], text.trim_end(), &old[end..]))
        }
        _ => Err(bad_input!("{}: has no place for the tables: `{}` and `{}`", path.display(), marks[0], marks[1])),
    }
}
