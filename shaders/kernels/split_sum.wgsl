// split_sum: out[row, col] = epilogue(sum over s of partial[s, row, col]), the second half of a contraction
// whose k was split,
// or whose epilogue is kept apart.
//
// Bindings: in_*: whatever the views of the epilogue reach; partial: [SPLITS, ROWS, N]; out0: [ROWS, N].
// An invocation owns {{ 4 if vector_out else 1 }} output{{ "s" if vector_out }}, a workgroup 64 invocations. f32 sums in ascending s.
{%- set F = "vec4<f32>" if vector_out else "f32" %}
{% include "lib/prelude.wgsl" %}
override ROWS: u32;
override N: u32;
override SPLITS: u32;

{{ bindings }}
{{ functions }}
@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let thread = group_number(group, groups) * 64u + local;
    let i = thread * {{ 4 if vector_out else 1 }}u;
    if i >= ROWS * N {
        return;
    }
    var sum = {{ F }}(0.0);
    for (var s = 0u; s < SPLITS; s += 1u) {
        sum += partial[(s * ROWS * N + i) / {{ 4 if vector_out else 1 }}u];
    }
    out0[thread] = epilogue(i / N, i % N, sum);
}
