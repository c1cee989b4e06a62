//! `onestep gui`: the desktop trainer.
//!
//! [`theme`] has the colours of the roles.

pub mod theme;

/// Arguments of `onestep gui`.
#[derive(clap::Args)]
pub struct Args {}

/// Opens the window.
pub fn run(_args: &Args) -> anyhow::Result<()> {
    anyhow::bail!("the window is not built yet")
}
