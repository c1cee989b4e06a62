//! `cargo xtask bench`: measurements that stand in `docs/benchmarks.md`.

use anyhow::Result;

use crate::{peers, web, window};

#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Images per second, start and size of the page's engine and of onnxruntime-web
    Web {
        /// Measure the page that is in web/dist already
        #[arg(long)]
        no_build: bool,
    },
    /// What the desktop trainer's window costs a run, and how soon it answers a click
    Window {
        /// Measure only cases whose name contains this, and write nothing down
        filter: Option<String>,
        /// Runs without and with a window, in turns
        #[arg(long, default_value_t = 3)]
        pairs: usize,
    },
    /// Training and sampling in onestep, PyTorch, onnxruntime and burn, in turns
    Peers(peers::Options),
}

pub fn run(options: &Options) -> Result<bool> {
    match &options.what {
        What::Web { no_build } => web::bench(*no_build),
        What::Window { filter, pairs } => window::bench(filter.as_deref(), *pairs),
        What::Peers(options) => peers::bench(options),
    }
}
