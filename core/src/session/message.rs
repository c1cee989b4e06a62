//! What a session is told, and what it tells: the one protocol of command line, window and page.

use litemap::LiteMap;
use std::path::PathBuf;

use serde::Serialize;

/// What a session can be told.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Go on.
    Play,
    /// Wait after the current step; steps that were asked for and not done are not done.
    Pause,
    /// While waiting: run this update of the present phase once.
    Step(String),
    /// While waiting: run one whole turn, unless one is asked for already.
    Turn,
    /// Change a live setting. Reading text as a number to the last bit takes tables that a browser should not load,
    /// and its page has no such settings.
    #[cfg(feature = "native")]
    Set {
        /// Its name, such as `lr_generator`.
        knob: String,
        /// Its new value, as text.
        value: String,
    },
    /// Send a sample grid now.
    Sample,
    /// Write a checkpoint now.
    Save,
    /// Save and end.
    Stop,
    /// End without saving.
    Discard,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// It reached `steps`, `duration` or `minutes`.
    Finished,
    /// It was told to.
    Stopped,
    /// It was told to, without saving.
    Discarded,
}

/// What a session tells.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The run is set up.
    Started {
        /// Where it writes, if it does.
        folder: Option<PathBuf>,
        /// The device's name.
        device: String,
        /// The data set's name and size.
        data: String,
        /// The file that its first weights came from, if not from chance.
        transfer: Option<PathBuf>,
        /// Its networks, with their numbers of parameters.
        networks: Vec<(&'static str, usize)>,
        /// Steps done before, if it was resumed.
        resumed_at: u64,
    },
    /// A part of the run begins.
    Phase {
        /// Which.
        phase: &'static str,
        /// Turns done before, of all phases.
        step: u64,
    },
    /// How far it is; at most a few times a second.
    Progress {
        /// Where.
        phase: &'static str,
        /// Turns done of this phase.
        step: u64,
        /// Turns of this phase in all.
        steps: u64,
        /// Images seen by the run.
        images: u64,
        /// Seconds that the run has taken, earlier parts included.
        elapsed_secs: f64,
        /// Steps per second, lately.
        rate: f64,
    },
    /// Means since the last line of statistics.
    Statistics {
        /// Turns done, of all phases.
        step: u64,
        /// Values by name, such as `Loss/ratio`.
        values: LiteMap<String, f64>,
    },
    /// A setting has a new value from here on.
    #[cfg(feature = "native")]
    Changed {
        /// Turns done, of all phases.
        step: u64,
        /// Seconds that the run has taken, earlier parts included.
        elapsed_secs: f64,
        /// The setting, such as `lr_critic`.
        knob: String,
        /// Its value until then, as text.
        before: String,
        /// Its value from then on.
        after: String,
    },
    /// Samples of the fixed latents (one-step, averaged weights).
    Grid {
        /// Turns done, of all phases.
        step: u64,
        /// `[n, ..shape]` values, about -1 to 1 for images.
        #[serde(skip)]
        samples: Vec<f32>,
        /// The picture's file, if it was written.
        path: Option<PathBuf>,
    },
    /// A checkpoint was written, or one that was asked for is there already.
    Saved {
        /// Its folder.
        path: PathBuf,
        /// The snapshot of what samples are drawn from, a generator's or a denoiser's.
        #[serde(skip)]
        snapshot: Option<PathBuf>,
    },
    /// Something to know that does not end the run.
    Warning {
        /// In plain words.
        message: String,
    },
    /// The run is over.
    Done {
        /// Why.
        end: End,
        /// The last snapshot of the generator, if one was written.
        snapshot: Option<PathBuf>,
    },
}
