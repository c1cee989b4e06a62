//! Where a command runs: the flags, the rule of `auto`, and the executor that follows.
//!
//! Auto picks a discrete or integrated GPU, else the CPU executor, which is several times faster
//! than software that imitates a GPU.

use clap::ValueEnum;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::exec::gpu::{AdapterKind, AdapterSummary, DeviceRequest, GpuExecutor, Limits, adapters};
use onestep_core::exec::{ExecError, Executor};

use crate::output::note;

/// Flags of every command that computes.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Device")]
pub struct DeviceArgs {
    /// `auto`, `cpu`, `gpu`, `gpu:N`, or a part of a GPU's name; `onestep devices` lists them.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// What a GPU is asked for: all that the adapter has, or what every browser grants.
    #[arg(long, value_enum, default_value_t = LimitsArg::Adapter)]
    pub limits: LimitsArg,
    /// Choose kernel variants from a fixed table, not by measurement: same machine, same bits.
    #[arg(long)]
    pub deterministic: bool,
}

/// Values of `--limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LimitsArg {
    /// WebGPU's default limits.
    Web,
    /// The adapter's own limits.
    Adapter,
}

/// A device that was chosen, and the reason for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Text for [`DeviceRequest::parse`], or nothing for the CPU executor.
    pub gpu: Option<String>,
    /// Why, as half a sentence.
    pub why: String,
}

impl Choice {
    fn cpu(why: &str) -> Self {
        Self { gpu: None, why: why.to_owned() }
    }

    fn gpu(text: &str, why: &str) -> Self {
        Self { gpu: Some(text.to_owned()), why: why.to_owned() }
    }
}

/// What `auto` picks from these adapters.
pub fn choose_auto(adapters: &[AdapterSummary], named_in_environment: bool) -> Choice {
    if named_in_environment {
        return Choice::gpu("gpu", "WGPU_ADAPTER_NAME names it");
    }
    let first = |kind| adapters.iter().position(|a| a.kind == kind);
    if let Some(index) = first(AdapterKind::Discrete) {
        return Choice::gpu(&format!("gpu:{index}"), "the first discrete GPU");
    }
    if let Some(index) = first(AdapterKind::Integrated) {
        return Choice::gpu(&format!("gpu:{index}"), "the first integrated GPU; there is no discrete one");
    }
    match adapters {
        [] => Choice::cpu("there is no GPU"),
        [..] if first(AdapterKind::Software).is_some() => {
            Choice::cpu("the only GPU is imitated by software, which is slower; --device gpu takes it")
        }
        _ => Choice::cpu("there is no discrete or integrated GPU; --device gpu takes another"),
    }
}

/// Whether the environment names an adapter.
pub fn named_in_environment() -> bool {
    std::env::var_os("WGPU_ADAPTER_NAME").is_some_and(|name| !name.is_empty())
}

/// The device that a text as for `--device` means.
pub fn choose(device: &str) -> Choice {
    match device {
        "cpu" => Choice::cpu("--device cpu"),
        "auto" => choose_auto(&pollster::block_on(adapters()), named_in_environment()),
        other => Choice::gpu(other, &format!("--device {other}")),
    }
}

/// The executor that `args` ask for; says on stderr which one it is and why.
pub fn open(args: &DeviceArgs, quiet: bool) -> anyhow::Result<Executor> {
    let (executor, choice) = open_silently(args, quiet)?;
    announce(&executor, &choice, quiet);
    Ok(executor)
}

/// The executor that a text as for `--device` names.
#[cfg(feature = "gui")]
pub fn open_named(device: &str) -> anyhow::Result<Executor> {
    let args = DeviceArgs { device: device.to_owned(), limits: LimitsArg::Adapter, deterministic: false };
    Ok(open_silently(&args, true)?.0)
}

/// Says which device it is and why.
pub fn announce(executor: &Executor, choice: &Choice, quiet: bool) {
    note(quiet, format_args!("device: {} ({})", executor.name(), choice.why));
}

/// The device that `args` ask for, by its name, and arguments that open it again: graphics cards are looked for once, not
/// before every training.
pub fn choose_once(args: &DeviceArgs, quiet: bool) -> anyhow::Result<(String, DeviceArgs)> {
    let executor = open_silently(args, quiet)?.0;
    let device = if executor.is_cpu() { "cpu".to_owned() } else { args.device.clone() };
    Ok((executor.name(), DeviceArgs { device, ..args.clone() }))
}

/// The executor that `args` ask for, and the reason. Only a device that had to be given up is told of.
pub fn open_silently(args: &DeviceArgs, quiet: bool) -> anyhow::Result<(Executor, Choice)> {
    let mut choice = choose(&args.device);
    let executor = match &choice.gpu.clone() {
        None => Executor::Cpu(CpuExecutor::new()),
        Some(text) => match open_gpu(text, args) {
            Ok(gpu) => gpu,
            // Nobody asked for this very device: go on without it.
            Err(error) if args.device == "auto" && !named_in_environment() => {
                note(quiet, format_args!("warning: {error}; using the CPU instead"));
                choice = Choice::cpu("the GPU gives no device");
                Executor::Cpu(CpuExecutor::new())
            }
            Err(ExecError::NoAdapter(text)) => {
                let text = format!("--device {}: {text}; `--device cpu` works everywhere", args.device);
                return Err(ExecError::NoAdapter(text).into());
            }
            Err(error) => return Err(error.into()),
        },
    };
    Ok((executor, choice))
}

fn open_gpu(text: &str, args: &DeviceArgs) -> Result<Executor, ExecError> {
    let limits = match args.limits {
        LimitsArg::Web => Limits::Web,
        LimitsArg::Adapter => Limits::Adapter,
    };
    let request = DeviceRequest { limits, deterministic: args.deterministic, ..DeviceRequest::parse(text) };
    let gpu = pollster::block_on(GpuExecutor::new(&request))?;
    Ok(Executor::Gpu(Box::new(gpu)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(kind: AdapterKind) -> AdapterSummary {
        AdapterSummary {
            name: format!("{kind:?}"),
            backend: "vulkan".into(),
            kind,
            driver: String::new(),
            max_binding_bytes: 0,
            max_buffer_bytes: 0,
            timestamps: false,
        }
    }

    #[test]
    fn auto_prefers_discrete_then_integrated_then_the_processor() {
        use AdapterKind::{Discrete, Integrated, Software, Virtual};
        let pick = |kinds: &[AdapterKind]| {
            let adapters: Vec<_> = kinds.iter().map(|kind| adapter(*kind)).collect();
            choose_auto(&adapters, false).gpu
        };
        assert_eq!(pick(&[Software, Integrated, Discrete]).as_deref(), Some("gpu:2"));
        assert_eq!(pick(&[Software, Integrated]).as_deref(), Some("gpu:1"));
        assert_eq!(pick(&[Software]), None);
        assert_eq!(pick(&[Virtual]), None);
        assert_eq!(pick(&[]), None);
        assert_eq!(choose_auto(&[adapter(Software)], true).gpu.as_deref(), Some("gpu"));
    }
}
