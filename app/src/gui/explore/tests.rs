//! The view without a window: found by its names, clicked, and waited for.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use eframe::egui::{Key, Role};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use onestep_core::exec::Executor;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::model::{ModelFile, ModelKind, ModelMeta, Storage};
use onestep_core::nets::{MlpConfig, NetworkConfig, UnetConfig};
use onestep_core::sampling::{Choice, Chooser, Verifier};

use super::desk::State;
use super::job::{Answer, Drawn, Form, Latents, Slot, Task};
use super::worker::Worker;
use super::{Explore, Request, Tab};
use crate::draw::{draw, open_generator, open_model};
use crate::gui::theme::Theme;

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_mins(2);
const SIZES: [[f32; 2]; 2] = [[1024.0, 640.0], [3840.0, 2160.0]];

fn asset(name: &str) -> PathBuf {
    Path::new("../assets/web").join(name)
}

/// A model file with weights that depend on every place.
fn write_model(folder: &Path, name: &str, kind: ModelKind, network: &NetworkConfig) -> PathBuf {
    let layout = match kind {
        ModelKind::Ratio => network.ratio_layout(),
        _ => network.generator_layout(),
    };
    let weights: Vec<f32> = (0..layout.len).map(|i| 0.2 * (i as f32 * 0.7).sin()).collect();
    let mut meta = ModelMeta::new(kind, network.clone());
    meta.sigma_init = 1.0;
    meta.dataset = "gaussians8".into();
    let path = folder.join(name);
    ModelFile::new(meta, &layout, &weights).save(&path, Storage::F32).unwrap();
    path
}

fn planar() -> NetworkConfig {
    NetworkConfig::Mlp(MlpConfig { dim: 2, width: 16, depth: 2, label_dim: 0, two_times: false })
}

/// Lets the view run until something is so.
fn wait(harness: &mut Harness<'_, Explore>, what: &str, is_so: impl Fn(&Explore) -> bool) {
    let start = Instant::now();
    while !is_so(harness.state()) {
        assert!(start.elapsed() < PATIENCE, "{what}: waited in vain; error: {:?}", harness.state().error);
        harness.step();
        std::thread::yield_now();
    }
    harness.run_ok();
}

fn view(size: [f32; 2]) -> Harness<'static, Explore> {
    let show = |ui: &mut eframe::egui::Ui, explore: &mut Explore| {
        let theme = Theme::of(ui);
        explore.show(ui, &theme);
    };
    Harness::builder().with_size(size).build_ui_state(show, Explore::new("cpu".into()))
}

fn open(harness: &mut Harness<'_, Explore>, path: &Path) {
    let ctx = harness.ctx.clone();
    harness.state_mut().open(path, &ctx);
    wait(harness, "open", |explore| explore.opening.is_none());
}

fn idle(slot: Slot) -> impl Fn(&Explore) -> bool {
    move |explore| !matches!(explore.desk.state(slot), State::Busy(_))
}

#[test]
fn samples_have_the_bits_of_the_command() {
    let path = asset("mnist-generator.safetensors");
    let mut executor = Executor::Cpu(CpuExecutor::new());
    let mut generator = open_generator(&mut executor, &open_model(&path).unwrap()).unwrap();
    let classes = generator.meta().network.classes_of(&[0, 1, 2, 3]);
    let wanted = draw(&mut generator, &mut executor, &[0, 1, 2, 3], &classes).unwrap();

    let worker = Worker::start("cpu".into());
    worker.ask(|_| Slot::Open, Task::Open(path), 0);
    // Opening goes first, so this is for the first model. Of many wishes only the newest has to be fulfilled.
    let latents = |first| Latents::Seeds { first, count: 4 };
    let mut newest = 0;
    for first in (0..50).rev() {
        newest = worker.ask(|_| Slot::Samples, Task::Draw { latents: latents(first), form: Form::Each }, 1);
    }
    let (start, mut drawings) = (Instant::now(), 0);
    loop {
        assert!(start.elapsed() < PATIENCE, "nothing came");
        for reply in worker.arrived() {
            let Answer::Drawn(Drawn { samples, images, .. }) = reply.answer else { continue };
            drawings += 1;
            if reply.ticket == newest {
                assert_eq!(samples.values, wanted);
                assert_eq!((images.len(), images[0].size), (4, [28, 28]));
                assert!(drawings < 10, "older wishes were drawn {drawings} times");
                return;
            }
        }
        std::thread::yield_now();
    }
}

