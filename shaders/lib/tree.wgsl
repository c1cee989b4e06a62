// Combines the {{ ry }} values that the invocations `ox + {{ ox }} * ry` of a workgroup hold, in a fixed
// order, and hands the result to all of them. Call in uniform control flow.
{%- if ry > 1 %}
var<workgroup> partial: array<f32, {{ ox * ry }}>;
{%- endif %}
{% for name, expr in [["tree_add", "partial[local] + partial[local + STRIDE]"], ["tree_max", "max(partial[local], partial[local + STRIDE])"]] %}
fn {{ name }}(local: u32, value: f32) -> f32 {
{%- if ry > 1 %}
    partial[local] = value;
    workgroupBarrier();
{%- for half in [128, 64, 32, 16, 8, 4, 2, 1] %}
{%- if half < ry %}
    if local < {{ half * ox }}u {
        partial[local] = {{ expr | replace("STRIDE", half * ox ~ "u") }};
    }
    workgroupBarrier();
{%- endif %}
{%- endfor %}
    let result = partial[local % {{ ox }}u];
    workgroupBarrier(); // before the next call writes
    return result;
{%- else %}
    return value;
{%- endif %}
}
{% endfor %}
