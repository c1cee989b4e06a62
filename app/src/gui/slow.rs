//! Slow motion: one turn, moment by moment, as the method tells it.
//!
//! The session is paused meanwhile; the moments that compute send it single steps.

use std::time::Duration;

use eframe::egui;
use onestep_core::session::Command;
use onestep_core::train::{Counters, Moment};

use super::plane::Laboratory;
use super::run::Run;
use super::theme::Theme;

/// Where slow motion is.
#[derive(Default)]
pub struct SlowMotion {
    /// Which moment of the story, and since when.
    at: Option<(usize, f64)>,
    /// Seconds that a moment is shown; 0 is read as the default.
    secs: f32,
    /// Whether it makes no steps by itself: a person makes them.
    held: bool,
    /// Phase, and runs of updates in all, that the view shows when the steps of this moment are done.
    awaited: Option<(usize, u32)>,
}

/// Seconds of a moment, unless chosen otherwise.
const DEFAULT_SECS: f32 = 1.5;

/// The story of a turn of the present phase: of what other phases do, nothing. Empty if the method tells none of this
/// phase, such as of a warm-up.
pub fn story(run: &Run) -> Vec<Moment> {
    let (Some(opened), Some(phase)) = (&run.opened, run.phase()) else { return Vec::new() };
    let happens = |update: &str| phase.turn.iter().any(|(_, other)| other.name == update);
    let story = &opened.declared.recipe.story;
    if !story.iter().filter_map(|moment| moment.update).any(happens) {
        return Vec::new();
    }
    story.iter().filter(|moment| moment.update.is_none_or(happens)).copied().collect()
}

impl SlowMotion {
    /// Whether slow motion is on.
    pub fn is_on(&self) -> bool {
        self.at.is_some()
    }

    /// The moment that is shown, if slow motion is on.
    pub fn moment(&self, run: &Run) -> Option<Moment> {
        self.at.and_then(|(moment, _)| story(run).get(moment).copied())
    }

    /// Turns it on or off.
    pub fn toggle(&mut self, run: &mut Run, now: f64) {
        (self.held, self.awaited) = (false, None);
        self.at = match self.at {
            Some(_) => None,
            None if run.is_open() && !story(run).is_empty() => {
                run.pause();
                Some((0, now))
            }
            None => None,
        };
    }

    /// Goes to the next moment when it is time. Call it once a frame.
    pub fn update(&mut self, run: &mut Run, laboratory: &mut Laboratory, context: &egui::Context) {
        let Some((moment, since)) = self.at else { return };
        let moments = story(run).len();
        if run.state != super::run::State::Paused || moments == 0 {
            // Somebody pressed play, or the run is over.
            self.at = None;
            return;
        }
        // The next view comes with a frame.
        self.awaited.take_if(|awaited| run.view.as_ref().is_none_or(|view| are_done(*awaited, &view.counters)));
        if self.held || self.awaited.is_some() {
            return;
        }
        let now = context.input(|input| input.time);
        let secs = if self.secs > 0.0 { self.secs } else { DEFAULT_SECS };
        let left = since + f64::from(secs) - now;
        if left > 0.0 {
            context.request_repaint_after(Duration::from_secs_f64(left));
            return;
        }
        self.at = Some(((moment + 1) % moments, now));
        if let Some(moment) = self.moment(run) {
            self.awaited = make_steps(&moment, run, laboratory);
        }
        context.request_repaint();
    }

    /// The story, with the present moment marked, and a button for each update.
    pub fn show(&mut self, ui: &mut egui::Ui, run: &mut Run, theme: &Theme) {
        let Some(current) = self.moment(run) else { return };
        ui.horizontal_wrapped(|ui| {
            for (number, moment) in story(run).iter().enumerate() {
                if number > 0 {
                    ui.label(">");
                }
                let mut text = egui::RichText::new(moment.name).color(theme.subject(moment.subject));
                if moment.name == current.name {
                    text = text.strong().underline();
                }
                ui.label(text).on_hover_text(moment.about);
            }
            ui.separator();
            if self.secs == 0.0 {
                self.secs = DEFAULT_SECS;
            }
            let label = ui.label("Seconds per moment");
            ui.add(egui::Slider::new(&mut self.secs, 0.3..=6.0).max_decimals(1)).labelled_by(label.id);
            let turn = run.phase().map(|phase| phase.turn.clone()).unwrap_or_default();
            for (_, update) in turn {
                let button = ui.button(format!("{} step", capital(update.name)));
                if button.on_hover_text(format!("{}.", capital(update.about))).clicked() {
                    // Else its own next step could come between.
                    self.held = true;
                    run.step(Command::Step(update.name.to_owned()));
                }
            }
            if self.held {
                let button =
                    ui.button("By itself").on_hover_text("Make the steps by itself again, from this moment on.");
                if button.clicked() {
                    let now = ui.input(|input| input.time);
                    (self.held, self.at) = (false, self.at.map(|(moment, _)| (moment, now)));
                }
            }
        });
        ui.label(current.about);
    }
}

/// Makes the update of a moment as often as a turn does; the phase, and the runs of updates, that are then there.
fn make_steps(moment: &Moment, run: &mut Run, laboratory: &mut Laboratory) -> Option<(usize, u32)> {
    let (update, opened, phase) = (moment.update?, run.opened.as_ref()?, run.phase()?);
    let counters = &run.view.as_ref()?.counters;
    let count = phase.turn.iter().find(|(_, other)| other.name == update);
    let count = count.map_or(0, |(count, _)| count.of(&opened.config));
    if opened.declared.moves(update) {
        laboratory.remember(run);
    }
    let awaited = (counters.phase, counters.runs.saturating_add(count as u32));
    (0..count).for_each(|_| run.step(Command::Step(update.to_owned())));
    Some(awaited)
}

/// Whether the steps of a moment are done, or will not be, since another phase has begun.
fn are_done((phase, runs): (usize, u32), counters: &Counters) -> bool {
    counters.phase != phase || counters.runs >= runs
}

/// The same words with a capital letter in front.
fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a slow device moments passed by before their steps were made, and went on for long after its end.
    #[test]
    fn the_next_moment_waits_for_the_steps_of_this_one() {
        let at = |phase, runs| Counters { phase, runs, ..Counters::default() };
        assert!(!are_done((1, 25), &at(1, 24)));
        assert!(are_done((1, 25), &at(1, 25)));
        assert!(are_done((1, 25), &at(2, 24)), "what is left of the other phase is not made");
    }
}
