{%- from "lib/operand.wgsl" import load, plain -%}
// conv2d: out[b, y, x, co] = epilogue(sum over dy, dx, ci of X[b, y + dy - P, x + dx - P, ci] W[dy, dx, ci, co]),
// P = SIZE / 2, X = prologue(in_*) inside the image and zero outside, as an implicit product over k = (dy, dx, ci).
//
// X is [BHW, CI] with BHW = B * H * W rows, out0 [BHW, N] with N channels. W is stored
// {{ "[SIZE, SIZE, N, CI] and read at the mirrored tap (input gradient)" if b_along_k else "[SIZE, SIZE, CI, N]" }}.
{% include "lib/ownership.wgsl" %}
{% include "lib/prelude.wgsl" %}
override ROWS: u32; // BHW
override H: u32;
override W: u32;
override CI: u32;
override N: u32;
{% include "lib/splits.wgsl" %}
const BATCH: u32 = 1u;
const SIZE: u32 = {{ size }}u;
const SEGMENTS: u32 = {{ size * size }}u;
override LENGTH: u32 = CI;

{{ bindings }}
{{ functions }}
{{- load("a", vector_a, "CI") }}
{{- load("b", vector_b, "CI" if b_along_k else "N") }}
{{- plain("b", b_along_k, "N", "CI", k_tail) }}

// Four pixels, and whether the tap at hand falls into the image at each.
struct Quada {
    row: vec4<u32>,
    y: vec4<u32>,
    x: vec4<u32>,
    inside: vec4<bool>,
}

fn quad_a(g: u32, m: u32) -> Quada {
    let row = min(m + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(ROWS - 1u));
    return Quada(row, row / W % H, row % W, vec4<bool>(true));
}

fn segment_a(q: Quada, s: u32) -> Quada {
{%- if size == 1 %}
    return q;
{%- else %}
    // Wraps around below zero, so one comparison checks both edges.
    let dy = s / SIZE - SIZE / 2u;
    let dx = s % SIZE - SIZE / 2u;
    let inside = (q.y + dy < vec4<u32>(H)) & (q.x + dx < vec4<u32>(W));
    return Quada(select(q.row, q.row + (dy * W + dx), inside), q.y, q.x, inside);
{%- endif %}
}

fn block_a(q: Quada, k: u32) -> mat4x4<f32> {
{%- if size == 1 %}
    return mat4x4<f32>(a4(q.row.x, k), a4(q.row.y, k), a4(q.row.z, k), a4(q.row.w, k));
{%- else %}
    return mat4x4<f32>(
{%- for c in ["x", "y", "z", "w"] %}
        select(vec4<f32>(0.0), a4(q.row.{{ c }}, k), q.inside.{{ c }}),
{%- endfor %}
    );
{%- endif %}
}

fn quad_b(g: u32, n: u32) -> Quadb {
    return quad_at_b(0u, n);
}

fn segment_b(q: Quadb, s: u32) -> Quadb {
    return shift_b(q, {{ "(SEGMENTS - 1u - s) * N" if b_along_k else "s * CI" }});
}

{% include "lib/store.wgsl" %}
fn store(split: u32, g: u32, m: u32, n: u32, acc: vec4<f32>) {
    if m < ROWS {
        store_row(split * ROWS + m, n, acc);
    }
}

{% include "lib/contract.wgsl" %}
