//! Errors as one line on stderr and an exit code: 1 if work failed, 2 if the request was wrong.

use std::process::ExitCode;

use anyhow::Error;
use onestep_core::data::DataError;
use onestep_core::eval::EvalError;
use onestep_core::eval::lenet::LenetError;
use onestep_core::exec::ExecError;
use onestep_core::model::{ModelError, ModelProblem};
use onestep_core::nets::ConfigError;
use onestep_core::sampling::SamplingError;
use onestep_core::train::{KnobError, TrainError};

use crate::output::note;

/// Work failed, or training diverged.
const FAILED: u8 = 1;
/// The request cannot be done as it stands.
const BAD_INPUT: u8 = 2;

/// A request that cannot be done, in words that name the fix.
#[derive(Debug)]
pub struct BadInput(pub String);

impl std::fmt::Display for BadInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}

/// A [`BadInput`] from a format string, as [`anyhow::Error`].
macro_rules! bad_input {
    ($($argument:tt)*) => { anyhow::Error::new($crate::exit::BadInput(format!($($argument)*))) };
}
pub(crate) use bad_input;

/// What another process has said already: only the exit code is left to pass on.
#[derive(Debug)]
pub struct Told(pub u8);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("another process has failed")
    }
}

impl std::error::Error for Told {}

/// Marks errors that are found before any work is done, such as an output folder that can't be
/// written: they are the request's fault.
pub trait BeforeWork<T> {
    /// The same result; its error ends in exit code 2.
    fn before_work(self) -> anyhow::Result<T>;
}

impl<T, E: Into<Error>> BeforeWork<T> for Result<T, E> {
    fn before_work(self) -> anyhow::Result<T> {
        self.map_err(|error| bad_input!("{:#}", error.into()))
    }
}

/// Prints what clap has to say: help as it is, an error as one line.
pub fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Help goes to stdout, where nobody may be reading any more.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(BAD_INPUT);
    }
    let text = error.render().to_string();
    let text = text.split("\n\nUsage:").next().unwrap_or_default();
    let text = text.split("\n\nFor more information").next().unwrap_or_default();
    report(text.trim_start_matches("error: "));
    ExitCode::from(BAD_INPUT)
}

/// Prints an error, and says how the program ends.
pub fn failure(error: &Error) -> ExitCode {
    if let Some(Told(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    report(&format!("{error:#}"));
    ExitCode::from(code(error))
}

/// Whatever its length, an error is one line: that is what scripts read.
fn report(text: &str) {
    // Where nobody reads, the exit code still says it.
    note(false, format_args!("error: {}", one_line(text)));
}

/// Without line breaks and runs of spaces; what stood on lines of its own follows a semicolon.
pub fn one_line(text: &str) -> String {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = text.lines().map(words).filter(|line| !line.is_empty()).collect();
    lines.iter().enumerate().fold(String::new(), |mut all, (i, line)| {
        if i > 0 {
            all.push_str(if all.ends_with(':') { " " } else { "; " });
        }
        all + line
    })
}

/// The exit code of an error.
pub fn code(error: &Error) -> u8 {
    let bad = error.chain().any(|cause| {
        let model = cause.downcast_ref().is_some_and(|e: &ModelError| !matches!(e.problem, ModelProblem::Write { .. }));
        let data = cause.downcast_ref().is_some_and(|e: &DataError| {
            !matches!(e, DataError::File(_) | DataError::Download { .. } | DataError::Stopped { .. })
        });
        // What wraps it without words of its own is not in the chain beside it.
        let device = cause.downcast_ref().is_some_and(is_bad_device)
            || matches!(cause.downcast_ref(), Some(TrainError::Exec(error)) if is_bad_device(error))
            || matches!(cause.downcast_ref(), Some(SamplingError::Exec(error)) if is_bad_device(error))
            || matches!(cause.downcast_ref(), Some(LenetError::Exec(error)) if is_bad_device(error));
        let setting = matches!(cause.downcast_ref(), Some(EvalError::Setting { .. }))
            || matches!(cause.downcast_ref(), Some(LenetError::Shape { .. }));
        model
            || data
            || device
            || setting
            || cause.is::<BadInput>()
            || cause.is::<KnobError>()
            || cause.is::<ConfigError>()
    });
    if bad { BAD_INPUT } else { FAILED }
}

fn is_bad_device(error: &ExecError) -> bool {
    matches!(error, ExecError::NoAdapter(_) | ExecError::Limit { .. } | ExecError::NoMemory { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use onestep_core::files::FileError;

    #[test]
    fn errors_are_one_line() {
        assert_eq!(one_line("error:\n  a   b\n\n  c"), "error: a b; c");
        assert_eq!(one_line("plain"), "plain");
    }

    #[test]
    fn wrong_requests_and_failed_work_have_their_codes() {
        assert_eq!(code(&bad_input!("no")), BAD_INPUT);
        let none = || ExecError::NoAdapter("gpu".into());
        let wrapped = [none().into(), TrainError::Exec(none()).into(), SamplingError::Exec(none()).into()];
        assert!(wrapped.iter().chain([&LenetError::Exec(none()).into()]).all(|error| code(error) == BAD_INPUT));
        assert_eq!(code(&bad_input!("no").context("while reading")), BAD_INPUT);
        assert_eq!(code(&ExecError::NoAdapter("none".into()).into()), BAD_INPUT);
        assert_eq!(code(&TrainError::Exec(ExecError::NoAdapter("none".into())).into()), BAD_INPUT);
        assert_eq!(code(&ExecError::DeviceLost("gone".into()).into()), FAILED);
        let full = || FileError::new("out".as_ref(), "write", std::io::ErrorKind::StorageFull.into());
        assert_eq!(code(&full().into()), FAILED);
        assert_eq!(code(&Err::<(), _>(full()).before_work().unwrap_err()), BAD_INPUT);
    }
}
