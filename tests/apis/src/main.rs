//! `onestep-apis FOLDER`: writes each `FOLDER/wgsl/*.wgsl` as MSL, HLSL and SPIR-V, into folders of these names beside it.
//!
//! With the options that wgpu chooses in a release build: no bounds checks, no loop counters, workgroup memory as it was.
//! The first line of each shader holds the values of its constants as JSON (`tests/examples/shaders.rs` writes them).
//! Invariant: one line per shader that can't be written, and then exit code 1.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use naga::back::{PipelineConstants, hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Module, ResourceBinding, ShaderStage};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Every kernel's entry point.
const ENTRY: (ShaderStage, &str) = (ShaderStage::Compute, "main");

/// Indices are proved in range by construction; see ARCHITECTURE.md.
const UNCHECKED: BoundsCheckPolicies = BoundsCheckPolicies {
    index: BoundsCheckPolicy::Unchecked,
    buffer: BoundsCheckPolicy::Unchecked,
    image_load: BoundsCheckPolicy::Unchecked,
    binding_array: BoundsCheckPolicy::Unchecked,
};

/// Below other bindings, as wgpu places what HLSL can't tell: the number of workgroups.
const SPECIAL: hlsl::BindTarget = target(1, 0);

const fn target(space: u8, register: u32) -> hlsl::BindTarget {
    hlsl::BindTarget {
        space,
        register,
        binding_array_size: None,
        dynamic_storage_buffer_offsets_index: None,
        restrict_indexing: false,
    }
}

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: onestep-apis FOLDER");
        return ExitCode::from(2);
    };
    match run(&folder) {
        Ok((written, failed)) => {
            println!("{written} shaders written as MSL, HLSL and SPIR-V, {failed} failed");
            ExitCode::from(u8::from(failed > 0 || written == 0))
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// How many shaders could be written, and how many not.
fn run(folder: &Path) -> Result<(usize, usize)> {
    for language in ["msl", "hlsl", "spirv"] {
        let folder = folder.join(language);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let wgsl = folder.join("wgsl");
    let files = fs::read_dir(&wgsl).map_err(|e| format!("{}: {e}", wgsl.display()))?;
    let mut files = files.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failed: usize = std::thread::scope(|scope| {
        let parts = files.chunks(files.len().div_ceil(threads).max(1));
        let parts: Vec<_> =
            parts.map(|part| scope.spawn(|| part.iter().filter(|file| !told(folder, file)).count())).collect();
        parts.into_iter().map(|part| part.join().expect("naga does not panic")).sum()
    });
    Ok((files.len() - failed, failed))
}

/// Writes one shader in all languages; says why if that fails.
fn told(folder: &Path, file: &Path) -> bool {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let written = write(folder, file, &name);
    if let Err(error) = &written {
        eprintln!("{name}: {}", error.to_string().replace('\n', " "));
    }
    written.is_ok()
}

fn write(folder: &Path, file: &Path, name: &str) -> Result<()> {
    let text = fs::read_to_string(file)?;
    let first = text.lines().next().unwrap_or_default();
    let constants: BTreeMap<String, f64> = serde_json::from_str(first.trim_start_matches("//"))?;
    let module = naga::front::wgsl::parse_str(&text).map_err(|e| e.emit_to_string(&text))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module)?;
    let constants: PipelineConstants = constants.into_iter().collect();
    let (module, info) = process_overrides(&module, &info, Some(ENTRY), &constants)?;
    fs::write(folder.join(format!("msl/{name}.metal")), metal(&module, &info)?)?;
    fs::write(folder.join(format!("hlsl/{name}.hlsl")), direct3d(&module, &info)?)?;
    fs::write(folder.join(format!("spirv/{name}.spv")), vulkan(&module, &info)?)?;
    Ok(())
}

/// The bindings of a module, and whether each is written.
fn bindings(module: &Module) -> impl Iterator<Item = (ResourceBinding, bool)> {
    let written =
        |space| matches!(space, naga::AddressSpace::Storage { access } if access.contains(naga::StorageAccess::STORE));
    module.global_variables.iter().filter_map(move |(_, global)| Some((global.binding?, written(global.space))))
}

fn metal(module: &Module, info: &ModuleInfo) -> Result<String> {
    let buffer = |(i, (binding, mutable))| {
        let target = msl::BindTarget { buffer: Some(i), mutable, ..msl::BindTarget::default() };
        (binding, target)
    };
    let resources = msl::EntryPointResources {
        resources: (0..).zip(bindings(module)).map(buffer).collect(),
        // Where Metal would tell sizes of arrays.
        sizes_buffer: Some(30),
        ..msl::EntryPointResources::default()
    };
    let options = msl::Options {
        lang_version: (2, 3),
        per_entry_point_map: [(ENTRY.1.to_owned(), resources)].into(),
        fake_missing_bindings: false,
        bounds_check_policies: UNCHECKED,
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..msl::Options::default()
    };
    let pipeline =
        msl::PipelineOptions { entry_point: Some((ENTRY.0, ENTRY.1.to_owned())), ..msl::PipelineOptions::default() };
    let (text, names) = msl::write_string(module, info, &options, &pipeline)?;
    names.entry_point_names.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(text)
}

fn direct3d(module: &Module, info: &ModuleInfo) -> Result<String> {
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_0,
        binding_map: (0..).zip(bindings(module)).map(|(i, (binding, _))| (binding, target(0, i))).collect(),
        fake_missing_bindings: false,
        special_constants_binding: Some(SPECIAL),
        zero_initialize_workgroup_memory: false,
        restrict_indexing: false,
        force_loop_bounding: false,
        ..hlsl::Options::default()
    };
    let pipeline = hlsl::PipelineOptions { entry_point: Some((ENTRY.0, ENTRY.1.to_owned())) };
    let mut text = String::new();
    let names = hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None)?;
    names.entry_point_names.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(text)
}

fn vulkan(module: &Module, info: &ModuleInfo) -> Result<Vec<u8>> {
    let options = spv::Options {
        lang_version: (1, 3),
        bounds_check_policies: UNCHECKED,
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..spv::Options::default()
    };
    let pipeline = spv::PipelineOptions { shader_stage: ENTRY.0, entry_point: ENTRY.1.to_owned() };
    let words = spv::write_vec(module, info, &options, Some(&pipeline))?;
    Ok(words.into_iter().flat_map(u32::to_le_bytes).collect())
}