#[test]
fn samples_have_the_classes_of_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let network = NetworkConfig::Mlp(MlpConfig { dim: 2, width: 16, depth: 2, label_dim: 3, two_times: false });
    let path = write_model(folder.path(), "generator-000001.safetensors", ModelKind::Generator, &network);
    let ratio = write_model(folder.path(), "ratio-000001.safetensors", ModelKind::Ratio, &network);
    let mut executor = Executor::Cpu(CpuExecutor::new());
    let mut generator = open_generator(&mut executor, &open_model(&path).unwrap()).unwrap();
    let verifier = Verifier::new(&mut executor, &ModelFile::open(&ratio).unwrap(), 8).unwrap();
    let wanted = draw(&mut generator, &mut executor, &[4, 5, 6], &[1, 2, 0]).unwrap();
    let (choice, candidates, batch) = (Choice::Best, 8, 8);
    let mut best = Chooser { generator: &mut generator, verifier: &verifier, candidates, choice, batch };
    let kept = pollster::block_on(best.draw(&mut executor, &[5], &[2], &|_| ())).unwrap();

    let worker = Worker::start("cpu".into());
    worker.ask(|_| Slot::Open, Task::Open(path), 0);
    let latents = Latents::Seeds { first: 4, count: 3 };
    worker.ask(|_| Slot::Samples, Task::Draw { latents, form: Form::Each }, 1);
    worker.ask(|_| Slot::Best, Task::Best { seed: 5, candidates: 8, ratio: None }, 1);
    let (start, mut missing) = (Instant::now(), 2);
    while missing > 0 {
        assert!(start.elapsed() < PATIENCE, "{missing} of two answers did not come");
        for reply in worker.arrived() {
            match reply.answer {
                Answer::Drawn(drawn) => assert_eq!(drawn.samples.values, wanted),
                Answer::Ranked(ranked) => assert_eq!(ranked.samples.values[..2], kept.samples),
                _ => continue,
            }
            missing -= 1;
        }
        std::thread::yield_now();
    }
}

#[test]
fn draw_again_moves_on_and_everything_has_a_name() {
    for size in SIZES {
        let mut harness = view(size);
        open(&mut harness, &asset("mnist-generator.safetensors"));
        wait(&mut harness, "samples", idle(Slot::Samples));
        assert_eq!(harness.state().seeds.first, 0);
        harness.get_by_role_and_label(Role::Button, "Draw again").click();
        harness.step();
        assert_eq!(harness.state().seeds.first, 16);
        harness.key_press(Key::R);
        harness.step();
        assert_eq!(harness.state().seeds.first, 32);
        wait(&mut harness, "other samples", idle(Slot::Samples));
        harness.get_by_role_and_label(Role::Button, "Sample of seed 33").click();
        harness.run_ok();
        harness.get_by_label("Sample of seed 33, enlarged");
        harness.check_accessibility();
    }
}

#[test]
fn the_plane_follows_mouse_and_keys() {
    let mut harness = view(SIZES[0]);
    open(&mut harness, &asset("mnist-generator.safetensors"));
    harness.get_by_role_and_label(Role::Button, "Latent plane").click();
    harness.step();
    wait(&mut harness, "map", |explore| [Slot::Place, Slot::Map].into_iter().all(|slot| idle(slot)(explore)));
    harness.get_by_label("The sample at 50 % across and 50 % down");
    let pad = harness.get_by_label("Plane of latents between four seeds");
    let corner = pad.rect().right_top();
    pad.focus();
    harness.run_ok();
    harness.key_press(Key::ArrowLeft);
    harness.key_press(Key::ArrowDown);
    harness.run_ok();
    harness.get_by_label("The sample at 48 % across and 52 % down");
    harness.drag_at(corner);
    harness.step();
    harness.drop_at(corner);
    harness.run_ok();
    harness.get_by_label("The sample at 100 % across and 0 % down");
    harness.check_accessibility();
}

