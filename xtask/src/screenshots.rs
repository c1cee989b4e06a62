//! `cargo xtask screenshots`: the desktop trainer's views as pictures, for the README and for review.
//!
//! The program runs in a real window on a virtual display (Xvfb), with software Vulkan under it. A
//! picture is taken when the run's own statistics say that it has come far enough, not after a time.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::runtime_dir::RuntimeDir;
use crate::{step, vulkan, web};

#[derive(clap::Args)]
pub struct Options {
    /// Take only pictures whose name contains this
    filter: Option<String>,
}

/// When a picture is taken.
#[derive(Clone, Copy)]
enum When {
    /// The newest run has statistics of this step.
    Step(u64),
    /// The window has had this long: nothing is trained.
    Secs(u64),
}

struct Shot {
    name: &'static str,
    size: [u32; 2],
    args: &'static [&'static str],
    when: When,
    /// Whether a run that was killed is there before the window opens.
    after_crash: bool,
}

const fn shot(name: &'static str, size: [u32; 2], args: &'static [&'static str], when: When) -> Shot {
    Shot { name, size, args, when, after_crash: false }
}

const LARGE: [u32; 2] = [1280, 800];
const SMALL: [u32; 2] = [1024, 640];

const SHOTS: &[Shot] = &[
    shot("welcome", LARGE, &["--theme", "light"], When::Secs(4)),
    shot("plane-dark", LARGE, &["--preset", "gaussians", "--theme", "dark"], When::Step(1500)),
    shot("plane-small", SMALL, &["--preset", "two-moons", "--theme", "light"], When::Step(600)),
    shot("digits-dark", LARGE, &["--preset", "mnist", "--theme", "dark"], When::Step(400)),
    shot("digits-4k", [3840, 2160], &["--preset", "mnist", "--theme", "light"], When::Step(50)),
    shot(
        "machine",
        LARGE,
        &["--preset", "gaussians", "--view", "machine", "--time-kernels", "--theme", "light"],
        When::Step(300),
    ),
    shot("tour", LARGE, &["--preset", "pinwheel", "--tour", "--theme", "dark"], When::Step(200)),
    shot("explore", LARGE, &["mnist-generator.safetensors", "--theme", "light"], When::Secs(12)),
    // The banner says what is wrong with the file, and the window goes on.
    shot("banner", SMALL, &["no-picture.png", "--theme", "light"], When::Secs(4)),
    Shot { after_crash: true, ..shot("interrupted", SMALL, &["--theme", "light"], When::Secs(4)) },
];

/// Longest that a view may take to come.
const PATIENCE: Duration = Duration::from_mins(15);
/// Programs that take the pictures, and the packages that have them.
const PROGRAMS: [(&str, &str); 2] = [("Xvfb", "xvfb"), ("import", "imagemagick")];
/// X display that is not likely to be taken.
const DISPLAY: &str = ":87";

/// Takes the pictures into `target/screenshots`.
pub fn run(options: &Options) -> Result<bool> {
    vulkan::ensure()?;
    for (program, package) in PROGRAMS {
        if !step::works(program, &["-version"]) && !Path::new("/usr/bin").join(program).exists() {
            vulkan::install(&[package]).with_context(|| format!("{program} takes the pictures"))?;
        }
    }
    if !web::build_program()? {
        return Ok(false);
    }
    let folder = step::target_dir().join("screenshots");
    std::fs::create_dir_all(&folder)?;
    let wanted = |shot: &&Shot| options.filter.as_deref().is_none_or(|filter| shot.name.contains(filter));
    let shots: Vec<&Shot> = SHOTS.iter().filter(wanted).collect();
    if shots.is_empty() {
        bail!("no picture has that name; there are {}", SHOTS.iter().map(|s| s.name).collect::<Vec<_>>().join(", "));
    }
    for shot in shots {
        let path = folder.join(format!("{}.png", shot.name));
        take(shot, &path).with_context(|| format!("the picture `{}`", shot.name))?;
        println!("{}", path.display());
    }
    Ok(true)
}

/// A program that ends with its handle.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command) -> Result<Running> {
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    Ok(Running(child.with_context(|| format!("starting {}", command.get_program().display()))?))
}

fn take(shot: &Shot, path: &Path) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("onestep-screenshots-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    for model in ["mnist-generator.safetensors", "mnist-ratio.safetensors"] {
        std::fs::copy(step::root().join("assets/web").join(model), folder.join(model))?;
    }
    std::fs::write(folder.join("no-picture.png"), "neither a picture nor a model")?;
    let runs = folder.join("runs");
    let runtime = RuntimeDir::ensure()?;
    let [width, height] = shot.size;
    let screen = format!("{width}x{height}x24");
    let display = start(Command::new("Xvfb").args([DISPLAY, "-screen", "0", &screen]))?;
    std::thread::sleep(Duration::from_secs(1));
    let window = |args: &[&str]| -> Result<Running> {
        let mut command = Command::new(step::target_dir().join("release/onestep"));
        runtime.pass_on(&mut command);
        // Paths on the pictures are those that anybody would see.
        command.current_dir(&folder).env("DISPLAY", DISPLAY).env_remove("WAYLAND_DISPLAY");
        command.args(["gui", "--size", &format!("{width}x{height}")]).args(args);
        start(&mut command)
    };
    if shot.after_crash {
        // Killed, not closed: that is the case.
        let crashing = window(&["--preset", "gaussians"])?;
        wait(&crashing, "a checkpoint", || newest(&runs).is_some_and(|run| run.join("latest.json").is_file()))?;
        drop(crashing);
    }
    let program = window(shot.args)?;
    match shot.when {
        When::Secs(secs) => std::thread::sleep(Duration::from_secs(secs)),
        When::Step(step) => wait(&program, &format!("step {step}"), || last_step(&runs) >= step)?,
    }
    // The step is in the statistics before its view is on the screen.
    std::thread::sleep(Duration::from_secs(2));
    let taken = Command::new("import").args(["-display", DISPLAY, "-window", "root"]).arg(path).status()?;
    drop((program, display));
    std::fs::remove_dir_all(&folder)?;
    if !taken.success() {
        bail!("import could not take the picture");
    }
    Ok(())
}

fn wait(program: &Running, what: &str, holds: impl Fn() -> bool) -> Result<()> {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > PATIENCE || !Path::new(&format!("/proc/{}", program.0.id())).exists() {
            bail!("the window did not come to {what}");
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    Ok(())
}

fn newest(runs: &Path) -> Option<PathBuf> {
    std::fs::read_dir(runs).ok()?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).max()
}

/// The last step that the newest run has statistics of.
fn last_step(runs: &Path) -> u64 {
    let text = newest(runs).and_then(|run| std::fs::read_to_string(run.join("stats.jsonl")).ok()).unwrap_or_default();
    let steps = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()?["step"].as_u64());
    steps.max().unwrap_or(0)
}
