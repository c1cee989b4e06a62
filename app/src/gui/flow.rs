//! The method's story as a diagram beside the plane: what happens in one turn, with the run's latest numbers.
//!
//! Slow motion lights the part that it has come to. A method without a story has no diagram.

use eframe::egui::{self, Align2, Color32, FontId, Pos2, Rect, Sense, Shape, Stroke, StrokeKind, Vec2, pos2, vec2};
use onestep_core::train::Moment;

use super::plots::short;
use super::run::Run;
use super::slow::story;
use super::theme::Theme;
use super::training::View;

/// Narrowest and lowest space in which the words can be read.
pub const LEAST: Vec2 = vec2(190.0, 230.0);
/// Widest space that the diagram takes.
pub const WIDEST: f32 = 300.0;
/// Highest box, and the most that lies from one to the next.
const BOX: f32 = 40.0;
const PITCH: f32 = 90.0;

/// Draws the diagram into the right part of `space`, if it fits there.
pub fn show(ui: &mut egui::Ui, space: Rect, run: &Run, theme: &Theme, current: Option<Moment>) {
    let Some(view) = &run.view else { return };
    let story = story(run);
    if space.width() < LEAST.x || space.height() < LEAST.y || story.is_empty() {
        return;
    }
    let width = space.width().min(WIDEST);
    let space = Rect::from_min_max(pos2(space.right() - width, space.top()), space.max).shrink(8.0);
    let pitch = (space.height() / story.len() as f32).min(PITCH);
    let top = space.center().y - pitch * story.len() as f32 / 2.0;
    let rects: Vec<Rect> = (0..story.len())
        .map(|row| {
            let center = pos2(space.center().x + 8.0, top + (row as f32 + 0.5) * pitch);
            Rect::from_center_size(center, vec2(space.width() - 16.0, (pitch * 0.68).min(BOX)))
        })
        .collect();
    let lit = |moment: &Moment| current.is_some_and(|current| current.name == moment.name);
    for (row, moment) in story.iter().enumerate() {
        let color = theme.subject(moment.subject);
        match rects.get(row + 1) {
            Some(next) => arrow(ui, &[rects[row].center_bottom(), next.center_top()], color, lit(moment)),
            None if row > 0 => {
                // Back to the start, outside of the boxes.
                let (from, to, aside) = (rects[row].left_center(), rects[0].left_center(), space.left());
                arrow(ui, &[from, pos2(aside, from.y), pos2(aside, to.y), to], color, lit(moment));
            }
            None => {}
        }
    }
    let alarm = run.alarm();
    for (moment, rect) in story.iter().zip(rects) {
        let (now, color) = match &alarm {
            Some(alarm) if moment.statistic.is_some() => {
                (alarm.about.split(':').next().unwrap_or_default().to_owned(), theme.alarm)
            }
            _ => (latest(moment, view, run), theme.subject(moment.subject)),
        };
        part(ui, rect, moment, &now, color, lit(moment));
    }
}

fn part(ui: &egui::Ui, rect: Rect, moment: &Moment, now: &str, color: Color32, lit: bool) {
    let fill = color.gamma_multiply(if lit { 0.4 } else { 0.1 });
    ui.painter().rect(rect, 5.0, fill, Stroke::new(if lit { 2.0 } else { 1.0 }, color), StrokeKind::Inside);
    let words = ui.visuals().strong_text_color();
    let half = if now.is_empty() { Vec2::ZERO } else { vec2(0.0, rect.height() * 0.23) };
    let (title, number) = (FontId::proportional(13.0), FontId::proportional(11.0));
    ui.painter().text(rect.center() - half, Align2::CENTER_CENTER, moment.name, title, words);
    ui.painter().text(rect.center() + half, Align2::CENTER_CENTER, now, number, words);
    let response = ui.interact(rect, ui.scope_id().with(("flow", moment.name)), Sense::hover());
    let text = format!("{}: {now}", moment.name);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &text));
    response.on_hover_text(moment.about);
}

/// The latest number of a moment, in words.
fn latest(moment: &Moment, view: &View, run: &Run) -> String {
    match (moment.statistic, moment.update) {
        (Some(name), _) => {
            let word = name.rsplit('/').next().unwrap_or(name).replace('_', " ");
            run.charts.latest(name).map_or("…".to_owned(), |value| format!("{word} {}", short(value)))
        }
        (None, Some(update)) => format!("{} updates", view.counters.of(update)),
        (None, None) => String::new(),
    }
}

/// A line through these places with a head at its end.
fn arrow(ui: &egui::Ui, places: &[Pos2], color: Color32, lit: bool) {
    let stroke = if lit { Stroke::new(3.0, color) } else { Stroke::new(1.2, color.gamma_multiply(0.7)) };
    let [.., before, end] = places else { return };
    let along = (*end - *before).normalized();
    let (tip, across) = (*end - along * 1.0, along.rot90() * 3.5);
    ui.painter().line(places.to_vec(), stroke);
    let back = tip - along * 6.0;
    ui.painter().add(Shape::convex_polygon(vec![tip, back + across, back - across], stroke.color, Stroke::NONE));
}
