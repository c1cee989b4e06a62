// reduce_map: sum_j(o) = sum over r of body_j(o, r); then out_i[point(o, r)] = map_i(o, r, sum_*(o)).
//
// Bindings: in_*: whatever the views of body and map reach; out_*: one element per point, KEPT * REDUCED.
// A workgroup owns {{ ox }} sums and the points below them; {{ ry }} invocations share a sum. Invocation ry takes
// r = ry, ry + {{ ry }}, ... in two interleaved f32 sums; a tree adds the {{ ry }} partial sums.
{% include "lib/prelude.wgsl" %}
override KEPT: u32;
override REDUCED: u32;

{{ bindings }}
{{ functions }}
{% include "lib/tree.wgsl" %}
@compute @workgroup_size({{ ox * ry }})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let kept = group_number(group, groups) * {{ ox }}u + local % {{ ox }}u;
    let o = min(kept, KEPT - 1u);
    let first = local / {{ ox }}u;
{%- for j in range(results) %}{% for u in range(2) %}
    var sum{{ j }}_{{ u }} = 0.0;
{%- endfor %}{% endfor %}
    var r = first;
    for (; r + {{ ry }}u < REDUCED; r += {{ 2 * ry }}u) {
{%- for u in range(2) %}
        let value{{ u }} = body(o, r + {{ u * ry }}u);
{%- for j in range(results) %}
        sum{{ j }}_{{ u }} += value{{ u }}{{ ".v" ~ j if results > 1 }};
{%- endfor %}{% endfor %}
    }
    if r < REDUCED {
        let value = body(o, r);
{%- for j in range(results) %}
        sum{{ j }}_0 += value{{ ".v" ~ j if results > 1 }};
{%- endfor %}
    }
{%- for j in range(results) %}
    let sum{{ j }} = tree_add(local, sum{{ j }}_0 + sum{{ j }}_1);
{%- endfor %}
    if kept < KEPT {
        for (r = first; r < REDUCED; r += {{ ry }}u) {
            let value = map(o, r{% for j in range(results) %}, sum{{ j }}{% endfor %});
            let p = point(o, r);
{%- for i in range(outputs) %}
            out{{ i }}[p] = value{{ ".v" ~ i if outputs > 1 }};
{%- endfor %}
        }
    }
}
