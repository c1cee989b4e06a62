//! Starting other programs: in the workspace's root, under a heading, their output passed on.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use anyhow::{Context, Result};

/// The root of the workspace.
///
/// As `cargo run` names it: two checkouts that share a target folder may also share this program,
/// and the path of its compilation would be that of the other one.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let xtask = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        PathBuf::from(xtask).parent().expect("xtask is a folder of the workspace").to_owned()
    });
    &ROOT
}

/// Where cargo builds.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// The cargo that started this program, to be run in the workspace's root.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// Builds an example and returns it, ready to be run in the workspace's root; `None` if it does not compile. With the
/// whole workspace's features, so that nothing is compiled again that the tests have.
pub fn example(name: &str) -> Result<Option<Command>> {
    let built = cargo(&["build", "--release", "--quiet", "--workspace", "--example", name]).status()?;
    let mut command = Command::new(target_dir().join("release/examples").join(name));
    command.current_dir(root());
    Ok(built.success().then_some(command))
}

/// Says what comes next.
pub fn heading(text: &str) {
    println!("\n==> {text}");
}

/// Prints a heading, runs the command with its output passed on, and tells whether it succeeded.
pub fn run(title: &str, command: &mut Command) -> Result<bool> {
    heading(title);
    let status = command.status().with_context(|| format!("cannot start {}", name(command)))?;
    Ok(status.success())
}

/// As [`run`], and hands each line of standard output to `line` as it appears.
pub fn run_lines(title: &str, command: &mut Command, line: &mut dyn FnMut(&str)) -> Result<bool> {
    heading(title);
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {}", name(command)))?;
    let mut output = BufReader::new(child.stdout.take().expect("standard output is piped"));
    let mut bytes = Vec::new();
    // By bytes: a test may print something that is not UTF-8, and that must not stop the run.
    while output.read_until(b'\n', &mut bytes)? > 0 {
        std::io::stdout().write_all(&bytes)?;
        line(String::from_utf8_lossy(&bytes).trim_end());
        bytes.clear();
    }
    Ok(child.wait()?.success())
}

/// What a silent run left.
#[derive(Debug)]
pub struct Captured {
    /// Whether it succeeded.
    pub ok: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs the command in silence.
pub fn capture(command: &mut Command) -> Result<Captured> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", name(command)))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Captured { ok: output.status.success(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

/// Whether a program is there and answers to these arguments.
pub fn works(program: &str, args: &[&str]) -> bool {
    capture(Command::new(program).args(args)).is_ok_and(|run| run.ok)
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