#[test]
fn every_part_of_the_view_is_drawn_at_both_sizes() {
    for size in SIZES {
        let mut harness = view(size);
        open(&mut harness, &asset("mnist-generator.safetensors"));
        harness.state_mut().seeds.count = 4;
        for (tab, slot, name) in [
            (Tab::Line, Slot::Strip, "The sample at 50 % of the way"),
            (Tab::Best, Slot::Best, "Draw other candidates"),
            (Tab::Nearest, Slot::Nearest, "0 of 4 samples are copies."),
        ] {
            harness.state_mut().tab = tab;
            harness.step();
            wait(&mut harness, name, idle(slot));
            assert_eq!(harness.state().desk.state(slot), State::Idle, "{name}");
            assert!(harness.query_by_label(name).is_some(), "{name}");
            harness.check_accessibility();
        }
        let ranked = harness.state().best.samples().expect("the ratio network lies beside the generator");
        assert_eq!(ranked.bytes.len(), 8 * 28 * 28);
    }
}

#[test]
fn points_are_drawn_with_their_latent_grid() {
    let folder = tempfile::tempdir().unwrap();
    let path = write_model(folder.path(), "generator-000001.safetensors", ModelKind::Generator, &planar());
    for size in SIZES {
        let mut harness = view(size);
        // The folder stands for its newest snapshot.
        open(&mut harness, path.parent().unwrap());
        assert_eq!(harness.state().model(), Some("generator-000001.safetensors"));
        harness.step();
        wait(&mut harness, "points", |explore| {
            [Slot::Samples, Slot::Lattice].into_iter().all(|slot| idle(slot)(explore))
        });
        harness.get_by_role_and_label(Role::CheckBox, "Latent grid").click();
        harness.run_ok();
        harness.get_by_label("1024 generated points in the plane, from -1 to 1");
    }
}

#[test]
fn files_that_are_no_generators_say_so_and_the_model_stays() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = NetworkConfig::Unet(UnetConfig::tiny());
    let mut harness = view(SIZES[0]);
    open(&mut harness, &write_model(folder.path(), "good.safetensors", ModelKind::Generator, &planar()));
    std::fs::write(folder.path().join("short.safetensors"), b"abc").unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    for (path, words) in [
        (folder.path().join("absent.safetensors"), "cannot be read"),
        (folder.path().join("short.safetensors"), "choose a .safetensors file"),
        (folder.path().join("empty"), "holds no generator-*.safetensors"),
        (write_model(folder.path(), "a.safetensors", ModelKind::Ratio, &tiny), "is a ratio network, not a generator"),
    ] {
        open(&mut harness, &path);
        let error = harness.state().error.clone().unwrap_or_default();
        assert!(error.contains(words) && !error.contains('\n'), "{}: {error}", path.display());
        assert!(harness.query_by_label(&error).is_some(), "not shown: {error}");
        assert_eq!(harness.state().model(), Some("good.safetensors"));
    }
    open(&mut harness, &folder.path().join("good.safetensors"));
    assert_eq!(harness.state().error, None);
}

#[test]
fn what_is_missing_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = NetworkConfig::Unet(UnetConfig::tiny());
    let mut harness = view(SIZES[0]);
    open(&mut harness, &write_model(folder.path(), "generator-000007.safetensors", ModelKind::Generator, &tiny));
    harness.state_mut().tab = Tab::Best;
    harness.step();
    wait(&mut harness, "best", idle(Slot::Best));
    let missing = |state: State| if let State::Missing(text) = state { text } else { panic!("{state:?}") };
    assert!(missing(harness.state().desk.state(Slot::Best)).contains("no ratio-000007.safetensors beside"));
    let ratio = write_model(folder.path(), "other.safetensors", ModelKind::Ratio, &tiny);
    harness.state_mut().choose_ratio(ratio);
    harness.step();
    wait(&mut harness, "best with a ratio network", idle(Slot::Best));
    assert_eq!(harness.state().desk.state(Slot::Best), State::Idle);
    harness.state_mut().tab = Tab::Nearest;
    harness.step();
    wait(&mut harness, "nearest", idle(Slot::Nearest));
    assert!(missing(harness.state().desk.state(Slot::Nearest)).contains("learned from gaussians8"));
}

