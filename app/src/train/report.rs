//! What a session tells, for people or for programs.
//!
//! On a terminal a bar moves at the bottom and lines scroll above it; elsewhere there are plain lines;
//! with `--json` every event is one line of JSON on stdout.

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use onestep_core::session::{End, Event};
use onestep_core::train::Config;

use crate::output::{note, visible};

/// Shows events.
pub struct Reporter {
    json: bool,
    quiet: bool,
    /// Seconds that the run may take, if that is limited.
    limit_secs: Option<f64>,
    bar: Option<ProgressBar>,
    /// Step, steps and rate of the last progress event.
    last: Option<(&'static str, u64, u64, f64, f64)>,
    /// Whether stdout has failed.
    unread: Cell<bool>,
}

impl Reporter {
    /// For a run with these settings.
    pub fn new(config: &Config, quiet: bool, json: bool) -> Self {
        let limit_secs = (config.minutes > 0.0).then(|| 60.0 * f64::from(config.minutes));
        let bar = (!quiet && !json && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { json, quiet, limit_secs, bar, last: None, unread: Cell::new(false) }
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        if self.json {
            return self.print(&serde_json::to_string(event).unwrap_or_default());
        }
        match event {
            Event::Started { folder, device: _, data, transfer, networks, resumed_at } => {
                let networks: Vec<String> =
                    networks.iter().map(|(name, parameters)| format!("{name} {parameters} parameters")).collect();
                self.line(&format!("data: {data}; {}", networks.join(", ")));
                if let Some(transfer) = transfer {
                    self.line(&format!("first weights: {}", transfer.display()));
                }
                if let Some(folder) = folder {
                    self.line(&format!("folder: {}", folder.display()));
                }
                if *resumed_at > 0 {
                    self.line(&format!("resumed at step {resumed_at}"));
                }
            }
            Event::Phase { phase, .. } => self.line(&format!("phase: {phase}")),
            Event::Progress { phase, step, steps, elapsed_secs, rate, .. } => {
                self.last = Some((*phase, *step, *steps, *elapsed_secs, *rate));
                if let Some(bar) = &self.bar {
                    bar.set_prefix(*phase);
                    bar.set_length(*steps);
                    bar.set_position(*step);
                    bar.set_message(self.rate());
                }
            }
            Event::Statistics { step, values } => {
                self.line(&format!("{}{}", statistics(*step, values.iter()), self.plain_rate()));
            }
            Event::Changed { knob, before, after, .. } => self.line(&format!("{knob}: {before} to {after}")),
            Event::Grid { path, .. } => {
                if let Some(path) = path {
                    self.line(&format!("samples: {}", path.display()));
                }
            }
            Event::Saved { path, .. } => self.line(&format!("checkpoint: {}", path.display())),
            Event::Warning { message } => self.suspended(|| note(false, format_args!("warning: {message}"))),
            Event::Done { end, snapshot } => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
                self.line(match end {
                    End::Finished => "finished",
                    End::Stopped => "stopped; go on with --resume latest",
                    End::Discarded => "stopped without saving",
                });
                // The one result: also in quiet.
                if let Some(snapshot) = snapshot {
                    self.print(&format!("snapshot: {}", snapshot.display()));
                }
            }
        }
    }

    fn line(&self, text: &str) {
        if !self.quiet {
            self.suspended(|| self.print(text));
        }
    }

    /// Writes a line. A reader that goes away (`head`, a terminal that closes) is no reason to stop a run: its folder
    /// has all that is told here.
    fn print(&self, text: &str) {
        if let Err(error) = writeln!(std::io::stdout().lock(), "{}", visible(text))
            && !self.unread.replace(true)
        {
            note(self.quiet, format_args!("stdout takes nothing any more ({error}); the run goes on, see its log.txt"));
        }
    }

    /// Does `work` while the bar is away.
    fn suspended(&self, work: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(work),
            None => work(),
        }
    }

    /// Steps per second and time left, once they are known.
    fn rate(&self) -> String {
        let Some((_, step, steps, elapsed, rate)) = self.last.filter(|last| last.4 > 0.0) else {
            return String::new();
        };
        let left = steps.saturating_sub(step) as f64 / rate;
        let left = self.limit_secs.map_or(left, |limit| left.min(limit - elapsed).max(0.0));
        format!("{rate:.1} steps/s, {} left", duration(left))
    }

    /// Without a bar, each line says it.
    fn plain_rate(&self) -> String {
        let Some((phase, ..)) = self.last.filter(|_| self.bar.is_none()) else { return String::new() };
        format!("  ({phase}, {})", self.rate())
    }
}

/// The numbers that say how training goes; all of them are in the run's stats.jsonl.
fn statistics<'a>(step: u64, values: impl Iterator<Item = (&'a String, &'a f64)>) -> String {
    let shown =
        |name: &str| ["Loss/", "Grad/"].iter().any(|group| name.starts_with(group)) || name.ends_with("/accuracy");
    let shown = values.filter(|(name, _)| shown(name));
    shown.fold(format!("step {step}"), |line, (name, value)| format!("{line}  {name} {value:.4}"))
}

/// `1:02:03` or `2:03`.
fn duration(secs: f64) -> String {
    let secs = Duration::try_from_secs_f64(secs.max(0.0)).unwrap_or(Duration::MAX).as_secs();
    let (hours, minutes, secs) = (secs / 3600, secs / 60 % 60, secs % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{secs:02}") } else { format!("{minutes}:{secs:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        assert_eq!(duration(0.4), "0:00");
        assert_eq!(duration(123.0), "2:03");
        assert_eq!(duration(3723.0), "1:02:03");
        assert!(!duration(f64::INFINITY).is_empty());
    }

    #[test]
    fn lines_show_what_matters() {
        let values = [("Loss/ratio", 1.386), ("Resources/device_bytes", 5e6)];
        let values = values.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(statistics(50, values.iter().map(|(name, value)| (name, value))), "step 50  Loss/ratio 1.3860");
    }
}
