//! Opening a device: WebGPU, or the processor.

use onestep_core::exec::Executor;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::exec::gpu::{DeviceRequest, GpuExecutor, Limits};
use wasm_bindgen::JsValue;

use crate::js;

/// Opens `gpu` or `cpu`.
pub async fn open(kind: &str) -> Result<Executor, JsValue> {
    match kind {
        "cpu" => Ok(Executor::Cpu(CpuExecutor::new())),
        "gpu" => {
            // What every browser grants is what the plans are made for.
            let request = DeviceRequest { limits: Limits::Web, deterministic: true, ..DeviceRequest::default() };
            let gpu = GpuExecutor::new(&request).await.map_err(|e| js::sampling_error(e.into()))?;
            Ok(Executor::Gpu(Box::new(gpu)))
        }
        other => Err(js::error("Failed", &format!("there is no device `{other}`; choose gpu or cpu"))),
    }
}

/// Destroys a GPU device, as a driver's reset would: for the page's tests.
pub fn lose(executor: &Executor) {
    if let Executor::Gpu(gpu) = executor {
        gpu.gpu().device.destroy();
    }
}
