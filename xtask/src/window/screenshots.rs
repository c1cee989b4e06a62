//! `cargo xtask screenshots`: the desktop trainer's views as pictures.
//!
//! A picture is taken when the run's own statistics say that it has come far enough, not after a time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Desk, Display, LOSING, Running, prepare};
use crate::step;

#[derive(clap::Args)]
pub struct Options {
    /// Take only pictures whose name contains this
    filter: Option<String>,
    /// Take a picture of every method instead, each trained on labelled points
    #[arg(long)]
    methods: bool,
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
    size: [u16; 2],
    args: &'static [&'static str],
    when: When,
    /// Whether a run that was killed is there before the window opens.
    after_crash: bool,
    /// Where the mouse is clicked then.
    click: Option<[u16; 2]>,
    /// Seconds that the window has after that.
    settle: u64,
}

const fn shot(name: &'static str, size: [u16; 2], args: &'static [&'static str], when: When) -> Shot {
    Shot { name, size, args, when, after_crash: false, click: None, settle: 2 }
}

/// The button "Slow motion".
const SLOW_MOTION: [u16; 2] = [339, 12];

pub(super) const LARGE: [u16; 2] = [1280, 800];
const SMALL: [u16; 2] = [1024, 640];

const SHOTS: &[Shot] = &[
    shot("welcome", LARGE, &["--theme", "light"], When::Secs(4)),
    shot("plane-dark", LARGE, &["--preset", "gaussians", "--theme", "dark"], When::Step(1500)),
    shot("sid", LARGE, &["sid.toml", "--theme", "light"], When::Step(2400)),
    shot("meanflow", SMALL, &["meanflow.toml", "--theme", "dark"], When::Step(2200)),
    shot("plane-small", SMALL, &["--preset", "two-moons", "--theme", "light"], When::Step(600)),
    shot("digits-dark", LARGE, &["--preset", "mnist", "--theme", "dark"], When::Step(400)),
    shot("digits-4k", [3840, 2160], &["--preset", "mnist", "--theme", "light"], When::Step(50)),
    shot(
        "machine",
        LARGE,
        &["--preset", "gaussians", "--view", "machine", "--time-kernels", "--theme", "light"],
        When::Step(300),
    ),
    Shot {
        click: Some(SLOW_MOTION),
        settle: 9,
        ..shot("slow-motion", LARGE, &["--preset", "gaussians", "--theme", "dark"], When::Step(300))
    },
    shot("tour", LARGE, &["--preset", "pinwheel", "--tour", "--theme", "dark"], When::Step(200)),
    shot("explore", LARGE, &["mnist-generator.safetensors", "--theme", "light"], When::Secs(12)),
    // The banner says what is wrong with the file, and the window goes on.
    shot("banner", SMALL, &["no-picture.png", "--theme", "light"], When::Secs(4)),
    Shot { after_crash: true, ..shot("interrupted", SMALL, &["--theme", "light"], When::Secs(4)) },
    // The window draws with the device that is lost: a new one takes its place.
    Shot { settle: 15, ..shot("lost", SMALL, &LOSING, When::Step(3)) },
];

/// Takes the pictures into `target/screenshots`.
pub fn run(options: &Options) -> Result<bool> {
    if !prepare()? {
        return Ok(false);
    }
    if options.methods {
        super::methods::run(options.filter.as_deref().unwrap_or_default())?;
        return Ok(true);
    }
    let folder = folder()?;
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

/// Where pictures go.
pub(super) fn folder() -> Result<PathBuf> {
    let folder = step::target_dir().join("screenshots");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn take(shot: &Shot, path: &Path) -> Result<()> {
    let desk = Desk::new()?;
    for model in ["mnist-generator.safetensors", "mnist-ratio.safetensors"] {
        std::fs::copy(step::root().join("assets/web").join(model), desk.folder.join(model))?;
    }
    for method in ["sid", "meanflow"] {
        let settings = format!("method = \"{method}\"\ndata = \"gaussians\"\nclasses = 1\n");
        std::fs::write(desk.folder.join(format!("{method}.toml")), settings)?;
    }
    std::fs::write(desk.folder.join("no-picture.png"), "neither a picture nor a model")?;
    let display = Display::start(shot.size)?;
    if shot.after_crash {
        // Killed, not closed: that is the case.
        let mut crashing = Running::start(&mut desk.window(&display, &["--preset", "gaussians"]))?;
        let saved = || desk.run().is_some_and(|run| run.join("latest.json").is_file());
        crashing.wait("a checkpoint", saved)?;
    }
    let mut program = Running::start(&mut desk.window(&display, shot.args))?;
    match shot.when {
        When::Secs(secs) => std::thread::sleep(Duration::from_secs(secs)),
        When::Step(step) => {
            let reached = || desk.statistics().last().is_some_and(|(last, _)| *last >= step);
            program.wait(&format!("step {step}"), reached)?;
        }
    }
    if let Some(at) = shot.click {
        display.point(at)?;
        display.click()?;
    }
    // The step is in the statistics before its view is on the screen.
    std::thread::sleep(Duration::from_secs(shot.settle));
    display.save(path)
}
