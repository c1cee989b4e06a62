// reduce: out_j[s, o] = sum over r in chunk s of body_j(o, r), o < KEPT, r < REDUCED.
//
// Bindings: in_*: whatever the views of the body reach; out_*: [chunks, KEPT].
// A workgroup owns {{ ox }} outputs of one chunk; {{ ry }} invocations share an output. Invocation ry sums
// r = ry, ry + {{ ry }}, ... into four interleaved f32 sums; a tree adds the {{ ry }} partial sums.
{% include "lib/prelude.wgsl" %}
override KEPT: u32;
override REDUCED: u32;
// Summed positions per chunk; REDUCED if there is only one chunk.
override CHUNK: u32;

{{ bindings }}
{{ functions }}
{% include "lib/tree.wgsl" %}
@compute @workgroup_size({{ ox * ry }})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group_number(group, groups);
    let blocks = (KEPT + {{ ox - 1 }}u) / {{ ox }}u;
    let kept = (number % blocks) * {{ ox }}u + local % {{ ox }}u;
    let chunk = number / blocks;
    let o = min(kept, KEPT - 1u);
    let end = min((chunk + 1u) * CHUNK, REDUCED);
    var r = chunk * CHUNK + local / {{ ox }}u;
{%- for j in range(results) %}{% for u in range(4) %}
    var sum{{ j }}_{{ u }} = 0.0;
{%- endfor %}{% endfor %}
    for (; r + {{ 3 * ry }}u < end; r += {{ 4 * ry }}u) {
{%- for u in range(4) %}
        let value{{ u }} = body(o, r + {{ u * ry }}u);
{%- for j in range(results) %}
        sum{{ j }}_{{ u }} += value{{ u }}{{ ".v" ~ j if results > 1 }};
{%- endfor %}{% endfor %}
    }
    for (; r < end; r += {{ ry }}u) {
        let value = body(o, r);
{%- for j in range(results) %}
        sum{{ j }}_0 += value{{ ".v" ~ j if results > 1 }};
{%- endfor %}
    }
{%- for j in range(results) %}
    let total{{ j }} = tree_add(local, (sum{{ j }}_0 + sum{{ j }}_1) + (sum{{ j }}_2 + sum{{ j }}_3));
{%- endfor %}
    // Folding the workgroups into a grid may leave some over.
    if local < {{ ox }}u && kept < KEPT && chunk * CHUNK < REDUCED {
{%- for j in range(results) %}
        out{{ j }}[chunk * KEPT + kept] = total{{ j }};
{%- endfor %}
    }
}
