//! The charts as a user meets them: by label, pointer and wheel, without a screen.

use std::time::Instant;

use eframe::egui::{
    self, Event, Modifiers, MouseWheelSource, MouseWheelUnit, PointerButton, Pos2, TouchPhase, Vec2, vec2,
};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};

use onestep_core::train::{Alarm, Config, Preset, Setup, Statistic, TrainingData, Update};

use super::*;

struct Host {
    charts: Charts,
    request: Option<Request>,
}

fn window(charts: Charts, size: Vec2) -> Harness<'static, Host> {
    let show = |ui: &mut egui::Ui, host: &mut Host| {
        let theme = Theme::of(ui);
        host.request = host.charts.show(ui, &theme, &[]).or(host.request.take());
    };
    // Fast enough for a double click.
    Harness::builder().with_size(size).with_step_dt(0.05).build_ui_state(show, Host { charts, request: None })
}

fn values(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

/// What density-ratio distillation declares.
fn declared() -> Declared {
    let data = TrainingData::points("two", &[[0.5, 0.0], [-0.5, 0.0]]);
    let config = Preset::find("gaussians").expect("a preset").config();
    let config = Config { warmup_steps: 5, ..config };
    let setup = Setup { network: data.network(&config), data: data.spec.clone(), config };
    let recipe = setup.recipe();
    let of = |update: Update| (update, update.declared(&setup, &recipe).statistics, false);
    Declared { updates: recipe.updates().into_iter().map(of).collect(), recipe }
}

/// The names of its statistics.
fn statistics() -> Vec<String> {
    let of =
        |(_, statistics, _): (Update, Vec<Statistic>, bool)| statistics.into_iter().map(|statistic| statistic.name);
    declared().updates.into_iter().flat_map(of).collect()
}

/// Its charts.
fn empty() -> Charts {
    let mut charts = Charts::new();
    charts.declare(&declared());
    charts
}

/// A run of `lines` lines of statistics, 50 steps apart, that warms up for a tenth of it.
fn run(lines: u64) -> Charts {
    let (mut charts, names) = (empty(), statistics());
    for i in 1..=lines {
        let t = i as f64;
        let noise = (t * 12.9898).sin().abs();
        let own = if i * 10 <= lines {
            values(&[("Loss/warmup", 1.0 / t + noise), ("Grad/warmup", noise)])
        } else {
            let mut own = values(&[("Timing/ms_per_step", 20.0 + noise)]);
            for name in names.iter().filter(|name| !name.ends_with("warmup")) {
                let value = match name.split_once('/') {
                    Some(("Loss", _)) => 1.3 + 0.1 * noise,
                    Some(("Grad", "generator")) => 0.0,
                    Some(("Grad", _)) if i % 1000 == 0 => f64::NAN,
                    Some(("Grad", _)) => 1e3 * noise,
                    Some((_, "accuracy")) => 0.5 + 0.3 / t,
                    _ => noise,
                };
                own.insert(name.clone(), value);
            }
            own
        };
        charts.add(50 * i, &own);
    }
    charts.set_levels(
        &[0.0, f32::NAN, 0.9, 0.8, 0.7, 0.6, 0.55, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.48],
        [0.02, 80.0],
    );
    charts.phase(500, "distillation");
    charts.change(1000, 9.0, "lr_critic", ["0.0001", "0.0002"], false);
    charts
}

/// The chart whose text alternative starts with `title`.
fn chart<'h>(harness: &'h Harness<'_, Host>, title: &str) -> egui_kittest::Node<'h> {
    let title = format!("{title}: ");
    harness.get_by(move |node| node.role() == egui::Role::Image && node.label().is_some_and(|l| l.starts_with(&title)))
}

#[test]
fn a_hundred_thousand_points_show_at_any_size() {
    for size in
        [[1024.0, 200.0], [1920.0, 260.0], [3840.0, 700.0], [640.0, 150.0], [240.0, 130.0], [100.0, 30.0], [1.0, 1.0]]
    {
        let charts = run(100_000);
        let start = Instant::now();
        let mut harness = window(charts, size.into());
        harness.run_steps(3);
        let first = start.elapsed();
        harness.state_mut().charts.add(6_000_000, &values(&[("Loss/ratio", 1.0)]));
        let start = Instant::now();
        harness.run_steps(20);
        println!("{size:?}: {first:?} until it shows, then {:?} per frame", start.elapsed() / 20);
        harness.get_by_label(if size[0] < 600.0 { "Curves" } else { "Save picture" });
        chart(&harness, "Loss");
        let panels = harness.state_mut().charts.panels.iter_mut();
        panels.for_each(|panel| panel.log = !panel.log);
        harness.run_steps(3);
    }
}

#[test]
fn without_values_charts_say_so() {
    let harness = window(empty(), vec2(2000.0, 200.0));
    assert_eq!(harness.state().charts.shown.len(), 8);
    for chart in &harness.state().charts.shown {
        harness.get_by_label(&format!("{}: no values yet", chart.title));
    }
}

#[test]
fn odd_values_do_no_harm() {
    let odd = [0.0, -0.0, 1e38, -1e38, 1e-40, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, f64::MAX, 5.0, 5.0];
    for log in [false, true] {
        let mut charts = empty();
        charts.set_levels(&[f32::NAN; 16], [f32::NAN, 0.0]);
        charts.panels.iter_mut().for_each(|panel| panel.log = log);
        let mut harness = window(charts, vec2(2000.0, 200.0));
        for (step, value) in [0, 1, 5, 5, 3, u64::MAX - 1, u64::MAX, 7, 8, 9, 10].into_iter().zip(odd) {
            let names = statistics().into_iter().chain(["Quality/kl_grid", "Timing/ms_per_step"].map(str::to_owned));
            harness.state_mut().charts.add(step, &names.map(|name| (name, value)).collect());
            harness.run_steps(2);
        }
    }
}

#[test]
fn a_chart_has_a_text_alternative() {
    let mut charts = empty();
    charts.add(100, &values(&[("Loss/warmup", 2.0)]));
    charts.add(500, &values(&[("Loss/ratio", 1.23), ("Loss/generator", 0.4)]));
    charts.set_levels(&[0.9, 0.5, 0.0, 0.0], [0.02, 80.0]);
    let harness = window(charts, vec2(1024.0, 200.0));
    harness.get_by_label("Loss: ratio 1.23, generator 0.4 at step 500; warmup 2 at step 100");
    harness.get_by_label("Ratio accuracy by noise level: mean 0.7, 0.5 to 0.9; at 0.5 it can't tell");
}

#[test]
fn quality_replaces_accuracy_once_it_is_known() {
    let mut harness = window(run(100), vec2(1024.0, 200.0));
    let label = |harness: &Harness<'_, Host>| chart(harness, "Quality").accesskit_node().label();
    assert!(label(&harness).unwrap().contains("accuracy 0.5"));
    harness.state_mut().charts.add(4000, &values(&[("Quality/fid_lenet", 3.5), ("Quality/modes", 8.0)]));
    harness.run_steps(2);
    assert_eq!(label(&harness).as_deref(), Some("Quality: FID (LeNet) 3.5 at step 4000"));
}

#[test]
fn buttons_ask_the_host() {
    let mut harness = window(run(1000), vec2(1024.0, 200.0));
    let mut click = |label: &str| {
        harness.get_by_label(label).click();
        harness.run_steps(4);
        harness.state_mut().request.take()
    };
    assert_eq!(click("Save CSV"), Some(Request::SaveCsv));
    assert_eq!(click("Compare with a run"), Some(Request::ChooseComparison));
    let Some(Request::SavePng(rect)) = click("Save picture") else { panic!("no request for a picture") };
    let plot = chart(&harness, "Loss").rect();
    assert!(rect.contains_rect(plot), "{plot:?} is not in {rect:?}");
    assert!(rect.max.x <= 1024.0 && rect.max.y <= 201.0, "{rect:?}");
}

#[test]
fn smoothing_and_scale_have_controls() {
    let mut harness = window(run(1000), vec2(1024.0, 200.0));
    let slider = harness.get_by_role_and_label(egui::Role::Slider, "Smoothing");
    slider.set_value_accesskit(0.9);
    harness.run_steps(2);
    assert!((harness.state().charts.smoothing - 0.9).abs() < 1e-6);

    let before: Vec<bool> = harness.state().charts.panels.iter().map(|panel| panel.log).collect();
    harness.get_all_by_label("Logarithmic").next().expect("Loss has one").click();
    harness.run_steps(4);
    let after: Vec<bool> = harness.state().charts.panels.iter().map(|panel| panel.log).collect();
    assert_eq!((before[0], after[0]), (false, true));
    assert_eq!(before[1..], after[1..]);
}

#[test]
fn every_chart_can_be_reached_in_a_narrow_window() {
    let mut harness = window(run(1000), vec2(480.0, 200.0));
    let mut seen = Vec::new();
    loop {
        let charts = &harness.state().charts.shown;
        let visible = charts.iter().filter(|c| harness.query_by_label_contains(&format!("{}: ", c.title)).is_some());
        let visible: Vec<String> = visible.map(|chart| chart.title.clone()).collect();
        seen.extend(visible.into_iter().filter(|title| !seen.contains(title)).collect::<Vec<_>>());
        if harness.state().charts.first + 2 >= harness.state().charts.shown.len() {
            break;
        }
        harness.get_by_label("Next charts").click();
        harness.run_steps(4);
    }
    let charts = &harness.state().charts;
    assert_eq!(seen, charts.shown.iter().map(|chart| chart.title.clone()).collect::<Vec<_>>());
    let (before, all) = (charts.first, charts.shown.len());
    harness.get_by_label("Previous charts").click();
    harness.run_steps(4);
    assert_eq!((before, harness.state().charts.first), (all - 2, all - 4));
}

fn wheel(harness: &mut Harness<'_, Host>, at: Pos2, delta: Vec2) {
    harness.hover_at(at);
    harness.step();
    let (unit, phase, modifiers) = (MouseWheelUnit::Point, TouchPhase::Move, Modifiers::NONE);
    let source = MouseWheelSource::Unknown;
    harness.event(Event::MouseWheel { unit, delta, phase, source, modifiers });
    harness.run_steps(30); // a wheel turns smoothly
}

#[test]
fn the_view_follows_until_the_user_zooms() {
    let mut harness = window(run(1000), vec2(1024.0, 200.0));
    assert_eq!(harness.state().charts.steps(), [50.0, 50_000.0]);
    harness.state_mut().charts.add(60_000, &values(&[("Loss/ratio", 1.0)]));
    harness.run_steps(2);
    assert_eq!(harness.state().charts.steps(), [50.0, 60_000.0], "it follows");

    let center = chart(&harness, "Gradient norm").rect().center();
    wheel(&mut harness, center, vec2(0.0, 100.0));
    let zoomed = harness.state().charts.steps();
    assert!(zoomed[0] > 1000.0 && zoomed[1] < 50_000.0, "{zoomed:?}");
    harness.state_mut().charts.add(90_000, &values(&[("Loss/ratio", 1.0)]));
    harness.run_steps(2);
    assert_eq!(harness.state().charts.steps(), zoomed, "it stays");

    wheel(&mut harness, center, vec2(-50.0, 0.0));
    let moved = harness.state().charts.steps();
    assert!(moved[0] > zoomed[0] && (moved[1] - moved[0] - zoomed[1] + zoomed[0]).abs() < 1.0, "{moved:?}");

    // Dragging moves all charts by the same steps.
    let loss = chart(&harness, "Loss").rect().center();
    harness.drag_at(loss);
    harness.step();
    harness.hover_at(loss + vec2(40.0, 5.0));
    harness.step();
    harness.drop_at(loss + vec2(40.0, 5.0));
    harness.run_steps(3);
    let dragged = harness.state().charts.steps();
    assert!(dragged[0] < moved[0] && harness.state().charts.panels[0].y.is_none(), "{dragged:?}");

    // A double click shows everything again, a button does as well.
    for _ in 0..2 {
        for pressed in [true, false] {
            let (button, modifiers) = (PointerButton::Primary, Modifiers::NONE);
            harness.event(Event::PointerButton { pos: loss, button, pressed, modifiers });
        }
    }
    harness.run_steps(4);
    assert_eq!(harness.state().charts.steps(), [50.0, 90_000.0]);
    wheel(&mut harness, center, vec2(0.0, -100.0));
    assert_ne!(harness.state().charts.steps(), [50.0, 90_000.0]);
    harness.get_by_label("Show all").click();
    harness.run_steps(4);
    assert_eq!(harness.state().charts.steps(), [50.0, 90_000.0]);
}

#[test]
fn a_box_chooses_steps_and_values() {
    let mut harness = window(run(1000), vec2(1024.0, 200.0));
    let rect = chart(&harness, "Loss").rect();
    let (button, modifiers) = (PointerButton::Secondary, Modifiers::NONE);
    let [from, to] = [rect.lerp_inside(vec2(0.2, 0.3)), rect.lerp_inside(vec2(0.5, 0.8))];
    harness.hover_at(from);
    harness.event(Event::PointerButton { pos: from, button, pressed: true, modifiers });
    // Where a drag is noticed is where the box begins.
    harness.event(Event::PointerMoved(from.lerp(to, 0.1)));
    harness.event(Event::PointerMoved(to));
    harness.event(Event::PointerButton { pos: to, button, pressed: false, modifiers });
    harness.step();
    harness.run_steps(3);
    let charts = &harness.state().charts;
    assert!(charts.view.is_some() && charts.panels[0].y.is_some());
    assert!(charts.panels[2].y.is_none(), "values are each chart's own");
    harness.get_by_label("Show all");
}

#[test]
fn hovering_tells_all_curves_and_changes_of_a_step() {
    let mut harness = window(run(1000), vec2(1024.0, 300.0));
    let rect = chart(&harness, "Loss").rect();
    harness.hover_at(rect.left_center() + vec2(rect.width() * 0.6, 0.0));
    harness.run_steps(3);
    let text = harness.get_by_label_contains("generator: ").accesskit_node();
    let text = text.value().or(text.label()).unwrap();
    assert!(text.starts_with("step 3") && text.contains("ratio: 1.3"), "{text}");
    assert!(!text.contains("warm-up"), "it ended long before: {text}");
    harness.hover_at(rect.left_center() + vec2(rect.width() * 950.0 / 50_000.0, 0.0));
    harness.run_steps(3);
    harness.get_by_label_contains("step 1000: lr_critic: 0.0001 to 0.0002");
}

/// Which numbers mean that is the method's to say; the chart of the levels says what the alarm does.
#[test]
fn a_run_that_has_collapsed_is_not_called_converged() {
    const ALARM: Alarm = Alarm {
        about: "collapsed: a test",
        advice: "",
        rings: |latest| latest("Quality/kl_grid").is_some_and(|kl| kl > 9.0),
    };
    for kl in [10.0, 0.1] {
        let mut charts = run(1000);
        charts.alarms = vec![ALARM];
        // Smoothing does not delay it.
        charts.add(60_000, &values(&[("Quality/kl_grid", kl)]));
        charts.set_levels(&[0.5; 16], [0.02, 80.0]);
        let is_collapsed = kl > 9.0;
        assert_eq!(charts.alarm().is_some(), is_collapsed);
        let harness = window(charts, vec2(1024.0, 200.0));
        let words = chart(&harness, "Ratio accuracy by noise level").accesskit_node().label().unwrap();
        assert_eq!(
            (words.contains("collapsed: a test"), words.contains("can't tell")),
            (is_collapsed, !is_collapsed),
            "{words}"
        );
    }
    assert!(run(1000).alarm().is_none() && empty().alarm().is_none());
}

#[test]
fn the_quality_of_another_run_is_not_its_accuracy() {
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("stats.jsonl"), "{\"step\":50,\"Quality/fid_lenet\":9}\n").unwrap();
    let mut charts = run(100);
    charts.compare(other.path()).unwrap();
    let harness = window(charts, vec2(1024.0, 200.0));
    assert_eq!(chart(&harness, "Quality").accesskit_node().label().as_deref(), Some("Quality: no values yet"));
}

