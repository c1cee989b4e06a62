//! `cargo xtask mutate`: is every shader really tested?
//!
//! Each edit of [`table::EDITS`] makes one kernel wrong, in a copy of the shaders under the target
//! folder; the tests read that copy instead of the embedded text (`ONESTEP_SHADER_DIR`, see
//! `shaders/src/lib.rs`), so nothing is built again. A test that stays green *survived* the edit: it
//! would not notice that bug. An edit counts only if the wrong kernel is still valid WGSL, and if
//! the same tests pass without it.

mod copy;
mod edit;
mod programs;
mod table;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::runtime_dir::RuntimeDir;
use crate::step::{self, Captured};
use crate::summary::Summary;
use crate::vulkan;
use copy::Shaders;
use edit::Edit;
use programs::Program;
use table::EDITS;

#[derive(clap::Args)]
pub struct Options {
    /// Only edits of files whose name contains one of these
    filters: Vec<String>,
    /// Print the edits and stop
    #[arg(long)]
    list: bool,
}

/// What became of an edit.
enum Outcome {
    Caught(Summary),
    Survived,
    /// The edit itself is of no use.
    Broken(String),
}

/// Applies the edits one at a time. Whether all were caught.
pub fn run(options: &Options) -> Result<bool> {
    let named = |edit: &Edit| options.filters.iter().any(|text| edit.file.contains(text.as_str()));
    let wanted = |edit: &&Edit| options.filters.is_empty() || named(edit);
    let edits: Vec<&Edit> = EDITS.iter().filter(wanted).collect();
    if edits.is_empty() {
        bail!("no edit is of a kernel with that name; `cargo xtask mutate --list` shows all");
    }
    if options.list {
        for edit in edits {
            println!("{:<32} {:<26} {}", edit.file, edit.tests, edit.bug);
        }
        return Ok(true);
    }
    vulkan::ensure()?;
    let tests = Tests::build()?;
    let shaders = Shaders::copy(&step::root().join("shaders"), &step::target_dir().join("mutate/shaders"))?;
    tests.pass_without_edits(shaders.folder(), &edits)?;

    step::heading(&format!("{} edits", edits.len()));
    let (mut caught, mut survived, mut broken) = (0, 0, 0);
    for edit in edits {
        let start = Instant::now();
        let (word, detail) = match tests.judge(&shaders, edit)? {
            Outcome::Caught(Summary { passed, failed, .. }) => {
                caught += 1;
                ("caught", format!("{failed} of {} tests failed", passed + failed))
            }
            Outcome::Survived => {
                survived += 1;
                ("SURVIVED", format!("every test of `{}` passed", edit.tests))
            }
            Outcome::Broken(why) => {
                broken += 1;
                ("ERROR", why)
            }
        };
        println!("{word:<8}  {:<32} {:<58} {detail}, {:.0} s", edit.file, edit.bug, start.elapsed().as_secs_f64());
    }
    println!("\n{caught} caught, {survived} survived, {broken} errors");
    Ok(survived + broken == 0)
}

/// The tests, and where they run.
struct Tests {
    runtime_dir: RuntimeDir,
    /// Shaders against their twins.
    parity: Program,
    /// naga on every variant.
    validation: Program,
}

impl Tests {
    fn build() -> Result<Self> {
        Ok(Self {
            runtime_dir: RuntimeDir::ensure()?,
            parity: Program::build("tests", "onestep-tests", "gpu")?,
            validation: Program::build("shaders", "onestep-shaders", "validation")?,
        })
    }

    fn run(&self, program: &Program, filter: Option<&str>, shaders: &Path) -> Result<Captured> {
        let mut command = program.command();
        command.args(filter).env("ONESTEP_SHADER_DIR", shaders);
        self.runtime_dir.pass_on(&mut command);
        step::capture(&mut command)
    }

    /// Tests that fail anyway, or that are not there, catch nothing.
    fn pass_without_edits(&self, shaders: &Path, edits: &[&Edit]) -> Result<()> {
        step::heading("the same tests without edits");
        let valid = self.run(&self.validation, None, shaders)?;
        if !valid.ok {
            print!("{}{}", valid.stdout, valid.stderr);
            bail!("the shaders are not valid without any edit");
        }
        let filters: BTreeSet<&str> = edits.iter().map(|edit| edit.tests).collect();
        for filter in filters {
            let run = self.run(&self.parity, Some(filter), shaders)?;
            let summary = Summary::of(&run.stdout);
            println!("{filter}: {summary}");
            if !run.ok {
                print!("{}{}", run.stdout, run.stderr);
                bail!("the tests `{filter}` fail without any edit");
            }
            if summary.passed == 0 {
                bail!("no test of the program `gpu` is called `{filter}`");
            }
        }
        Ok(())
    }

    fn judge(&self, shaders: &Shaders, edit: &Edit) -> Result<Outcome> {
        let text = match edit.apply(&shaders.text(edit.file)?) {
            Ok(text) => text,
            Err(why) => return Ok(Outcome::Broken(why)),
        };
        let _edited = shaders.overwrite(edit.file, &text)?;
        let valid = self.run(&self.validation, None, shaders.folder())?;
        if !valid.ok {
            return Ok(Outcome::Broken("the edited kernel is no valid WGSL".into()));
        }
        let run = self.run(&self.parity, Some(edit.tests), shaders.folder())?;
        let summary = Summary::of(&run.stdout);
        Ok(match (run.ok, summary.failed) {
            (true, _) => Outcome::Survived,
            (false, 0) => Outcome::Broken("the test program died without a report".into()),
            (false, _) => Outcome::Caught(summary),
        })
    }
}
