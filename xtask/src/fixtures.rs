//! `cargo xtask fixtures`: the embedded data set, made again from the original files.

use std::path::PathBuf;

use anyhow::Result;

use crate::step;

#[derive(clap::Args)]
pub struct Options {
    /// Folder with the four original MNIST files (IDX, plain or gzipped)
    mnist: PathBuf,
}

/// Runs the example that makes `assets/mnist-10k.idx.gz`.
pub fn run(options: &Options) -> Result<bool> {
    let mnist = std::path::absolute(&options.mnist)?;
    let mut command =
        step::cargo(&["run", "--release", "--package", "onestep-core", "--example", "make_mnist_subset", "--"]);
    command.arg(mnist).arg(step::root().join("assets/mnist-10k.idx.gz"));
    step::run("assets/mnist-10k.idx.gz from the original files", &mut command)
}
