//! Best of N: the ratio network ranks candidates.

use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui::{Context, TextureHandle, Ui};

use super::Request;
use super::desk::{Desk, State};
use super::job::{Ranked, Samples, Slot, Task};
use super::widgets::{Rows, caption, caption_height, count, duration, reroll, seed, stage, status, tile, upload};
use crate::gui::theme::Theme;

/// Most candidates.
const MOST: usize = 64;

/// Ranked candidates.
pub struct View {
    seed: u32,
    candidates: usize,
    ratio: Option<PathBuf>,
    shown: Option<Shown>,
    textures: Vec<TextureHandle>,
}

struct Shown {
    seeds: Vec<u32>,
    scores: Vec<f32>,
    samples: Arc<Samples>,
    secs: f64,
}

impl Default for View {
    fn default() -> Self {
        Self { seed: 0, candidates: 8, ratio: None, shown: None, textures: Vec::new() }
    }
}

/// Two digits, and no minus in front of nothing.
fn digits(score: f32) -> String {
    let text = format!("{score:.2}");
    if text == "-0.00" { "0.00".into() } else { text }
}

impl View {
    /// New candidates.
    pub fn take(&mut self, ctx: &Context, ranked: Ranked) {
        let Ranked { seeds, scores, samples, images, secs } = ranked;
        upload(&mut self.textures, ctx, images);
        self.shown = Some(Shown { seeds, scores, samples, secs });
    }

    /// Judge with this ratio network.
    pub fn choose(&mut self, ratio: PathBuf, desk: &mut Desk) {
        self.ratio = Some(ratio);
        desk.again(Slot::Best);
    }

    /// The pictures go, and the ratio network of another model.
    pub fn forget(&mut self, same_model: bool) {
        self.shown = None;
        self.textures.clear();
        self.ratio.take_if(|_| !same_model);
    }

    /// What a picture would be saved of.
    pub fn samples(&self) -> Option<&Arc<Samples>> {
        self.shown.as_ref().map(|shown| &shown.samples)
    }

    /// The controls and the candidates.
    pub fn show(&mut self, ui: &mut Ui, theme: &Theme, desk: &mut Desk, visible: f32) -> Option<Request> {
        let mut request = None;
        let state = desk.state(Slot::Best);
        ui.horizontal_wrapped(|ui| {
            if reroll(ui, "Draw other candidates", "The candidates of the next seed") {
                self.seed = self.seed.wrapping_add(1);
            }
            seed(ui, "Seed", &mut self.seed);
            count(ui, "candidates", &mut self.candidates, MOST, "How many to draw; the best one is kept.");
            if ui
                .button("Save picture…")
                .on_hover_text("Write the candidates as one PNG file, the best first.")
                .clicked()
            {
                request = Some(Request::SavePicture { suggested: format!("best-of-{}.png", self.candidates) });
            }
            let tip = "Judge with another ratio network than the one beside the generator.";
            if ui.button("Choose ratio network…").on_hover_text(tip).clicked() {
                request = Some(Request::ChooseRatio);
            }
            let is_stuck = matches!(state, State::Missing(_) | State::Failed(_));
            if is_stuck && ui.button("Look again").on_hover_text("Try again, after files have been moved.").clicked() {
                desk.again(Slot::Best);
            }
        });
        let (seed, candidates, ratio) = (self.seed, self.candidates as u32, self.ratio.clone());
        desk.want(Slot::Best, Task::Best { seed, candidates, ratio });
        let line = self.shown.as_ref().map(|shown| {
            let mean = shown.scores.iter().sum::<f32>() / shown.scores.len().max(1) as f32;
            let best = shown.scores.first().copied().unwrap_or_default();
            format!(
                "Best score {}, mean {}, {} with both networks. A score is the logarithm of how much likelier a sample \
                 is among the data than among generated ones.",
                digits(best),
                digits(mean),
                duration(shown.secs)
            )
        });
        status(ui, theme, &state, line);
        let Some(shown) = self.shown.as_ref().filter(|_| !matches!(state, State::Missing(_))) else { return request };

        let room = caption_height(ui);
        let area = stage(ui, visible);
        let Some(size) = self.textures.first().map(TextureHandle::size) else { return request };
        let rows = Rows::fit(ui, area, self.textures.len(), size, room);
        for (i, (texture, (seed, score))) in self.textures.iter().zip(shown.seeds.iter().zip(&shown.scores)).enumerate()
        {
            let (score, rank) = (digits(*score), if i == 0 { "kept" } else { "candidate" });
            let ring = (i == 0).then_some(theme.ratio);
            let name = format!("Seed {seed}, score {score}, {rank}");
            let tip = format!("Seed {seed}: click to copy it.");
            if tile(ui, rows.place(i), texture.id(), i, &name, ring).on_hover_text(tip).clicked() {
                ui.ctx().copy_text(seed.to_string());
            }
            caption(ui, rows.place(i), &score, ring.unwrap_or_else(|| ui.visuals().text_color()));
        }
        request
    }
}
