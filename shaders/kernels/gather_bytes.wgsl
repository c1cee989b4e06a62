// gather_bytes: out[i, e] = f32(byte e of row index(i)), index(i) = u32(in1[i]) clamped to the table.
//
// Bytes are packed four to a word, little end first, rows not padded. An invocation owns one element
// of the output, a workgroup 64. No accumulation.
{% include "lib/prelude.wgsl" %}
override ROWS: u32;
override WIDTH: u32;
override TABLE: u32;

@group(0) @binding(1) var<storage, read> in0: array<u32>; // [ceil(TABLE * WIDTH / 4)]
@group(0) @binding(2) var<storage, read> in1: array<f32>; // [ROWS]
@group(0) @binding(3) var<storage, read_write> out0: array<f32>; // [ROWS, WIDTH]

{% include "lib/row_index.wgsl" %}
@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = group_number(group, groups) * 64u + local;
    if i < ROWS * WIDTH {
        let byte = row_index(in1[i / WIDTH]) * WIDTH + i % WIDTH;
        out0[i] = f32((in0[byte / 4u] >> (8u * (byte % 4u))) & 0xffu);
    }
}
