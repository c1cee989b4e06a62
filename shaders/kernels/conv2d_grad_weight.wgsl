{%- from "lib/operand.wgsl" import load, plain -%}
// conv2d_grad_weight: out[dy, dx, ci, co] = sum over b, y, x of X[b, y + dy - P, x + dx - P, ci] D[b, y, x, co],
// P = SIZE / 2, X = prologue(in_*) inside the image and zero outside, D = prologue_d(in_*).
//
// X is [BHW, CI], D [BHW, N], out0 [SIZE * SIZE * CI, N]; the contracted index is the pixel. Rows m of the
// product are (dy, dx, ci) with ci padded to a multiple of 4, so that four of them share a tap.
{% include "lib/ownership.wgsl" %}
{% include "lib/prelude.wgsl" %}
override PIXELS: u32; // BHW
override H: u32;
override W: u32;
override CI: u32;
override N: u32;
{% include "lib/splits.wgsl" %}
const BATCH: u32 = 1u;
const SIZE: u32 = {{ size }}u;
const SEGMENTS: u32 = 1u;
override CI_PADDED: u32 = (CI + 3u) / 4u * 4u;
override ROWS: u32 = SIZE * SIZE * CI_PADDED;
override LENGTH: u32 = PIXELS;

{{ bindings }}
{{ functions }}
{{- load("a", vector_a, "CI") }}
{{- load("b", vector_b, "N") }}
{{- plain("b", 0, "N", "PIXELS", k_tail) }}

// Four input channels at one tap; dy and dx wrap around below zero.
struct Quada {
    dy: u32,
    dx: u32,
    col: u32,
}

fn quad_a(g: u32, m: u32) -> Quada {
    let first = min(m, ROWS - 4u);
    let tap = first / CI_PADDED;
    return Quada(tap / SIZE - SIZE / 2u, tap % SIZE - SIZE / 2u, first % CI_PADDED);
}

fn segment_a(q: Quada, s: u32) -> Quada {
    return q;
}

fn block_a(q: Quada, k: u32) -> mat4x4<f32> {
    let pixel = k + vec4<u32>(0u, 1u, 2u, 3u);
{%- if size == 1 and not k_tail %}
    return mat4x4<f32>(a4(pixel.x, q.col), a4(pixel.y, q.col), a4(pixel.z, q.col), a4(pixel.w, q.col));
{%- else %}
{%- if size == 1 %}
    let inside = pixel < vec4<u32>(PIXELS);
    let row = select(vec4<u32>(k), pixel, inside);
{%- else %}
    let inside = (pixel / W % H + q.dy < vec4<u32>(H)) & (pixel % W + q.dx < vec4<u32>(W))
        {{- " & (pixel < vec4<u32>(PIXELS))" if k_tail }};
    let row = select(vec4<u32>(k), pixel + (q.dy * W + q.dx), inside);
{%- endif %}
    return mat4x4<f32>(
{%- for c in ["x", "y", "z", "w"] %}
        select(vec4<f32>(0.0), a4(row.{{ c }}, q.col), inside.{{ c }}),
{%- endfor %}
    );
{%- endif %}
}

fn quad_b(g: u32, n: u32) -> Quadb {
    return quad_at_b(0u, n);
}

fn segment_b(q: Quadb, s: u32) -> Quadb {
    return q;
}

{% include "lib/store.wgsl" %}
fn store(split: u32, g: u32, m: u32, n: u32, acc: vec4<f32>) {
    let tap = m / CI_PADDED;
    let ci = m % CI_PADDED;
    if m < ROWS && ci < CI {
        store_row((split * SIZE * SIZE + tap) * CI + ci, n, acc);
    }
}

{% include "lib/contract.wgsl" %}
