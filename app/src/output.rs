//! Results on stdout, notes on stderr.
//!
//! Invariants: a reader that goes away (`onestep plan | head`) ends the program quietly; only a run goes on without. No
//! name in a file that somebody else made changes what a terminal does.

use std::io::{ErrorKind, Write};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// Prints a line of the result.
pub fn print(text: impl std::fmt::Display) -> anyhow::Result<()> {
    match writeln!(std::io::stdout().lock(), "{}", visible(text)) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.context("writing the result"),
    }
}

/// Prints a result as one line of JSON.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(serde_json::to_string(value).context("writing the result as JSON")?)
}

/// JSON for people who compare versions of a file: `head`, whose field `runs` is empty, with a line for each of `runs`.
pub fn json_by_runs(head: &impl Serialize, runs: &[impl Serialize]) -> serde_json::Result<String> {
    let lines = runs.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    let all = format!("\"runs\": [\n    {}\n  ]", lines.join(",\n    "));
    // Quotes inside of a text are escaped, so that it can't look like this.
    Ok(serde_json::to_string_pretty(head)?.replacen("\"runs\": []", &all, 1))
}

/// Prints a note for people, unless they asked for quiet.
pub fn note(quiet: bool, text: impl std::fmt::Display) {
    if !quiet {
        // A note that can't be written is no reason to stop.
        let _ = writeln!(std::io::stderr().lock(), "{}", visible(text));
    }
}

/// A text in which control characters, such as those that begin a command to a terminal, are written out, as in JSON.
pub fn visible(text: impl std::fmt::Display) -> String {
    let text = text.to_string();
    let is_command = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    let mut all = String::with_capacity(text.len());
    for c in text.chars() {
        if is_command(c) {
            // A string takes everything.
            let _ = std::fmt::Write::write_fmt(&mut all, format_args!("\\u{:04x}", c as u32));
        } else {
            all.push(c);
        }
    }
    all
}

/// A bar with rate and time left on stderr; nothing if that is no terminal, or in quiet.
pub fn progress(quiet: bool, len: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::stderr());
    if quiet {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    show_as(&bar, &format!("{{wide_bar}} {{pos}}/{{len}} {what}, {{per_sec}}, {{eta}} left"));
    bar
}

/// Gives a progress bar another template.
pub fn show_as(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

/// A number of bytes for people.
pub fn bytes(count: u64) -> String {
    let units = ["B", "KB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    /// The name of a file in an archive could clear the screen, or give the terminal another title.
    #[test]
    fn commands_to_a_terminal_are_shown_and_not_followed() {
        assert_eq!(super::visible("a\u{1b}[2Jb\u{9b}31m\r\n\tc"), "a\\u001b[2Jb\\u009b31m\\u000d\n\tc");
        assert_eq!(super::visible("mnist, Größe 28"), "mnist, Größe 28");
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(super::bytes(999), "999 B");
        assert_eq!(super::bytes(134_217_728), "134.2 MB");
        assert_eq!(super::bytes(u64::MAX), "18446744.1 TB");
    }
}
