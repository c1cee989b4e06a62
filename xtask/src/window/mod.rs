//! The desktop trainer in a real window on a virtual display (Xvfb), with software Vulkan under it:
//! [`screenshots`] for the README and for review, in [`bench`] how fast the window answers, and in [`test`](mod@test)
//! what no test without a window can reach.
//!
//! [`Display`] is what a person has, eyes and a mouse; [`Desk`] is a folder with files to open and with runs.

mod bench;
mod methods;
mod screenshots;
mod test;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{self, ConnectionExt as _, ImageFormat};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use crate::runtime_dir::RuntimeDir;
use crate::{step, vulkan, web};

pub use bench::bench;
pub use screenshots::{Options, run};
pub use test::test;

/// Longest that a window may take to come to what is waited for.
const PATIENCE: Duration = Duration::from_mins(5);

/// A run of digits that software Vulkan can be expected to do.
const DIGITS: &str =
    "data = \"mnist-10k\"\nwarmup_steps = 0\nbatch = 8\nwidth = 8\nmultipliers = [1]\nblocks = 1\ntick = 1\nsnap = 2\n";
/// Arguments with which a window loses the device that it draws with: images are drawn from the run's own buffers.
const LOSING: [&str; 7] = ["digits.toml", "--device", "gpu", "--share-device", "--lose-device", "4", "--theme=dark"];

/// The screen that nobody sees, and libraries that a window opens while it runs.
const PACKAGES: [&str; 5] = ["xvfb", "libx11-xcb1", "libxcursor1", "libxi6", "libxkbcommon-x11-0"];

/// Makes sure that a window can open, on Debian by installing what is missing; false if there is no virtual screen.
fn ensure_screen() -> Result<bool> {
    vulkan::ensure()?;
    if Path::new("/etc/debian_version").exists() {
        let missing: Vec<&str> = PACKAGES.into_iter().filter(|package| !vulkan::is_installed(package)).collect();
        if !missing.is_empty() {
            vulkan::install(&missing)?;
        }
        return Ok(true);
    }
    Ok(step::works("Xvfb", &["-help"]))
}

/// What to do where there is no virtual screen.
const NO_SCREEN: &str =
    "no Xvfb here, the virtual screen; install it (Fedora: xorg-x11-server-Xvfb; Arch: xorg-server-xvfb)";

/// Makes sure that a window can open, and builds the program; false if it does not compile.
fn prepare() -> Result<bool> {
    if !ensure_screen()? {
        bail!("{NO_SCREEN}");
    }
    web::build_program()
}

/// A program that ends with its handle.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        let child = command.spawn();
        Ok(Self(child.with_context(|| format!("starting {}", command.get_program().display()))?))
    }

    fn is_there(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Waits until it has ended by itself.
    fn end(&mut self) -> Result<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("the program goes on and on");
    }

    /// Waits until something holds.
    fn wait(&mut self, what: &str, holds: impl Fn() -> bool) -> Result<()> {
        let start = Instant::now();
        while !holds() {
            if start.elapsed() > PATIENCE || !self.is_there() {
                bail!("the program did not come to {what}");
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A rectangle of the screen: left, top, width, height.
type Area = [u16; 4];

/// A screen that nobody sees, and its mouse.
struct Display {
    name: String,
    connection: RustConnection,
    root: xproto::Window,
    size: [u16; 2],
    _server: Running,
}

impl Display {
    fn start(size: [u16; 2]) -> Result<Self> {
        let screen = format!("{}x{}x24", size[0], size[1]);
        let mut command = Command::new("Xvfb");
        // It takes a number that is free, and says so when it can be connected to.
        command.args(["-displayfd", "1", "-screen", "0", &screen]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = Running::start(&mut command)?;
        let mut number = String::new();
        BufReader::new(server.0.stdout.take().expect("standard output is piped")).read_line(&mut number)?;
        let name = format!(":{}", number.trim());
        let (connection, screen) = x11rb::connect(Some(&name)).with_context(|| format!("no display at {name}"))?;
        let root = connection.setup().roots[screen].root;
        Ok(Self { name, connection, root, size, _server: server })
    }

    /// What is seen of it: 4 bytes per pixel, blue, green, red and one that means nothing.
    fn look(&self, [x, y, width, height]: Area) -> Result<Vec<u8>> {
        let (x, y) = (x as i16, y as i16);
        let image = self.connection.get_image(ImageFormat::Z_PIXMAP, self.root, x, y, width, height, u32::MAX)?;
        Ok(image.reply()?.data)
    }

    /// Writes the whole screen as a PNG.
    fn save(&self, path: &Path) -> Result<()> {
        let [width, height] = self.size;
        let seen = self.look([0, 0, width, height])?;
        let pixels = seen.as_chunks::<4>().0.iter().flat_map(|&[blue, green, red, _]| [red, green, blue]).collect();
        let image = image::RgbImage::from_raw(width.into(), height.into(), pixels).context("a picture of that size")?;
        image.save(path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Puts the pointer somewhere.
    fn point(&self, [x, y]: [u16; 2]) -> Result<()> {
        self.input(xproto::MOTION_NOTIFY_EVENT, 0, [x as i16, y as i16])
    }

    /// Presses the left button, and lets it go after the time that a person's finger takes; when that was.
    fn click(&self) -> Result<Instant> {
        self.input(xproto::BUTTON_PRESS_EVENT, 1, [0, 0])?;
        std::thread::sleep(Duration::from_millis(90));
        let released = Instant::now();
        self.input(xproto::BUTTON_RELEASE_EVENT, 1, [0, 0])?;
        Ok(released)
    }

    fn input(&self, event: u8, detail: u8, [x, y]: [i16; 2]) -> Result<()> {
        self.connection.xtest_fake_input(event, detail, 0, self.root, x, y, 0)?.check()?;
        Ok(())
    }
}

/// A folder with what windows open and write; it goes with this value.
struct Desk {
    folder: PathBuf,
    runtime: RuntimeDir,
}

impl Desk {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("onestep-window-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("digits.toml"), DIGITS)?;
        Ok(Self { folder, runtime: RuntimeDir::ensure()? })
    }

    /// The program, about to start in this folder: paths on the screen are those that anybody would see.
    fn program(&self, args: &[&str]) -> Command {
        // As if none of its signals had been ignored, which they are where `nohup` runs the tests.
        let mut command = Command::new("env");
        command.arg("--default-signal=HUP,INT,TERM").arg(step::target_dir().join("release/onestep"));
        self.runtime.pass_on(&mut command);
        command.current_dir(&self.folder).args(args).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// The trainer's window, over the whole of a screen.
    fn window(&self, display: &Display, args: &[&str]) -> Command {
        let [width, height] = display.size;
        let mut command = self.program(&["gui", "--size", &format!("{width}x{height}")]);
        command.args(args).env("DISPLAY", &display.name).env_remove("WAYLAND_DISPLAY");
        command
    }

    /// The folder of the newest run.
    fn run(&self) -> Option<PathBuf> {
        let entries = std::fs::read_dir(self.folder.join("runs")).ok()?;
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).max()
    }

    /// Steps and seconds of the newest run's statistics.
    fn statistics(&self) -> Vec<(u64, f64)> {
        let text = self.run().and_then(|run| std::fs::read_to_string(run.join("stats.jsonl")).ok()).unwrap_or_default();
        let line = |line: &str| {
            let values: serde_json::Value = serde_json::from_str(line).ok()?;
            Some((values["step"].as_u64()?, values["Timing/elapsed_secs"].as_f64()?))
        };
        text.lines().filter_map(line).collect()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // It is temporary anyway: a leftover is no reason to fail.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