fn folder(lines: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let line = |i: u64| format!("{{\"step\":{},\"Loss/ratio\":{}}}\n", 50 * i, 1.0 / i as f64);
    std::fs::write(folder.path().join("stats.jsonl"), (1..=lines).map(line).collect::<Vec<_>>().concat()).unwrap();
    folder
}

#[test]
fn another_run_is_drawn_behind() {
    let other = folder(2000);
    let mut charts = run(100);
    charts.compare(other.path()).unwrap();
    let name = other.path().file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(charts.compared(), Some(name.as_str()));
    let mut harness = window(charts, vec2(1024.0, 200.0));
    assert_eq!(harness.state().charts.steps(), [50.0, 5000.0], "the steps of this run");
    harness.get_by_label(&format!("dashed: {name}"));
    harness.state_mut().charts.clear();
    harness.run_steps(2);
    assert_eq!(harness.state().charts.steps(), [50.0, 100_000.0], "the other run's before there are any");
    harness.get_by_label("Stop comparing").click();
    harness.run_steps(4);
    assert_eq!(harness.state().charts.compared(), None);
    assert!(harness.query_by_label("Stop comparing").is_none());
    let empty = folder(0);
    let text = harness.state_mut().charts.compare(empty.path()).unwrap_err();
    assert!(text.contains("stats.jsonl") && text.contains("choose a run"), "{text}");
}

#[test]
fn a_resumed_run_goes_on_where_its_checkpoint_was() {
    let earlier = folder(20);
    let mut charts = run(100);
    charts.load(earlier.path(), u64::MAX).unwrap();
    assert_eq!((charts.extent(), charts.damaged()), ([50.0, 1000.0], 0));
    charts.add(850, &values(&[("Loss/ratio", 7.0)]));
    assert_eq!(charts.extent(), [50.0, 850.0]);
    let path = earlier.path().join("curves.csv");
    charts.write_csv(&path).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.starts_with("step,Loss/ratio\n50,1\n100,0.5\n") && text.ends_with("\n800,0.0625\n850,7\n"), "{text}");
    assert!(charts.load(&earlier.path().join("absent"), u64::MAX).is_err());
    assert_eq!(charts.extent(), [50.0, 850.0], "an error changes nothing");
}
