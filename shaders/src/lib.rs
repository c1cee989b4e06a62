//! The WGSL kernels of onestep: one file per kernel in `kernels/`, shared functions in `lib/`.
//!
//! [`KERNELS`] lists them, [`source`] expands one to complete WGSL. The files are templates, because
//! WGSL has no generics and no unrolling; what is fixed for a plan but not for a kernel (sizes) stays
//! an `override` constant. Fused expressions arrive as text in [`Generated`]; this crate knows
//! nothing of the graph. Invariant: every kernel passes naga's validation for every [`Variant`] that
//! its [`Family`] admits (`tests/validation.rs`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

mod template;
mod variant;

use template::{Templates, Value};
pub use variant::*;

/// For those who write shaders: if this names a folder such as `shaders` of the work tree, its
/// `kernels/*.wgsl` and `lib/*.wgsl` are used instead of the text that was built in, so that an edit
/// takes effect at the next start. `cargo xtask mutate` uses it to test broken kernels.
const FOLDER_VARIABLE: &str = "ONESTEP_SHADER_DIR";

/// How a kernel divides its work, and so which variants it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// One invocation per item: [`Variant::Items`].
    Items,
    /// Sums over rows: [`Variant::Rows`].
    Rows,
    /// Sums of products: [`Variant::Tile`].
    Contraction,
}

/// A kernel of the registry.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Name of the kernel, its file and its twin.
    pub name: &'static str,
    /// Which variants it has.
    pub family: Family,
    text: &'static str,
}

macro_rules! kernels {
    ($($name:literal: $family:ident),* $(,)?) => {
        /// Every kernel.
        pub const KERNELS: &[Entry] = &[$(Entry {
            name: $name,
            family: Family::$family,
            text: include_str!(concat!(env!("OUT_DIR"), "/kernels/", $name, ".wgsl")),
        }),*];
    };
}

kernels! {
    "pointwise": Items,
    "reduce": Rows,
    "reduce_map": Rows,
    "moments": Rows,
    "matmul": Contraction,
    "conv2d": Contraction,
    "conv2d_grad_weight": Contraction,
    "split_sum": Items,
    "softmax": Rows,
    "gather": Items,
    "scatter_add": Items,
    "gather_bytes": Items,
    "adam": Items,
    "record": Items,
}

/// Draws a grid of images from the buffer that holds them: vertex entry `corner`, fragment entry `pixel`.
pub const DRAW_GRID: &str = include_str!("../draw/grid.wgsl");

/// What a device can do at most, measured: name and text of multiply-adds in registers, and of a stream through memory.
/// They belong to no plan.
pub const PEAK: [(&str, &str); 2] =
    [("multiply_add", include_str!("../peak/multiply_add.wgsl")), ("stream", include_str!("../peak/stream.wgsl"))];

macro_rules! library {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!(env!("OUT_DIR"), "/", $name)))),*]
    };
}

const LIBRARY: &[(&str, &str)] = library![
    "lib/prelude.wgsl",
    "lib/run.wgsl",
    "lib/grid.wgsl",
    "lib/math.wgsl",
    "lib/random.wgsl",
    "lib/tree.wgsl",
    "lib/row_index.wgsl",
    "lib/ownership.wgsl",
    "lib/splits.wgsl",
    "lib/operand.wgsl",
    "lib/store.wgsl",
    "lib/contract.wgsl",
];

/// What is generated for one launch: the text around which a kernel is expanded.
#[derive(Clone, Debug, Default)]
pub struct Generated {
    /// Declare the uniform `run` at binding 0.
    pub run: bool,
    /// Length of `run.scalars`, in vectors of four; at least 1 if `run`.
    pub scalars: u32,
    /// Include `lib/math.wgsl`.
    pub math: bool,
    /// Include `lib/random.wgsl`, which needs `run` and `math`.
    pub random: bool,
    /// Declarations of `in*` and `out*`, for kernels that don't declare their own.
    pub bindings: String,
    /// Functions that the kernel calls: `body`, or `a`, `b` and `epilogue`.
    pub functions: String,
    /// Numbers and flags (0 or 1) that the kernel's template asks for; of two with one name, the later.
    pub values: Vec<(&'static str, u32)>,
}

/// A kernel that could not be expanded: a mistake in this crate or in the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    /// What went wrong.
    pub message: String,
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SourceError {}

/// The registry's entry of a kernel.
pub fn kernel(name: &str) -> Option<&'static Entry> {
    KERNELS.iter().find(|k| k.name == name)
}

/// Kernels and library as templates, made once; or why one of them is no template.
fn templates() -> Result<&'static Templates, SourceError> {
    static TEMPLATES: OnceLock<Result<Templates, SourceError>> = OnceLock::new();
    let templates = TEMPLATES.get_or_init(|| load(std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from).as_deref()));
    templates.as_ref().map_err(Clone::clone)
}

fn load(folder: Option<&Path>) -> Result<Templates, SourceError> {
    let library = LIBRARY.iter().map(|(name, text)| ((*name).to_owned(), *text));
    let kernels = KERNELS.iter().map(|kernel| (file(kernel.name), kernel.text));
    let mut texts: Vec<(String, &'static str)> = library.chain(kernels).collect();
    if let Some(folder) = folder {
        for (name, text) in &mut texts {
            let path = folder.join(&*name);
            // Read once, and kept for as long as the program runs.
            *text = std::fs::read_to_string(&path)
                .map_err(|e| SourceError { message: format!("{FOLDER_VARIABLE}: {}: {e}", path.display()) })?
                .leak();
        }
    }
    Templates::new(texts)
}

/// File of a kernel.
fn file(kernel: &str) -> String {
    format!("kernels/{kernel}.wgsl")
}

fn values(generated: &Generated, variant: Variant) -> Vec<(&'static str, Value)> {
    let Generated { run, scalars, math, random, bindings, functions, values } = generated;
    let mut all = vec![
        ("run", Value::from(u32::from(*run))),
        ("scalars", Value::from(*scalars)),
        ("math", Value::from(u32::from(*math))),
        ("random", Value::from(u32::from(*random))),
        ("bindings", Value::from(bindings.as_str())),
        ("functions", Value::from(functions.as_str())),
    ];
    all.extend(variant.values().into_iter().chain(values.clone()).map(|(name, value)| (name, Value::from(value))));
    all
}

/// Complete WGSL of `kernel` in `variant` around `generated`.
///
/// # Errors
///
/// If there is no such kernel, the kernel has no such variant, or a value is missing.
pub fn source(kernel: &str, variant: Variant, generated: &Generated) -> Result<String, SourceError> {
    let entry =
        self::kernel(kernel).ok_or_else(|| SourceError { message: format!("no kernel is called `{kernel}`") })?;
    if entry.family != variant.family() {
        return Err(SourceError { message: format!("kernel `{kernel}` has no variant {variant:?}") });
    }
    templates()?
        .expand(&file(kernel), values(generated, variant))
        .map_err(|e| SourceError { message: format!("kernel `{kernel}`, {variant:?}: {e}") })
}
