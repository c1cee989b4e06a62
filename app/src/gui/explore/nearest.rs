//! Is it memorised? Each sample beside the training image that is closest to it.

use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui::{Context, Rect, TextureHandle, Ui, vec2};
use onestep_core::eval::nearest::Neighbour;

use super::desk::{Desk, State};
use super::header::thousands;
use super::job::{Compared, Samples, Slot, Task};
use super::widgets::{Rows, caption, caption_height, number, picture, stage, status, upload};
use super::{Request, Seeds};
use crate::gui::theme::Theme;

/// Width of a pair that has room for both distances, in points.
const ROOMY: f32 = 100.0;

/// Samples and their neighbours.
#[derive(Default)]
pub struct View {
    data: Option<PathBuf>,
    shown: Option<Shown>,
    textures: Vec<TextureHandle>,
}

struct Shown {
    first: u32,
    data: String,
    data_count: usize,
    neighbours: Vec<Neighbour>,
    samples: Arc<Samples>,
}

impl View {
    /// New pairs.
    pub fn take(&mut self, ctx: &Context, compared: Compared) {
        let Compared { first, data, data_count, neighbours, samples, images } = compared;
        upload(&mut self.textures, ctx, images);
        self.shown = Some(Shown { first, data, data_count, neighbours, samples });
    }

    /// Compare with these images.
    pub fn choose(&mut self, data: PathBuf, desk: &mut Desk) {
        self.data = Some(data);
        desk.again(Slot::Nearest);
    }

    /// The pictures of another model go, and the choice of data unless it was trained on the same.
    pub fn forget(&mut self, same_data: bool) {
        self.shown = None;
        self.textures.clear();
        self.data.take_if(|_| !same_data);
    }

    /// What a picture would be saved of.
    pub fn samples(&self) -> Option<&Arc<Samples>> {
        self.shown.as_ref().map(|shown| &shown.samples)
    }

    /// The controls and the pairs.
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
            seeds.controls(ui, "Check others", "How many samples to check; the same as in Samples.");
            let tip = "Compare with the images of a folder, a zip, an IDX or a .npy file.";
            if ui.button("Choose training data…").on_hover_text(tip).clicked() {
                request = Some(Request::ChooseData);
            }
            let tip = "Write the pairs as one PNG file: sample, neighbour, sample, neighbour.";
            if ui.button("Save picture…").on_hover_text(tip).clicked() {
                request = Some(Request::SavePicture { suggested: format!("nearest-seed-{}.png", seeds.first) });
            }
        });
        let task = Task::Nearest { first: seeds.first, count: seeds.count, data: self.data.clone() };
        desk.want(Slot::Nearest, task);
        let state = desk.state(Slot::Nearest);
        let line = self.shown.as_ref().map(|shown| {
            format!(
                "Left a sample, right the closest of {} images of {}, below their distance and that of the next \
                 closest. A sample counts as a copy if it is at least three times closer to one image than to any \
                 other. Distances are Euclidean, for pixels from 0 to 1.",
                thousands(shown.data_count),
                shown.data
            )
        });
        status(ui, theme, &state, line);
        let Some(shown) = self.shown.as_ref().filter(|_| !matches!(state, State::Missing(_))) else { return request };
        let copies = shown.neighbours.iter().filter(|near| near.is_copy()).count();
        let color = if copies > 0 { theme.alarm } else { ui.visuals().strong_text_color() };
        ui.colored_label(color, format!("{copies} of {} are copies.", number(shown.neighbours.len(), "sample")));

        let room = caption_height(ui);
        let area = stage(ui, visible);
        let Some([width, height]) = self.textures.first().map(TextureHandle::size) else { return request };
        let rows = Rows::fit(ui, area, shown.neighbours.len(), [2 * width, height], room);
        for (i, (near, pair)) in shown.neighbours.iter().zip(self.textures.chunks_exact(2)).enumerate() {
            let seed = shown.first.wrapping_add(i as u32);
            let place = rows.place(i);
            let half = Rect::from_min_size(place.min, vec2(place.width() / 2.0, place.height()));
            let (distance, next) = (near.distance, near.second_distance);
            let copy = if near.is_copy() { ", a copy" } else { "" };
            picture(ui, half, pair[0].id(), ("sample", i), &format!("Sample of seed {seed}"))
                .on_hover_text(format!("Seed {seed}."));
            let name = format!("Training image {}, at distance {distance:.2}{copy}", near.index);
            let tip = format!("Image {} of {}.", near.index, shown.data);
            picture(ui, half.translate(vec2(half.width(), 0.0)), pair[1].id(), ("neighbour", i), &name)
                .on_hover_text(tip);
            let color = if near.is_copy() { theme.alarm } else { ui.visuals().text_color() };
            let text = match place.width() {
                ..ROOMY => format!("{distance:.1}"),
                _ => format!("{distance:.1} (next {next:.1}{copy})"),
            };
            caption(ui, place, &text, color);
        }
        request
    }
}
