//! The most memory that this process has had, where the system tells it.

/// Begins to count anew. Does nothing where the system can't.
pub fn forget_peak() {
    // proc(5): 5 sets the peak to what the process has now.
    #[cfg(target_os = "linux")]
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Bytes, the program and its libraries included; nothing where the system does not tell.
pub fn peak() -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn the_peak_has_what_was_touched_since() {
        const LARGE: usize = 256 << 20;
        let touched = vec![1_u8; LARGE];
        assert!(std::hint::black_box(&touched).len() == LARGE && super::peak().unwrap() > LARGE as u64);
        drop(touched);
        let before = super::peak().unwrap();
        super::forget_peak();
        assert!(super::peak().unwrap() + (LARGE / 2) as u64 <= before, "what was given back is forgotten");
    }
}
