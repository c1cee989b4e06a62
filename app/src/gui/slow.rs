//! Slow motion: one training step, phase by phase.
//!
//! The session is paused meanwhile; the phases that compute send it single steps.

use std::time::Duration;

use eframe::egui;
use onestep_core::session::Command;
use onestep_core::train::StepKind;

use super::plane::Laboratory;
use super::run::Run;
use super::theme::Theme;

/// A phase of a training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Real points and samples, side by side.
    Data,
    /// Both get noise of the same level.
    Noise,
    /// The ratio network learns to tell them apart.
    Ratio,
    /// Its gradient says where samples should go.
    Gradient,
    /// The generator follows.
    Generator,
}

impl Phase {
    /// In their order.
    pub const ALL: [Self; 5] = [Self::Data, Self::Noise, Self::Ratio, Self::Gradient, Self::Generator];

    /// Name on the flow.
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "Data",
            Self::Noise => "Noise",
            Self::Ratio => "Ratio",
            Self::Gradient => "Gradient",
            Self::Generator => "Generator",
        }
    }

    /// What happens, in a sentence.
    pub fn about(self) -> &'static str {
        match self {
            Self::Data => "A batch of real data, and as many samples, each made in one step from a random latent.",
            Self::Noise => "Both get noise of the same random level.",
            Self::Ratio => {
                "The ratio network learns to tell noised data from noised samples: its logit is the log density ratio."
            }
            Self::Gradient => "The gradient of the log ratio at each sample points to where data are more likely.",
            Self::Generator => {
                "The generator's weights change so that its samples follow the gradient. (The moves are drawn larger than they are.)"
            }
        }
    }

    fn color(self, theme: &Theme) -> egui::Color32 {
        match self {
            Self::Data => theme.real,
            Self::Noise | Self::Ratio => theme.ratio,
            Self::Gradient => theme.gradient,
            Self::Generator => theme.fake,
        }
    }
}

/// Where slow motion is.
#[derive(Default)]
pub struct SlowMotion {
    at: Option<(usize, f64)>,
    /// Seconds that a phase is shown; 0 is read as the default.
    secs: f32,
}

/// Seconds of a phase, unless chosen otherwise.
const DEFAULT_SECS: f32 = 1.5;

impl SlowMotion {
    /// The phase that is shown, if slow motion is on.
    pub fn phase(&self) -> Option<Phase> {
        self.at.map(|(phase, _)| Phase::ALL[phase])
    }

    /// Turns it on or off.
    pub fn toggle(&mut self, run: &mut Run, now: f64) {
        self.at = match self.at {
            Some(_) => None,
            None if run.is_open() => {
                run.pause();
                Some((0, now))
            }
            None => None,
        };
    }

    /// Goes to the next phase when it is time. Call it once a frame.
    pub fn update(&mut self, run: &mut Run, laboratory: &mut Laboratory, context: &egui::Context) {
        let Some((phase, since)) = self.at else { return };
        if run.state != super::run::State::Paused {
            // Somebody pressed play, or the run is over.
            self.at = None;
            return;
        }
        let now = context.input(|input| input.time);
        let secs = if self.secs > 0.0 { self.secs } else { DEFAULT_SECS };
        let left = since + f64::from(secs) - now;
        if left > 0.0 {
            context.request_repaint_after(Duration::from_secs_f64(left));
            return;
        }
        self.enter((phase + 1) % Phase::ALL.len(), now, run, laboratory);
        context.request_repaint();
    }

    fn enter(&mut self, phase: usize, now: f64, run: &mut Run, laboratory: &mut Laboratory) {
        self.at = Some((phase, now));
        let warming_up = run.in_warmup();
        match Phase::ALL[phase] {
            // The warm-up has no ratio network yet: its only step is the denoiser's.
            Phase::Generator if warming_up => run.step(StepKind::Warmup),
            Phase::Ratio if !warming_up => {
                let updates = run.view.as_ref().map_or(1, |view| view.config.ratio_steps);
                for _ in 0..updates {
                    run.training().tell(Command::Step(StepKind::Ratio));
                }
            }
            Phase::Generator => {
                laboratory.remember(run);
                run.step(StepKind::Generator);
            }
            _ => {}
        }
    }

    /// The flow, with the present phase marked.
    pub fn show(&mut self, ui: &mut egui::Ui, theme: &Theme) {
        let Some(current) = self.phase() else { return };
        ui.horizontal_wrapped(|ui| {
            for phase in Phase::ALL {
                if phase != Phase::Data {
                    ui.label(">");
                }
                let mut text = egui::RichText::new(phase.name()).color(phase.color(theme));
                if phase == current {
                    text = text.strong().background_color(phase.color(theme).gamma_multiply(0.25));
                }
                ui.label(text).on_hover_text(phase.about());
            }
            ui.separator();
            if self.secs == 0.0 {
                self.secs = DEFAULT_SECS;
            }
            let label = ui.label("Seconds per phase");
            ui.add(egui::Slider::new(&mut self.secs, 0.3..=6.0).max_decimals(1)).labelled_by(label.id);
        });
        ui.label(current.about());
    }
}
