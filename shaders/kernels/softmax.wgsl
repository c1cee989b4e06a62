// softmax: out[i, j] = exp(x[i, j] - max_j x[i, j]) / sum_j exp(x[i, j] - max_j x[i, j]).
//
// A workgroup owns {{ ox }} rows; {{ ry }} invocations share a row, each taking every {{ ry }}th column. Sums are f32,
// ascending within an invocation, then a tree.
{% include "lib/prelude.wgsl" %}
override ROWS: u32;
override COLS: u32;

@group(0) @binding(1) var<storage, read> in0: array<f32>; // [ROWS, COLS]
@group(0) @binding(2) var<storage, read_write> out0: array<f32>; // [ROWS, COLS]

{% include "lib/tree.wgsl" %}
@compute @workgroup_size({{ ox * ry }})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = group_number(group, groups) * {{ ox }}u + local % {{ ox }}u;
    let base = min(row, ROWS - 1u) * COLS;
    let first = local / {{ ox }}u;
    // Invocations beyond the last column start from the row's first value, not from -infinity.
    var top = in0[base];
    for (var j = first; j < COLS; j += {{ ry }}u) {
        top = max(top, in0[base + j]);
    }
    top = tree_max(local, top);
    var sum = 0.0;
    for (var j = first; j < COLS; j += {{ ry }}u) {
        sum += exp_1(in0[base + j] - top);
    }
    let scale = 1.0 / tree_add(local, sum);
    if row < ROWS {
        for (var j = first; j < COLS; j += {{ ry }}u) {
            out0[base + j] = exp_1(in0[base + j] - top) * scale;
        }
    }
}
