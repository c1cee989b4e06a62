//! `onestep gui`: the desktop trainer.
//!
//! [`window`] is the whole of it: it draws from [`run`], which grows with the reports of the
//! [`training`] thread. [`plane`] and [`images`] show a run, [`plots`] its numbers, [`explore`] a
//! finished generator, [`machine`] the device. Invariant: no training logic is here; everything that
//! changes a run is a command of the session's protocol.

mod banner;
mod controls;
mod dialogs;
mod explore;
mod files;
mod flow;
mod help;
mod images;
mod knobs;
mod live;
mod machine;
mod plane;
mod plots;
pub mod run;
mod shared;
mod slow;
pub mod theme;
mod tour;
pub mod training;
pub mod window;

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::ValueEnum;
pub use eframe::egui;
use eframe::{egui_wgpu, wgpu};
use onestep_core::exec::gpu::{AdapterSummary, adapters};
use onestep_core::session::RunFolder;

use crate::exit::bad_input;
use crate::interrupt;
use shared::WindowDevice;
use training::Failure;
use window::{Options, Tab, Window};

/// Arguments of `onestep gui`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// A data set, run, model or file of settings to open.
    path: Option<PathBuf>,
    /// Where runs are trained: `auto`, `cpu`, `gpu`, `gpu:N`, or a part of a GPU's name.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: String,
    /// Folder of runs; each run makes a numbered folder in it.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    outdir: PathBuf,
    /// Start this preset.
    #[arg(long, value_name = "NAME", conflicts_with = "path")]
    preset: Option<String>,
    /// What to show first.
    #[arg(long, value_enum, default_value_t = View::Training)]
    view: View,
    /// Begin in the light or in the dark, whatever the system says.
    #[arg(long, value_enum)]
    theme: Option<ThemeArg>,
    /// Begin with the guided tour.
    #[arg(long)]
    tour: bool,
    /// Size of the window, in points of the screen.
    #[arg(long, value_name = "WxH", default_value = "1280x800", value_parser = parse_size)]
    size: [f32; 2],
    /// Time the kernels as soon as a run is open.
    #[arg(long, hide = true)]
    time_kernels: bool,
    /// Train on the window's device even if that is software.
    #[arg(long, hide = true)]
    share_device: bool,
    /// Destroy the device of the run when it has come to this step, as a driver's reset would.
    #[arg(long, hide = true, value_name = "STEP")]
    lose_device: Option<u64>,
    /// The window before this one lost its device; in these words.
    #[arg(long, hide = true)]
    failed: Option<String>,
    /// The run of that window, if it can be gone on with.
    #[arg(long, hide = true)]
    failed_run: Option<PathBuf>,
}

/// Values of `--view`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum View {
    /// The run.
    Training,
    /// A finished generator.
    Explore,
    /// Device, memory and kernels.
    Machine,
}

/// Values of `--theme`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ThemeArg {
    Light,
    Dark,
}

/// Width and height from `1280x800`.
fn parse_size(text: &str) -> Result<[f32; 2], String> {
    let side = |part: &str| part.trim().parse::<u16>().ok().filter(|side| *side >= 320).map(f32::from);
    let size = text.split_once(['x', 'X']).and_then(|(width, height)| Some([side(width)?, side(height)?]));
    size.ok_or_else(|| "write width and height, each at least 320, such as 1280x800".to_owned())
}

/// What a window leaves behind, as of its last frame.
#[derive(Default)]
struct Legacy {
    /// Set if another window must follow.
    lost: Option<Failure>,
    /// Folder of the run that was open.
    run: Option<PathBuf>,
}

/// A second window that lasts no longer than this would not do so the third time.
const BROKEN: Duration = Duration::from_secs(5);

/// Opens the window.
pub fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(name) = &args.preset
        && onestep_core::train::Preset::find(name).is_none()
    {
        return Err(bad_input!("--preset {name}: there is no such preset; `onestep train --help` lists them"));
    }
    if let Some(path) = &args.path
        && !path.exists()
    {
        return Err(bad_input!("{}: there is no such file or folder; check the path", path.display()));
    }
    let adapters = pollster::block_on(adapters());
    let legacy: Arc<Mutex<Legacy>> = Arc::default();
    watch(args, &legacy);
    open(args, &adapters, &legacy)?;
    let lost = legacy.lock().unwrap_or_else(PoisonError::into_inner).lost.take();
    lost.map_or(Ok(()), |failure| follow(args, &failure))
}

/// A window whose device is lost panics while it draws its last frame, and again while it is taken down: the next
/// one opens before that.
fn watch(args: &Args, legacy: &Arc<Mutex<Legacy>>) {
    let (args, legacy, opened) = (args.clone(), Arc::clone(legacy), Instant::now());
    let drawing = std::thread::current().id();
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        let broken = args.failed.is_some() && opened.elapsed() < BROKEN;
        if std::thread::current().id() != drawing || broken {
            return;
        }
        let Ok(mut legacy) = legacy.try_lock() else { return };
        let folder = legacy.run.take().filter(|run| RunFolder::can_go_on(run));
        let message = "the window could not be drawn any more".to_owned();
        let failure = legacy.lost.take().unwrap_or(Failure { message, device_lost: true, folder });
        if let Err(error) = follow(&args, &failure) {
            tracing::error!("{error:#}");
        }
    }));
}

