// scatter_add: out[t, e] = sum over i with index(i) = t of d[i, e], index(i) = u32(in1[i]);
// rows beyond the table go nowhere.
//
// An invocation owns one element of the output and scans all indices in ascending order (f32 sum), so
// that no atomics are needed; tables are small. A workgroup holds 64 invocations.
{% include "lib/prelude.wgsl" %}
override ROWS: u32;
override WIDTH: u32;
override TABLE: u32;

@group(0) @binding(1) var<storage, read> in0: array<f32>; // [ROWS, WIDTH]
@group(0) @binding(2) var<storage, read> in1: array<f32>; // [ROWS]
@group(0) @binding(3) var<storage, read_write> out0: array<f32>; // [TABLE, WIDTH]

{% include "lib/row_index.wgsl" %}
@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let o = group_number(group, groups) * 64u + local;
    if o >= TABLE * WIDTH {
        return;
    }
    let t = o / WIDTH;
    let e = o % WIDTH;
    var sum = 0.0;
    for (var i = 0u; i < ROWS; i += 1u) {
        if row_number(in1[i]) == t {
            sum += in0[i * WIDTH + e];
        }
    }
    out0[o] = sum;
}
