//! `cargo xtask screenshots --methods`: every method of the list in the window.

use anyhow::{Context, Result};
use serde_json::Value;

use super::screenshots::{LARGE, folder};
use super::{Desk, Display, Running};

/// Steps of a warm-up, where there is one.
const WARM_UP: u64 = 300;
/// Steps of the run when its picture is taken: most are in their last phase by then.
const STEPS: u64 = 900;

/// Takes a picture of each method's run on labelled points into `target/screenshots`.
pub fn run(filter: &str) -> Result<()> {
    let folder = folder()?;
    for method in methods()? {
        let name = method["name"].as_str().context("a method without a name")?;
        if !name.contains(filter) {
            continue;
        }
        let path = folder.join(format!("method-{name}.png"));
        let desk = Desk::new()?;
        let reads = |setting: &str| method["settings"].as_array().is_some_and(|all| all.iter().any(|s| s == setting));
        let warm_up = if reads("warmup_steps") { format!("warmup_steps = {WARM_UP}\n") } else { String::new() };
        let settings = format!("method = \"{name}\"\ndata = \"gaussians\"\nclasses = 1\n{warm_up}");
        std::fs::write(desk.folder.join("run.toml"), settings)?;
        let display = Display::start(LARGE)?;
        let mut program = Running::start(&mut desk.window(&display, &["run.toml", "--theme", "light"]))?;
        let reached = || desk.statistics().last().is_some_and(|(last, _)| *last >= STEPS);
        program.wait(&format!("step {STEPS} of {name}"), reached)?;
        display.save(&path)?;
        println!("{}", path.display());
    }
    Ok(())
}

/// What the program says of each method.
fn methods() -> Result<Vec<Value>> {
    let desk = Desk::new()?;
    let mut program = desk.program(&["methods", "--json"]);
    program.stdout(std::process::Stdio::piped());
    let output = program.output().context("onestep methods")?;
    serde_json::from_slice(&output.stdout).context("onestep methods --json")
}
