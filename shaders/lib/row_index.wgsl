// Number of the row that `value` names: truncated, 0 if negative.
fn row_number(value: f32) -> u32 {
    return u32(clamp(value, 0.0, 4294967040.0));
}

// The same, clamped to the table.
fn row_index(value: f32) -> u32 {
    return min(row_number(value), TABLE - 1u);
}
