// record: out[(step mod RING) * {{ inputs }} + i] = in_i[0], a ring of statistics.
//
// One invocation does all of it. No accumulation.
{% include "lib/prelude.wgsl" %}
override RING: u32;

{% for i in range(inputs) -%}
@group(0) @binding({{ i + 1 }}) var<storage, read> in{{ i }}: array<f32>; // [1]
{% endfor -%}
@group(0) @binding({{ inputs + 1 }}) var<storage, read_write> out0: array<f32>; // [RING, {{ inputs }}]

@compute @workgroup_size(1)
fn main() {
    let row = (run.step % RING) * {{ inputs }}u;
{%- for i in range(inputs) %}
    out0[row + {{ i }}u] = in{{ i }}[0];
{%- endfor %}
}
