//! A contestant: a program that measures a piece of work when asked, by the protocol of `peers/README.md`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::step;

/// Where contestants are.
pub struct Tools {
    /// What `peer cases` wrote.
    pub cases: PathBuf,
    /// The python that has PyTorch.
    pub python: PathBuf,
    /// Where the workspace of peers is built.
    pub peers: PathBuf,
}

/// Who is compared with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Onestep,
    Torch,
    Onnx,
    Burn,
}

/// One way to compute.
#[derive(Clone, Copy)]
pub struct Contestant {
    pub name: &'static str,
    pub side: Side,
    /// Computes in shaders.
    pub shaders: bool,
    /// What its program is told after the folder of cases and the preset.
    how: &'static [&'static str],
}

const fn contestant(name: &'static str, side: Side, shaders: bool, how: &'static [&'static str]) -> Contestant {
    Contestant { name, side, shaders, how }
}

/// All, onestep first.
pub const ALL: &[Contestant] = &[
    contestant("onestep, processor", Side::Onestep, false, &[]),
    contestant("PyTorch, eager", Side::Torch, false, &["eager"]),
    contestant("PyTorch, channels-last", Side::Torch, false, &["channels-last"]),
    contestant("PyTorch, compiled", Side::Torch, false, &["compiled"]),
    contestant("onnxruntime", Side::Onnx, false, &[]),
    contestant("burn, flex", Side::Burn, false, &["flex"]),
    contestant("onestep, WGSL", Side::Onestep, true, &["gpu"]),
];

impl Contestant {
    /// Whether it does this work of this preset: onnxruntime only samples, and layouts are of images.
    pub fn does(&self, preset: &str, work: &str) -> bool {
        let samples = work.starts_with("sample");
        match self.side {
            Side::Onnx => samples,
            Side::Torch => preset == "mnist" || self.name == "PyTorch, eager",
            Side::Burn => !samples,
            Side::Onestep => !(samples && self.shaders),
        }
    }

    /// What compares it with onestep, if anything does.
    pub fn oracle(&self, tools: &Tools) -> Option<Command> {
        let mut command = match self.side {
            Side::Onestep | Side::Onnx => return None,
            // One for all three: a layout changes no number's meaning.
            Side::Torch if self.name != "PyTorch, eager" => return None,
            Side::Torch => tools.script("oracle.py"),
            Side::Burn => {
                let mut command = tools.burn();
                command.arg("oracle");
                command
            }
        };
        command.arg(&tools.cases);
        if self.side != Side::Torch {
            command.args(self.how);
        }
        Some(command)
    }

    fn command(&self, tools: &Tools, preset: &str) -> Command {
        let mut command = match self.side {
            Side::Onestep => {
                let mut command = Command::new(step::target_dir().join("release/examples/peer"));
                command.arg("serve");
                command
            }
            Side::Torch => tools.script("serve.py"),
            Side::Onnx => tools.script("serve_onnx.py"),
            Side::Burn => {
                let mut command = tools.burn();
                command.arg("serve");
                command
            }
        };
        command.arg(&tools.cases).arg(preset).args(self.how);
        command
    }

    /// Starts it.
    pub fn start(&self, tools: &Tools, preset: &str) -> Result<Running> {
        let mut command = self.command(tools, preset);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not start", self.name))?;
        let output = BufReader::new(child.stdout.take().context("standard output is piped")?);
        let mut running = Running { name: self.name, child, output, versions: String::new() };
        running.versions = running.line()?;
        Ok(running)
    }
}

impl Tools {
    /// A script of `peers/torch`.
    pub fn script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(step::root().join("peers/torch").join(name));
        command
    }

    fn burn(&self) -> Command {
        Command::new(self.peers.join("release/peer-burn"))
    }

    /// Whether this python can import what the scripts need.
    pub fn has_torch(&self) -> bool {
        step::works(&self.python.to_string_lossy(), &["-c", "import numpy, onnxruntime, safetensors, torch"])
    }

    /// With peers built beside the main workspace.
    pub fn new(cases: &Path, python: PathBuf) -> Self {
        Self { cases: cases.to_owned(), python, peers: step::target_dir().join("peers") }
    }
}

/// A contestant that waits for questions.
pub struct Running {
    name: &'static str,
    child: Child,
    output: BufReader<ChildStdout>,
    /// What it says about itself.
    pub versions: String,
}

impl Running {
    /// Seconds per run of a piece of work, or the bytes of `memory`.
    pub fn ask(&mut self, work: &str) -> Result<f64> {
        let input = self.child.stdin.as_mut().context("standard input is piped")?;
        writeln!(input, "{work}").and_then(|()| input.flush()).with_context(|| format!("{} is gone", self.name))?;
        let answer = self.line()?;
        answer.parse().with_context(|| format!("{}, asked for `{work}`: `{answer}` is no number", self.name))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("{} ended without an answer; its last lines say why", self.name);
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It ends at the end of its input; one that is busy is stopped.
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
