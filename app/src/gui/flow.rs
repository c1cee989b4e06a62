//! The method as a diagram beside the plane: what goes where in one training step, with the run's latest numbers.
//!
//! Slow motion lights the part that it has come to.

use eframe::egui::{self, Align2, Color32, FontId, Pos2, Rect, Sense, Shape, Stroke, StrokeKind, Vec2, pos2, vec2};

use super::plots::{Charts, short};
use super::run::Run;
use super::slow::Phase;
use super::theme::Theme;
use super::training::View;

/// Narrowest and lowest space in which the words can be read.
const LEAST: Vec2 = vec2(190.0, 230.0);
/// Widest space that the diagram takes.
const WIDEST: f32 = 300.0;
/// Rows of boxes.
const ROWS: f32 = 5.0;

/// A box of the diagram.
struct Part {
    phase: Phase,
    title: &'static str,
    /// The latest number, in words.
    now: String,
    color: Color32,
    rect: Rect,
}

/// Draws the diagram into the right part of `space`, if it fits there.
pub fn show(ui: &mut egui::Ui, space: Rect, run: &Run, theme: &Theme, phase: Option<Phase>) {
    let Some(view) = &run.view else { return };
    if space.width() < LEAST.x || space.height() < LEAST.y || run.in_warmup() {
        return;
    }
    let width = space.width().min(WIDEST);
    let space = Rect::from_min_max(pos2(space.right() - width, space.top()), space.max).shrink(8.0);
    let parts = parts(space, view, &run.charts, theme);
    let [latent, generator, data, noise, ratio, gradient] = &parts;
    let lit = |part: &Part| phase == Some(part.phase);
    arrow(ui, &[below(latent), above(generator)], theme.fake, lit(latent));
    arrow(ui, &[below(generator), over(noise, generator)], theme.fake, lit(latent));
    arrow(ui, &[below(data), over(noise, data)], theme.real, lit(data));
    arrow(ui, &[below(noise), above(ratio)], theme.ratio, lit(noise));
    arrow(ui, &[below(ratio), above(gradient)], theme.ratio, lit(ratio));
    // Back up to the generator, outside of the boxes between.
    let (from, to, aside) = (gradient.rect.left_center(), generator.rect.left_center(), space.left());
    let back = [from, pos2(aside, from.y), pos2(aside, to.y), to];
    arrow(ui, &back, theme.gradient, lit(gradient) || lit(generator));
    for part in &parts {
        let fill = part.color.gamma_multiply(if lit(part) { 0.4 } else { 0.1 });
        let stroke = Stroke::new(if lit(part) { 2.0 } else { 1.0 }, part.color);
        ui.painter().rect(part.rect, 5.0, fill, stroke, StrokeKind::Inside);
        let (words, numbers) = match (ui.visuals().strong_text_color(), ui.visuals().text_color()) {
            (strong, _) if lit(part) => (strong, strong),
            colors => colors,
        };
        let (center, half) = (part.rect.center(), vec2(0.0, part.rect.height() * 0.23));
        ui.painter().text(center - half, Align2::CENTER_CENTER, part.title, FontId::proportional(13.0), words);
        ui.painter().text(center + half, Align2::CENTER_CENTER, &part.now, FontId::proportional(11.0), numbers);
        let response = ui.interact(part.rect, ui.scope_id().with(("flow", part.title)), Sense::hover());
        let text = format!("{}: {}", part.title, part.now);
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &text));
        response.on_hover_text(part.phase.about());
    }
}

fn parts(space: Rect, view: &View, charts: &Charts, theme: &Theme) -> [Part; 6] {
    let pitch = space.height() / ROWS;
    let height = (pitch * 0.68).min(40.0);
    // The way back runs to the left of the boxes.
    let (left, right) = (space.left() + 16.0, space.right());
    let column = (right - left - 10.0) / 2.0;
    let at = |row: f32, x: f32, width: f32| {
        let center = pos2(x + width / 2.0, space.top() + (row + 0.5) * pitch);
        Rect::from_center_size(center, vec2(width, height))
    };
    let latest = |name: &str, words: &dyn Fn(f64) -> String| charts.latest(name).map_or("…".to_owned(), words);
    let config = &view.config;
    let part = |phase, title, now, color, rect| Part { phase, title, now, color, rect };
    let updates = format!("{} updates", view.counters.generator);
    let batch = format!("batch of {}", config.batch);
    let noise = format!("level {} to {}", config.sigma_min, config.sigma_max);
    let (accuracy, network) = if charts.collapsed() {
        ("collapsed: same answer everywhere".to_owned(), theme.alarm)
    } else {
        (latest("Ratio/accuracy", &|share| format!("right in {:.0} %", 100.0 * share)), theme.ratio)
    };
    let pull = latest("Ratio/pull", &|pull| format!("pull {}", short(pull)));
    [
        part(Phase::Data, "Latents", "random".to_owned(), theme.fake, at(0.0, left, column)),
        part(Phase::Generator, "Generator", updates, theme.fake, at(1.0, left, column)),
        part(Phase::Data, "Data", batch, theme.real, at(1.0, right - column, column)),
        part(Phase::Noise, "Noise", noise, theme.ratio, at(2.0, left, right - left)),
        part(Phase::Ratio, "Ratio network", accuracy, network, at(3.0, left, right - left)),
        part(Phase::Gradient, "Gradient", pull, theme.gradient, at(4.0, left, right - left)),
    ]
}

fn above(part: &Part) -> Pos2 {
    part.rect.center_top()
}

fn below(part: &Part) -> Pos2 {
    part.rect.center_bottom()
}

/// The upper edge of a wide box, under the middle of another one.
fn over(wide: &Part, under: &Part) -> Pos2 {
    pos2(under.rect.center().x, wide.rect.top())
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
