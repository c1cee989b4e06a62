// moments: mean = sum_r body(o, r) / REDUCED, rstd = 1 / sqrt(sum_r (body(o, r) - mean)^2 / REDUCED + EPS).
//
// Bindings: in_*: whatever the views of the body reach; out0: [KEPT, 2] (mean, rstd).
// A workgroup owns {{ ox }} outputs; {{ ry }} invocations share an output. Two passes, each as in reduce:
// invocation ry sums r = ry, ry + {{ ry }}, ... into two interleaved f32 sums, then a tree adds.
{% include "lib/prelude.wgsl" %}
override KEPT: u32;
override REDUCED: u32;
override EPS: f32;

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
{%- for pass, term in [["sum", "VALUE"], ["square", "(VALUE - mean) * (VALUE - mean)"]] %}
    var {{ pass }}_0 = 0.0;
    var {{ pass }}_1 = 0.0;
    var r_{{ pass }} = local / {{ ox }}u;
    for (; r_{{ pass }} + {{ ry }}u < REDUCED; r_{{ pass }} += {{ 2 * ry }}u) {
        let value0 = body(o, r_{{ pass }});
        let value1 = body(o, r_{{ pass }} + {{ ry }}u);
        {{ pass }}_0 += {{ term | replace("VALUE", "value0") }};
        {{ pass }}_1 += {{ term | replace("VALUE", "value1") }};
    }
    if r_{{ pass }} < REDUCED {
        let value = body(o, r_{{ pass }});
        {{ pass }}_0 += {{ term | replace("VALUE", "value") }};
    }
{%- if pass == "sum" %}
    let mean = tree_add(local, sum_0 + sum_1) / f32(REDUCED);
{%- else %}
    let variance = tree_add(local, square_0 + square_1) / f32(REDUCED);
{%- endif %}
{%- endfor %}
    if local < {{ ox }}u && kept < KEPT {
        out0[2u * kept] = mean;
        out0[2u * kept + 1u] = 1.0 / sqrt(variance + EPS);
    }
}
