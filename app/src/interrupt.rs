//! Signals that ask for an end. The first one saves; only a second Ctrl-C, pressed on purpose, leaves at once.
//!
//! Whoever closes a terminal or stops a service sends several together (SIGTERM and SIGHUP, or SIGHUP twice), and
//! programs that started this one pass Ctrl-C on, so that it comes twice: what comes together is one wish. A signal
//! that was ignored when the program started stays ignored: that is how `nohup` works.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::output::note;

static REQUESTED: AtomicBool = AtomicBool::new(false);
static BEGUN: AtomicBool = AtomicBool::new(false);

/// Exit code of a program that Ctrl-C ended, by the shells' convention.
const INTERRUPTED: i32 = 130;

/// Signals within this time are one wish.
const TOGETHER: Duration = Duration::from_millis(500);

/// Takes over Ctrl-C and the signals that ask a program to end. Until [`begin`] nothing could be lost, as while data
/// are decoded: the first one leaves at once.
pub fn install(quiet: bool) -> anyhow::Result<()> {
    install_with(quiet, || ())
}

/// As [`install`], for a program that sleeps: `wake` is called so that it looks at [`requested`].
pub fn install_with(quiet: bool, wake: impl Fn() + Send + 'static) -> anyhow::Result<()> {
    let mut wishes = Wishes::default();
    let hear = move |is_ctrl_c| match wishes.hear(is_ctrl_c, Instant::now()) {
        Answer::Save if !BEGUN.load(Ordering::SeqCst) => {
            note(quiet, "ending before anything has begun");
            std::process::exit(INTERRUPTED)
        }
        Answer::Save => {
            REQUESTED.store(true, Ordering::SeqCst);
            note(quiet, "ending after this step, then saving; press Ctrl-C again to leave at once");
            wake();
        }
        Answer::GoOn => {}
        Answer::Leave => std::process::exit(INTERRUPTED),
    };
    listen(hear).context("taking over Ctrl-C")
}

/// From now on there is something to save: whoever does it looks at [`requested`].
pub fn begin() {
    BEGUN.store(true, Ordering::SeqCst);
}

/// Whether the program should come to an end.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// What has been asked for.
#[derive(Default)]
struct Wishes {
    first: Option<Instant>,
}

/// What a signal leads to.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Save,
    GoOn,
    Leave,
}

impl Wishes {
    fn hear(&mut self, is_ctrl_c: bool, now: Instant) -> Answer {
        let Some(first) = self.first else {
            self.first = Some(now);
            return Answer::Save;
        };
        if is_ctrl_c && now.duration_since(first) >= TOGETHER { Answer::Leave } else { Answer::GoOn }
    }
}

/// Calls `hear` on a thread of its own for each signal, with whether it is Ctrl-C's.
#[cfg(unix)]
fn listen(mut hear: impl FnMut(bool) + Send + 'static) -> anyhow::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal));
    let mut signals = signal_hook::iterator::Signals::new(wanted)?;
    let thread = std::thread::Builder::new().name("signals".to_owned());
    let run = move || signals.forever().for_each(|signal| hear(signal == SIGINT));
    thread.spawn(run).map(drop).map_err(crate::no_thread)
}

/// Elsewhere, whatever asks for an end counts as Ctrl-C.
#[cfg(not(unix))]
fn listen(mut hear: impl FnMut(bool) + Send + 'static) -> anyhow::Result<()> {
    Ok(ctrlc::set_handler(move || hear(true))?)
}

#[cfg(unix)]
#[allow(unsafe_code, reason = "only libc tells what happens on a signal; this asks and changes nothing")]
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A terminal that closes sends SIGHUP twice, services SIGTERM and SIGHUP: each pair lost what was not saved yet.
    #[test]
    fn signals_that_come_together_are_one_wish() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut wishes = Wishes::default();
        assert_eq!(wishes.hear(false, at(0)), Answer::Save);
        assert_eq!(wishes.hear(false, at(2)), Answer::GoOn);
        assert_eq!(wishes.hear(true, at(4)), Answer::GoOn, "Ctrl-C, passed on by another program");
        assert_eq!(wishes.hear(false, at(60_000)), Answer::GoOn, "only Ctrl-C is a person who waits");
        assert_eq!(wishes.hear(true, at(60_001)), Answer::Leave);
    }
}
