//! `cargo xtask mpi`: builds the program with MPI and tests it with several processes on this machine.

use anyhow::{Result, bail};

use crate::{step, vulkan};

/// MPICH, and what its bindings are made with.
const PACKAGES: [&str; 3] = ["mpich", "libmpich-dev", "libclang-dev"];

/// Installs what is missing on Debian, builds, tests.
pub fn run() -> Result<bool> {
    ensure()?;
    // Of the whole workspace, so that dependencies are those of its other builds.
    let build = "build --release --workspace --bin onestep --features onestep/mpi";
    if !step::run(&format!("cargo {build}"), &mut step::cargo(&build.split(' ').collect::<Vec<_>>()))? {
        return Ok(false);
    }
    // A copy: the next build without MPI replaces the program.
    let name = format!("onestep{}", std::env::consts::EXE_SUFFIX);
    let (built, program) = (step::target_dir().join("release").join(&name), step::target_dir().join("mpi").join(&name));
    std::fs::create_dir_all(step::target_dir().join("mpi"))?;
    std::fs::copy(built, &program)?;
    let test = "test --release --workspace --test mpi --features onestep-tests/mpi";
    let mut command = step::cargo(&test.split(' ').collect::<Vec<_>>());
    // Each test uses all processors by itself.
    command.args(["--", "--test-threads", "1"]).env("ONESTEP_MPI_PROGRAM", program);
    step::run(&format!("cargo {test}"), &mut command)
}

fn ensure() -> Result<()> {
    if step::works("mpirun", &["--version"]) && step::works("mpicc", &["-v"]) {
        return Ok(());
    }
    if !std::path::Path::new("/etc/debian_version").exists() {
        bail!("no MPI here; install one with its compiler wrapper, such as MPICH, and libclang");
    }
    vulkan::install(&PACKAGES)
}