/// All was gone without a word, with the files that were yet to be written.
#[test]
fn another_device_keeps_what_was_chosen_and_writes_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = NetworkConfig::Unet(UnetConfig::tiny());
    let mut harness = view(SIZES[0]);
    open(&mut harness, &write_model(folder.path(), "generator-000007.safetensors", ModelKind::Generator, &tiny));
    harness.state_mut().choose_ratio(write_model(folder.path(), "other.safetensors", ModelKind::Ratio, &tiny));
    harness.state_mut().seeds.first = 5;
    let weights = ["a", "b"].map(|name| folder.path().join(name).with_extension("safetensors"));
    for path in &weights {
        harness.state_mut().export_weights(path.clone());
    }
    let ctx = harness.ctx.clone();
    harness.state_mut().change_device("cpu".into(), &ctx);
    assert!(weights.iter().all(|path| path.is_file()));
    assert!(harness.state().notice.is_some());
    assert_eq!(harness.state().model(), Some("generator-000007.safetensors"));
    wait(&mut harness, "open again", |explore| explore.opening.is_none());
    harness.state_mut().tab = Tab::Best;
    harness.step();
    wait(&mut harness, "best", idle(Slot::Best));
    assert_eq!(harness.state().desk.state(Slot::Best), State::Idle, "the ratio network is still chosen");
    assert_eq!((harness.state().seeds.first, &harness.state().error), (5, &None));
}

#[test]
fn files_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let [png, weights, nowhere] = ["a.png", "a.safetensors", "file/a.png"].map(|name| folder.path().join(name));
    std::fs::write(folder.path().join("file"), b"").unwrap();
    let mut harness = view(SIZES[0]);
    harness.state_mut().save_picture(png.clone());
    assert!(harness.state().error.as_ref().is_some_and(|error| error.contains("no picture yet")));
    open(&mut harness, &asset("mnist-generator.safetensors"));
    harness.step();
    wait(&mut harness, "samples", idle(Slot::Samples));
    harness.state_mut().save_picture(png.clone());
    harness.state_mut().export_weights(weights.clone());
    wait(&mut harness, "files", |_| png.is_file() && weights.is_file());
    assert_eq!(open_model(&weights).unwrap().meta, open_model(&asset("mnist-generator.safetensors")).unwrap().meta);
    wait(&mut harness, "notice", |explore| explore.notice.is_some());
    harness.state_mut().save_picture(nowhere);
    wait(&mut harness, "error", |explore| explore.error.is_some());
    harness.state_mut().save_picture(png);
    wait(&mut harness, "notice", |explore| explore.notice.is_some());
    assert_eq!(harness.state().error, None, "that was of another file");
}

#[test]
fn paths_are_asked_for() {
    let ask = |explore: &mut Explore, name: &str| {
        let mut harness = Harness::builder().with_size(SIZES[0]).build_ui_state(
            |ui, (explore, request): &mut (&mut Explore, Option<Request>)| {
                let theme = Theme::of(ui);
                *request = explore.show(ui, &theme).or(request.take());
            },
            (explore, None),
        );
        harness.get_by_role_and_label(Role::Button, name).click();
        harness.run_ok();
        harness.into_state().1
    };
    let mut harness = view(SIZES[0]);
    open(&mut harness, &asset("mnist-generator.safetensors"));
    let mut explore = harness.into_state();
    assert_eq!(ask(&mut explore, "Open model…"), Some(Request::OpenModel));
    let suggested = "mnist-generator-f16.safetensors".to_owned();
    assert_eq!(ask(&mut explore, "Export weights…"), Some(Request::ExportWeights { suggested }));
    let suggested = "samples-seed-0.png".to_owned();
    assert_eq!(ask(&mut explore, "Save picture…"), Some(Request::SavePicture { suggested }));
    explore.tab = Tab::Best;
    assert_eq!(ask(&mut explore, "Choose ratio network…"), Some(Request::ChooseRatio));
    explore.tab = Tab::Nearest;
    assert_eq!(ask(&mut explore, "Choose training data…"), Some(Request::ChooseData));
}
