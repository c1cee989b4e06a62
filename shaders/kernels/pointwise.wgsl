// pointwise: out_j[i] = body_j(i), i < POINTS.
//
// Bindings: in_*: whatever the views of the body reach; out_*: [POINTS].
// An invocation owns {{ 4 if vector else 1 }} point{{ "s" if vector }}, a workgroup 64 invocations. No accumulation.
{% include "lib/prelude.wgsl" %}
override POINTS: u32;

{{ bindings }}
{{ functions }}
@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let thread = group_number(group, groups) * 64u + local;
    let i = thread * {{ 4 if vector else 1 }}u;
    if i >= POINTS {
        return;
    }
{%- if results == 1 %}
    out0[thread] = body(i);
{%- else %}
    let value = body(i);
{%- for j in range(results) %}
    out{{ j }}[thread] = value.v{{ j }};
{%- endfor %}
{%- endif %}
}
