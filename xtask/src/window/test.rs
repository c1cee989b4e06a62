//! Tests of the program in a real window: what begins with a surface, and ends with one.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Desk, Display, LOSING, NO_SCREEN, Running, ensure_screen};
use crate::summary::Summary;
use crate::{step, web};

type Test = (&'static str, fn() -> Result<()>);

const TESTS: [Test; 3] = [
    ("a_window_opens_and_shows_a_run", opens),
    ("a_window_that_is_told_to_end_saves_its_run", is_told_to_end),
    ("a_window_whose_device_is_lost_is_followed_by_one_that_says_so", is_followed),
];

const SCREEN: [u16; 2] = [1024, 640];

/// Runs the tests, or those whose name contains `filter`; none where there is no virtual screen.
pub fn test(filter: Option<&str>) -> Result<Summary> {
    let mut summary = Summary::default();
    let wanted: Vec<&Test> = TESTS.iter().filter(|(name, _)| filter.is_none_or(|text| name.contains(text))).collect();
    if wanted.is_empty() {
        return Ok(summary);
    }
    // On Debian a screen that can't be installed is an error: tests must not go missing there.
    if !ensure_screen()? {
        println!("\nnot tested in a real window: {NO_SCREEN}");
        return Ok(summary);
    }
    step::heading("the desktop trainer in a real window");
    if !web::build_program()? {
        summary.failed = 1;
        return Ok(summary);
    }
    for (name, run) in wanted {
        match run() {
            Ok(()) => {
                println!("test {name} ... ok");
                summary.passed += 1;
            }
            Err(error) => {
                println!("test {name} ... FAILED: {error:#}");
                summary.failed += 1;
            }
        }
    }
    Ok(summary)
}

/// Different colours on a screen.
fn colours(display: &Display) -> Result<usize> {
    let seen = display.look([0, 0, SCREEN[0], SCREEN[1]])?;
    let mut pixels: Vec<&[u8; 4]> = seen.as_chunks().0.iter().collect();
    pixels.sort_unstable();
    pixels.dedup();
    Ok(pixels.len())
}

/// Waits until the newest run has statistics of a step.
fn reach(desk: &Desk, program: &mut Running, step: u64) -> Result<()> {
    program.wait(&format!("step {step}"), || desk.statistics().last().is_some_and(|(last, _)| *last >= step))
}

fn opens() -> Result<()> {
    let (desk, display) = (Desk::new()?, Display::start(SCREEN)?);
    ensure!(colours(&display)? == 1, "the screen is not empty before the window opens");
    let mut program =
        Running::start(&mut desk.window(&display, &["--preset", "gaussians", "--device", "cpu", "--theme", "dark"]))?;
    reach(&desk, &mut program, 100)?;
    std::thread::sleep(Duration::from_secs(1));
    // Text alone has about a hundred; the ratio in the plane has thousands.
    let there = colours(&display)?;
    ensure!(there > 1000, "the window has {there} colours: it does not show the run");
    Ok(())
}

/// What a desktop sends when its user logs out, and what a terminal sends.
#[cfg(unix)]
const SIGNALS: [&str; 3] = ["TERM", "HUP", "INT"];
#[cfg(not(unix))]
const SIGNALS: [&str; 0] = [];

fn is_told_to_end() -> Result<()> {
    for signal in SIGNALS {
        let (desk, display) = (Desk::new()?, Display::start(SCREEN)?);
        let mut program = Running::start(&mut desk.window(&display, &["--preset", "gaussians", "--device", "cpu"]))?;
        reach(&desk, &mut program, 100)?;
        let sent = Command::new("kill").args(["-s", signal, &program.0.id().to_string()]).status()?;
        ensure!(sent.success(), "no signal was sent");
        let end = program.end().with_context(|| format!("after SIG{signal}"))?;
        ensure!(end.success(), "SIG{signal} ended the program with {end}");
        let run = desk.run().context("a run")?;
        let log = std::fs::read_to_string(run.join("log.txt"))?;
        let last = log.lines().last().unwrap_or_default();
        ensure!(last.contains("\"stopped\""), "after SIG{signal} the log ends with {last}");
        ensure!(run.join("latest.json").is_file(), "SIG{signal} left no checkpoint");
    }
    Ok(())
}

fn is_followed() -> Result<()> {
    let (desk, display) = (Desk::new()?, Display::start(SCREEN)?);
    let mut program = Running::start(&mut desk.window(&display, &LOSING))?;
    let arguments = format!("/proc/{}/cmdline", program.0.id());
    // A program that goes on as another one keeps its number.
    let replaced = || std::fs::read_to_string(&arguments).is_ok_and(|text| text.contains("--failed\0"));
    program.wait("a new window", replaced)?;
    std::thread::sleep(Duration::from_secs(5));
    ensure!(program.is_there(), "the new window closed by itself");
    let there = colours(&display)?;
    ensure!(there > 30, "the new window is empty: {there} colours");
    Ok(())
}