/// Goes on as a new program, which says what has failed: nothing that is left of a lost device can be relied on.
/// Returns only if that fails.
fn follow(args: &Args, failure: &Failure) -> anyhow::Result<()> {
    let [width, height] = args.size;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["gui", "--device", &args.device, "--size", &format!("{width}x{height}")]);
    command.arg("--outdir").arg(&args.outdir);
    if let Some(theme) = args.theme.and_then(|theme| theme.to_possible_value()) {
        command.args(["--theme", theme.get_name()]);
    }
    command.args(["--failed", &failure.message]);
    if let Some(run) = &failure.folder {
        command.arg("--failed-run").arg(run);
    }
    #[cfg(unix)]
    return Err(std::os::unix::process::CommandExt::exec(&mut command).into());
    #[cfg(not(unix))]
    {
        command.spawn()?;
        std::process::exit(0);
    }
}

/// Opens one window, and returns when it is closed.
fn open(args: &Args, adapters: &[AdapterSummary], legacy: &Arc<Mutex<Legacy>>) -> anyhow::Result<()> {
    let native = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("onestep")
            .with_app_id("onestep")
            .with_inner_size(args.size)
            .with_min_inner_size([800.0, 520.0]),
        // Noise against banding in gradients, of which there are none here; it costs software dearly.
        dithering: false,
        wgpu_options: egui_wgpu::WgpuConfiguration { wgpu_setup: setup(), ..Default::default() },
        ..Default::default()
    };
    let (args, adapters, legacy) = (args.clone(), adapters.to_vec(), Arc::clone(legacy));
    let create = move |context: &eframe::CreationContext<'_>| -> Result<Box<dyn eframe::App>, _> {
        let failure = args.failed.clone().map(|message| {
            let folder = args.failed_run.clone();
            Failure { message, device_lost: true, folder }
        });
        let state = context.wgpu_render_state.as_ref();
        let options = Options {
            device: args.device.clone(),
            outdir: args.outdir.clone(),
            window_device: state.map(|state| WindowDevice::new(state, &adapters, args.share_device)),
            adapters,
            failure,
        };
        if let Some(state) = state {
            live::install(state);
        }
        match args.theme {
            Some(ThemeArg::Light) => context.egui_ctx.set_theme(egui::Theme::Light),
            Some(ThemeArg::Dark) => context.egui_ctx.set_theme(egui::Theme::Dark),
            None => {}
        }
        let wake = context.egui_ctx.clone();
        interrupt::begin();
        if let Err(error) = interrupt::install_with(false, move || wake.request_repaint()) {
            tracing::warn!("a run is lost when the program is told to end: {error:#}");
        }
        let mut window = Window::new(&context.egui_ctx, options)?;
        begin(&mut window, &args, &context.egui_ctx);
        Ok(Box::new(App { window, legacy, lose_device: args.lose_device }))
    };
    eframe::run_native("onestep", native, Box::new(create)).map_err(|error| {
        let fix = "a window needs a display and a GPU driver; `onestep train` works without";
        anyhow::anyhow!("the window could not be opened: {error}; {fix}")
    })
}

/// What the arguments ask for, in a new window.
fn begin(window: &mut Window, args: &Args, context: &egui::Context) {
    if let Some(path) = &args.path {
        window.open_path(path, context);
    }
    if let Some(name) = &args.preset {
        window.start_preset(name, true);
    }
    if args.time_kernels {
        window.run.training().order(training::Order::Profile);
    }
    match args.view {
        View::Training => {}
        View::Explore => window.tab = Tab::Explore,
        View::Machine => window.tab = Tab::Machine,
    }
    if args.tour {
        window.begin_tour();
    }
}

/// How the window finds its device: with all that the adapter has, since it may train, too.
fn setup() -> egui_wgpu::WgpuSetup {
    let mut setup = egui_wgpu::WgpuSetupCreateNew::without_display_handle();
    setup.device_descriptor = Arc::new(|adapter| wgpu::DeviceDescriptor {
        label: Some("onestep window"),
        required_features: adapter.features() & wgpu::Features::TIMESTAMP_QUERY,
        required_limits: adapter.limits(),
        ..Default::default()
    });
    setup.into()
}

/// The window as eframe wants it.
struct App {
    window: Window,
    legacy: Arc<Mutex<Legacy>>,
    /// Step at which the run's device is to be lost.
    lose_device: Option<u64>,
}

impl App {
    /// Keeps what the next window needs of this one.
    fn keep(&self) {
        let mut legacy = self.legacy.lock().unwrap_or_else(PoisonError::into_inner);
        legacy.lost.clone_from(&self.window.lost);
        legacy.run = self.window.run.opened.as_ref().and_then(|opened| opened.folder.clone());
    }
}

impl eframe::App for App {
    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        theme::background(visuals).to_normalized_gamma_f32()
    }

    fn logic(&mut self, context: &egui::Context, _frame: &mut eframe::Frame) {
        if interrupt::requested() {
            self.window.leave(context);
        }
        self.window.logic(context);
        self.keep();
    }

    fn ui(&mut self, ui: &mut egui::Ui, frame: &mut eframe::Frame) {
        if let Some(secs) = frame.info().cpu_usage {
            self.window.frame_took(secs);
        }
        tracing::trace!("frame because of {:?}", ui.ctx().repaint_causes());
        self.window.show(ui);
        let step = self.window.run.view.as_ref().map_or(0, |view| view.step);
        if self.lose_device.take_if(|at| step >= *at).is_some() {
            self.window.lose_device();
        }
        self.keep();
    }
}
