//! `onestep lab`: what networks learn, where the truth is known exactly; and what it costs.

mod bias;
mod divergences;
mod growth;
mod judge;
mod picture;
mod record;
mod students;
mod ways;

use std::io::Write as _;
use std::path::Path;

use onestep_core::files::atomic_write;

use crate::exit::bad_input;
use crate::plot::{self, Drawing};

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
    /// How noisy the gradient of each divergence is, and how well a ratio network gives it.
    Divergences(divergences::Args),
    /// How time and memory grow with batch, channels, pixels, parameters and threads.
    Growth(growth::Args),
    /// What a choice among candidates is worth, by the ratio network that was trained beside a generator.
    Judge(judge::Args),
}

/// Runs an experiment.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    match &args.what {
        What::Bias(args) => bias::run(args, quiet),
        What::Divergences(args) => divergences::run(args, quiet),
        What::Growth(args) => growth::run(args, quiet),
        What::Judge(args) => judge::run(args, quiet),
    }
}

/// What an experiment leaves: numbers, a table, a picture.
struct Outcome<'a, D> {
    /// Of its files.
    name: &'a str,
    json: &'a str,
    table: &'a str,
    picture: &'a D,
    size: (u32, u32),
    /// The document that has the table, and between which marks.
    page: (&'a str, &'a str),
}

impl<D: Drawing> Outcome<'_, D> {
    /// Writes all into the folder `out`; and into `docs`, numbers and picture below data/, the table into its page.
    fn write(&self, out: &Path, docs: Option<&Path>) -> anyhow::Result<()> {
        let save = |folder: &Path| {
            atomic_write(folder.join(format!("{}.json", self.name)), |file| file.write_all(self.json.as_bytes()))?;
            plot::save(self.picture, folder, self.name, self.size)
        };
        save(out)?;
        atomic_write(out.join(format!("{}.md", self.name)), |file| file.write_all(self.table.as_bytes()))?;
        if let Some(docs) = docs {
            let data = docs.join("data");
            std::fs::create_dir_all(&data)
                .map_err(|error| bad_input!("--docs {}: cannot be made: {error}", docs.display()))?;
            save(&data)?;
            let page = replaced(docs, self.page, self.table)?;
            atomic_write(docs.join(self.page.0), |file| file.write_all(page.as_bytes()))?;
        }
        Ok(())
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
