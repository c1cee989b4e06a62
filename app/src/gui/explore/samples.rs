//! Samples in rows, each from one evaluation of the network; one of them large.

use std::sync::Arc;

use eframe::egui::{Context, Key, Modifiers, Rect, TextureHandle, Ui, vec2};

use super::desk::Desk;
use super::job::{Drawn, Form, Latents, Samples, Slot, Task};
use super::widgets::{GAP, Rows, duration, fit_one, number, picture, stage, status, tile, upload};
use super::{Request, Seeds};
use crate::gui::theme::Theme;

/// A batch of samples.
#[derive(Default)]
pub struct View {
    shown: Option<Shown>,
    selected: Option<usize>,
    textures: Vec<TextureHandle>,
}

struct Shown {
    first: u32,
    samples: Arc<Samples>,
    secs: f64,
}

impl View {
    /// A new batch.
    pub fn take(&mut self, ctx: &Context, drawn: Drawn) {
        let Latents::Seeds { first, .. } = drawn.latents else { return };
        upload(&mut self.textures, ctx, drawn.images);
        self.selected = self.selected.filter(|index| *index < self.textures.len());
        self.shown = Some(Shown { first, samples: drawn.samples, secs: drawn.secs });
    }

    /// The pictures of another model go.
    pub fn forget(&mut self) {
        self.shown = None;
        self.textures.clear();
    }

    /// What a picture would be saved of.
    pub fn samples(&self) -> Option<&Arc<Samples>> {
        self.shown.as_ref().map(|shown| &shown.samples)
    }

    /// The controls and the pictures.
    pub fn show(
        &mut self,
        ui: &mut Ui,
        theme: &Theme,
        desk: &mut Desk,
        seeds: &mut Seeds,
        visible: f32,
    ) -> Option<Request> {
        let mut request = None;
        ui.horizontal_wrapped(|ui| {
            seeds.controls(ui, "Draw again", "How many samples to draw at once.");
            if ui.button("Save picture…").on_hover_text("Write all of these samples as one PNG file.").clicked() {
                request = Some(Request::SavePicture { suggested: format!("samples-seed-{}.png", seeds.first) });
            }
            let chosen = self
                .shown
                .as_ref()
                .map_or(seeds.first, |shown| shown.first.wrapping_add(self.selected.unwrap_or_default() as u32));
            let tip = "Put the seed of the enlarged sample, or else the first one, on the clipboard.";
            if ui.button("Copy seed").on_hover_text(tip).clicked() {
                ui.ctx().copy_text(chosen.to_string());
            }
        });
        let latents = Latents::Seeds { first: seeds.first, count: seeds.count };
        desk.want(Slot::Samples, Task::Draw { latents, form: Form::Each });
        let n = self.textures.len();
        let line = self.shown.as_ref().map(|shown| {
            let (all, each) = (duration(shown.secs), duration(shown.secs / n.max(1) as f64));
            format!("{} with 1 evaluation of the network each: {all} together, {each} per sample", number(n, "sample"))
        });
        status(ui, theme, &desk.state(Slot::Samples), line);
        let Some(shown) = &self.shown else { return request };
        let area = stage(ui, visible);
        if ui.input_mut(|input| self.selected.is_some() && input.consume_key(Modifiers::NONE, Key::Escape)) {
            self.selected = None;
        }
        // A click on a tile shows with the next frame, in a place that is made for it.
        let selected = self.selected;
        let (left, right) = match selected {
            Some(_) => area.split_left_right_at_fraction(0.6),
            None => (area, Rect::NOTHING),
        };
        let Some(size) = self.textures.first().map(TextureHandle::size) else { return request };
        let rows = Rows::fit(ui, left, n, size, 0.0);
        for (i, texture) in self.textures.iter().enumerate() {
            let seed = shown.first.wrapping_add(i as u32);
            let is_selected = selected == Some(i);
            let ring = is_selected.then_some(theme.fake);
            let tip = format!("Seed {seed}: click to enlarge it.");
            if tile(ui, rows.place(i), texture.id(), i, &format!("Sample of seed {seed}"), ring)
                .on_hover_text(tip)
                .clicked()
            {
                self.selected = (!is_selected).then_some(i);
                ui.ctx().request_repaint();
            }
        }
        if let Some(i) = selected {
            let seed = shown.first.wrapping_add(i as u32);
            let text = ui.text_style_height(&eframe::egui::TextStyle::Heading);
            let mut right = right.translate(vec2(GAP, 0.0));
            right.max.x -= GAP;
            let below = Rect::from_min_max(right.min + vec2(0.0, text + GAP), right.max);
            ui.put(Rect::from_min_size(right.min, vec2(right.width(), text)), |ui: &mut Ui| {
                ui.heading(format!("Seed {seed}")).on_hover_text("Escape, or a click on its small picture, closes it.")
            });
            picture(
                ui,
                fit_one(ui, below, size),
                self.textures[i].id(),
                ("enlarged", 0),
                &format!("Sample of seed {seed}, enlarged"),
            );
        }
        request
    }
}
