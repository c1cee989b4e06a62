//! `config.json`: how a run began, and which settings were changed since, at which step.
//!
//! Invariant: the settings at any step are those of the start with all changes up to that step, so
//! a run that goes on from an earlier checkpoint makes the same changes at the same steps again.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::folder::{read_json, write_json};
use super::{Event, Session, SessionError};
use crate::data::{Density, EMBEDDED, Official, hash_file};
use crate::files::FileError;
use crate::train::{Config, Kind, Knob, KnobError, TrainingData};

/// A setting that got a new value while the run went on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    /// Steps done before it, both phases.
    pub step: u64,
    /// The setting.
    #[serde(deserialize_with = "present_name")]
    pub knob: String,
    /// Its value from then on, as text.
    pub value: String,
}

/// The name that a setting has now, of one that may have had another when the run began.
fn present_name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    Ok(Knob::find(&name).map_or(name, |knob| knob.name.to_owned()))
}

/// The file that a run took its first weights from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Transfer {
    pub file: String,
    pub sha256: String,
}

impl Transfer {
    /// Where the file is, and what is in it.
    pub fn of(file: &Path) -> Result<Self, SessionError> {
        let fail = |error| FileError::new(file, "read the weights", error);
        let whole = fs::canonicalize(file).map_err(fail)?;
        Ok(Self { sha256: hash_file(&whole).map_err(fail)?, file: whole.display().to_string() })
    }
}

/// What the run's data were when it began: a run goes on with the same ones only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pinned {
    /// Points or images.
    pub rows: usize,
    /// Of each.
    pub shape: Vec<usize>,
    /// Of all numbers and labels.
    pub sha256: String,
}

impl Pinned {
    /// Those of data that were read; a density is computed from the settings.
    pub fn of(data: &TrainingData) -> Option<Self> {
        let (rows, shape) = (data.spec.rows, data.spec.shape.clone());
        data.density.is_none().then(|| Self { rows, shape, sha256: data.hash() })
    }
}

/// Where data are: the same from every folder. Names of known data stay names.
pub(super) fn place_of(data: &str) -> String {
    let is_name = Density::parse(data).is_ok() || data == EMBEDDED || Official::parse(data).is_some();
    let whole = std::path::absolute(data).ok().filter(|path| !is_name && path.exists());
    whole.map_or_else(|| data.to_owned(), |path| path.display().to_string())
}

/// What `config.json` holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RunSettings {
    /// Preset's name, for the record.
    #[serde(default)]
    pub preset: String,
    /// Every setting at the start, resolved.
    pub config: Config,
    /// What its data were; runs of earlier versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Pinned>,
    /// Where the first weights came from, if not from chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
    /// What was changed since, in the order of steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

impl RunSettings {
    /// Those of the run in this folder.
    pub fn read(run: &Path) -> Result<Self, SessionError> {
        read_json(&run.join("config.json"), "choose another run")
    }

    /// Takes data from another place from now on: the same ones, which [`RunSettings::pin`] sees to.
    pub fn move_data(&mut self, place: &str) -> Result<(), SessionError> {
        let place = place_of(place);
        if place != place_of(&self.config.data) && self.data.is_none() {
            let problem = format!("this run trains on {}, and a resumed run keeps its settings", self.config.data);
            return Err(KnobError { knob: "data".to_owned(), value: place, problem }.into());
        }
        self.config.data = place;
        Ok(())
    }

    /// Whether these are the data that the run began with; a run that did not say so says it from now on.
    pub fn pin(&mut self, data: &TrainingData) -> Result<(), String> {
        let now = Pinned::of(data);
        match (self.data.take(), &now) {
            (Some(then), Some(now)) if then != *now => {
                let differs = if (then.rows, &then.shape) == (now.rows, &now.shape) {
                    "other content".to_owned()
                } else {
                    format!("{} of {:?} instead of {} of {:?}", now.rows, now.shape, then.rows, then.shape)
                };
                return Err(format!(
                    "its data have changed: {} holds {differs}; give the place of the old data with --data, or start \
                     another run, with --transfer and a snapshot of this one to keep what it has learned",
                    self.config.data
                ));
            }
            _ => self.data = now,
        }
        Ok(())
    }

    /// Replaces the file.
    pub fn write(&self, run: &Path) -> Result<(), SessionError> {
        write_json(&run.join("config.json"), &serde_json::to_value(self).expect("settings have a JSON form"))
    }
}

impl Session {
    /// Makes a change that was asked for, and writes it down.
    pub(super) fn change(&mut self, change: Change) -> Result<(), SessionError> {
        if !self.set(&change)? {
            return Ok(());
        }
        self.to_come.retain(|other| other.knob != change.knob);
        let Some(folder) = &mut self.folder else { return Ok(()) };
        folder.settings.changes.push(change);
        folder.save_changes(&self.to_come)
    }

    /// Makes the changes again that the run made at this step when it was here before.
    pub(super) fn make_changes(&mut self) {
        let step = self.iterations();
        while let Some(change) = self.to_come.pop_front_if(|change| change.step <= step) {
            if let Err(error) = self.set(&change) {
                self.tell(Event::Warning { message: error.to_string() });
            }
            if let Some(folder) = &mut self.folder {
                folder.settings.changes.push(change);
            }
        }
    }

    /// Gives a setting its new value; `false` if it had it.
    fn set(&mut self, change: &Change) -> Result<bool, SessionError> {
        let config = &mut self.trainer.setup.config;
        let before = config.text_of(&change.knob);
        config.set_live(&change.knob, &change.value)?;
        let after = config.text_of(&change.knob);
        if after == before {
            return Ok(false);
        }
        if Knob::find(&change.knob).is_some_and(|knob| knob.kind == Kind::Replan) {
            self.trainer.forget_plans();
        }
        let (step, elapsed_secs) = (self.iterations(), self.elapsed().as_secs_f64());
        let event = Event::Changed { step, elapsed_secs, knob: change.knob.clone(), before, after };
        if self.announced.is_some() {
            self.tell(event);
        } else {
            self.untold.push(event);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_old_runs_have_the_present_names() {
        let change: Change = serde_json::from_str(r#"{"step": 3, "knob": "ratio_steps", "value": "5"}"#).unwrap();
        assert_eq!((change.step, &change.knob[..], &change.value[..]), (3, "critic_steps", "5"));
    }
}
