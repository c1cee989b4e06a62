//! `cargo xtask web`: everything that a visitor's browser loads, as static files in `web/dist`.
//!
//! [`build`] compiles the engine, [`slim`] and [`script`] take out what only people need, [`dist`] lays the files out,
//! [`serve`] hands them to a browser on this machine, [`browser`] runs the tests in one and [`bench`] the
//! benchmark, both on [`harness`].

mod bench;
mod browser;
mod build;
pub mod dist;
mod harness;
mod script;
mod serve;
mod slim;

use anyhow::Result;

use crate::wasm::Toolchain;
pub use bench::bench;
pub use browser::{has_test, test};
pub use harness::{build_program, program};

#[derive(clap::Args)]
pub struct Options {
    /// Build only the engine with vector instructions, in half the time: for development
    #[arg(long)]
    quick: bool,
    /// Where the page will be, so that links to it are shown with their picture elsewhere
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    /// Serve the page on this machine when it is built
    #[arg(long)]
    serve: bool,
    /// Serve what is there already
    #[arg(long, requires = "serve")]
    no_build: bool,
    /// Port to serve on; 0 takes a free one
    #[arg(long, default_value_t = 8080, requires = "serve")]
    port: u16,
}

/// Builds, and serves if that is asked for.
pub fn run(options: &Options) -> Result<bool> {
    if !options.no_build && !make(Toolchain::ensure()?[0], options.quick, options.address.as_deref())? {
        return Ok(false);
    }
    if options.serve {
        let server = serve::Server::start(&dist::folder(), options.port)?;
        println!("serving {} on {} (Ctrl-C ends it)", dist::folder().display(), server.url());
        server.join();
    }
    Ok(true)
}

/// Builds `web/dist`; false if the engine does not compile or the page has become too big.
fn make(toolchain: Toolchain, quick: bool, address: Option<&str>) -> Result<bool> {
    let Some(engine) = build::engine(toolchain, quick)? else { return Ok(false) };
    let sizes = dist::assemble(&engine, toolchain, address)?;
    print!("{sizes}");
    let fits = sizes.within_budget();
    if !fits {
        println!("the page has grown past what is allowed with {toolchain}; the limits are in xtask/src/web/dist.rs");
    }
    Ok(fits)
}
