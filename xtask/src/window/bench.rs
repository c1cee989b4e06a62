//! `cargo xtask bench window`: what the window costs a run, and how soon it answers a click.
//!
//! Each case trains without a window and with one, in turns, on one machine; the speeds are those of the
//! runs' own statistics. Then "Pause" is clicked while the run goes on. An answer is timed twice: when the
//! program says that it acts on the click, and when the button on the screen has become "Play".

use std::io::{BufRead, BufReader};
use std::process::{ChildStderr, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Area, Desk, Display, Running, prepare};
use crate::{report, step};

/// What is trained.
struct Case {
    name: &'static str,
    device: &'static str,
    settings: &'static str,
}

const CASES: [Case; 3] = [
    Case { name: "gaussians, processor", device: "cpu", settings: "data = \"gaussians\"\ntick = 20\n" },
    Case { name: "gaussians, software Vulkan", device: "gpu", settings: "data = \"gaussians\"\ntick = 20\n" },
    Case { name: "digits, processor", device: "cpu", settings: "data = \"mnist-10k\"\nwarmup_steps = 0\ntick = 10\n" },
];

const SCREEN: [u16; 2] = [1280, 800];
/// Within the button "Pause", which is "Play" while a run waits.
const BUTTON: Area = [166, 5, 68, 14];
/// Time that a run has before it is measured, and the shortest time that is measured.
const BEFORE: Duration = Duration::from_secs(8);
const SPAN: Duration = Duration::from_secs(20);
/// Clicks per run.
const CLICKS: usize = 8;
/// Longest that an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was measured of a case.
#[derive(Default)]
struct Figures {
    /// Milliseconds per step of each run.
    headless: Vec<f64>,
    with_window: Vec<f64>,
    /// Milliseconds from each click until the program acted, and until that was seen.
    acted: Vec<f64>,
    seen: Vec<f64>,
}

/// Measures every case whose name contains `filter`, this many pairs of runs each.
pub fn bench(filter: Option<&str>, pairs: usize) -> Result<bool> {
    let cases: Vec<&Case> = CASES.iter().filter(|case| filter.is_none_or(|text| case.name.contains(text))).collect();
    if cases.is_empty() || pairs == 0 {
        bail!("nothing to measure; the cases are: {}", CASES.map(|case| case.name).join("; "));
    }
    if !prepare()? {
        return Ok(false);
    }
    let load = report::load();
    let mut table = String::from(
        "| training | ms/step, no window | ms/step, with it | speed kept | click acted on, median / worst | click seen, \
         median / worst |\n|---|---:|---:|---:|---:|---:|\n",
    );
    for case in cases {
        step::heading(case.name);
        let mut figures = Figures::default();
        for _ in 0..pairs {
            figures.headless.push(alone(case)?);
            let with_window = watched(case, &mut figures)?;
            figures.with_window.push(with_window);
            println!(
                "{:.1} ms/step without the window, {with_window:.1} with it",
                figures.headless.last().unwrap_or(&0.0)
            );
        }
        let row = figures.row(case.name);
        print!("{row}");
        table += &row;
    }
    if filter.is_none() {
        let text = format!(
            "Measured {} by `cargo xtask bench window`: {}; load of the\nmachine before the run: {load}. \
             Speeds are medians of {pairs} runs each, in turns; clicks: {} per row.\n\n{table}",
            report::today()?,
            report::machine(),
            pairs * CLICKS
        );
        report::write("bench window", &text)?;
    }
    Ok(true)
}

impl Figures {
    fn row(&mut self, name: &str) -> String {
        let [alone, with] = [&mut self.headless, &mut self.with_window].map(|values| spread(values)[0]);
        let [acted, seen] = [&mut self.acted, &mut self.seen].map(|values| spread(values));
        let kept = 100.0 * alone / with;
        let [acted, seen] = [acted, seen].map(|[median, worst]| format!("{median:.0} / {worst:.0} ms"));
        format!("| {name} | {alone:.1} | {with:.1} | {kept:.0} % | {acted} | {seen} |\n")
    }
}

/// Median and largest value.
fn spread(values: &mut [f64]) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    [values[values.len() / 2], values[values.len() - 1]]
}

/// Milliseconds per step of a run without a window.
fn alone(case: &Case) -> Result<f64> {
    let desk = desk(case)?;
    let mut command = desk.program(&["train", "--quiet", "--config", "settings.toml", "--device", case.device]);
    speed(&desk, &mut Running::start(&mut command)?)
}

/// Milliseconds per step of a run in a window, and how soon that answers.
fn watched(case: &Case, figures: &mut Figures) -> Result<f64> {
    let desk = desk(case)?;
    let display = Display::start(SCREEN)?;
    let mut command = desk.window(&display, &["settings.toml", "--device", case.device]);
    command.env("ONESTEP_LOG", "onestep=debug,warn").stderr(Stdio::piped());
    let mut program = Running::start(&mut command)?;
    let acted = listen(program.0.stderr.take().context("standard error is piped")?);
    let speed = speed(&desk, &mut program)?;
    display.point([BUTTON[0] + BUTTON[2] / 2, BUTTON[1] + BUTTON[3] / 2])?;
    std::thread::sleep(Duration::from_secs(1));
    let playing = display.look(BUTTON)?;
    for number in 0..CLICKS {
        let start = display.click()?;
        let at = acted.recv_timeout(PATIENCE).context("\"Pause\" was clicked, and nothing happened")?;
        figures.acted.push(at.duration_since(start).as_secs_f64() * 1e3);
        // Until the button stays as it is: that it is no longer pressed is no answer.
        let mut seen = (playing.clone(), Duration::ZERO);
        while start.elapsed() < Duration::from_secs(1) {
            let now = display.look(BUTTON)?;
            if now != seen.0 {
                seen = (now, start.elapsed());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if seen.0 == playing {
            bail!("\"Pause\" was clicked, and the button looks as before");
        }
        figures.seen.push(seen.1.as_secs_f64() * 1e3);
        display.click()?;
        acted.recv_timeout(PATIENCE).context("\"Play\" was clicked, and nothing happened")?;
        // Each click comes at another time of a step and of a view.
        std::thread::sleep(Duration::from_millis(1500 + 130 * number as u64));
    }
    Ok(speed)
}

fn desk(case: &Case) -> Result<Desk> {
    let desk = Desk::new()?;
    std::fs::write(desk.folder.join("settings.toml"), case.settings)?;
    Ok(desk)
}

/// When the program acted on clicks.
fn listen(errors: ChildStderr) -> Receiver<Instant> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            if line.contains("play or pause") && sender.send(Instant::now()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Milliseconds per step, when the run has got going.
fn speed(desk: &Desk, program: &mut Running) -> Result<f64> {
    program.wait("its first statistics", || !desk.statistics().is_empty())?;
    std::thread::sleep(BEFORE);
    let last = || desk.statistics().last().copied().context("statistics");
    let first = last()?;
    let start = Instant::now();
    program.wait("statistics", || {
        start.elapsed() >= SPAN && desk.statistics().last().is_some_and(|(step, _)| *step > first.0)
    })?;
    let end = last()?;
    Ok(1e3 * (end.1 - first.1) / (end.0 - first.0) as f64)
}
