{%- from "lib/operand.wgsl" import load, plain -%}
// matmul: out[g, i, j] = epilogue(sum over p of A[g, i, p] B[g, p, j]), A = prologue(in_*).
//
// A is stored {{ "[BATCH, M, K]" if a_along_k else "[BATCH, K, M]" }}, B {{ "[BATCH, N, K]" if b_along_k else "[BATCH, K, N]" }}, out0 [BATCH, M, N].
{% include "lib/ownership.wgsl" %}
{% include "lib/prelude.wgsl" %}
override BATCH: u32;
override M: u32;
override N: u32;
override K: u32;
{% include "lib/splits.wgsl" %}
const SEGMENTS: u32 = 1u;
override ROWS: u32 = M;
override LENGTH: u32 = K;

{{ bindings }}
{{ functions }}
{{- load("a", vector_a, "K" if a_along_k else "M") }}
{{- load("b", vector_b, "K" if b_along_k else "N") }}
{{- plain("a", a_along_k, "M", "K", k_tail) }}
{{- plain("b", b_along_k, "N", "K", k_tail) }}

fn quad_a(g: u32, m: u32) -> Quada {
    return quad_at_a(g * {{ "M" if a_along_k else "K" }}, m);
}

fn segment_a(q: Quada, s: u32) -> Quada {
    return q;
}

fn quad_b(g: u32, n: u32) -> Quadb {
    return quad_at_b(g * {{ "N" if b_along_k else "K" }}, n);
}

fn segment_b(q: Quadb, s: u32) -> Quadb {
    return q;
}

{% include "lib/store.wgsl" %}
fn store(split: u32, g: u32, m: u32, n: u32, acc: vec4<f32>) {
    if m < M {
        store_row((split * BATCH + g) * M + m, n, acc);
    }
}

{% include "lib/contract.wgsl" %}
