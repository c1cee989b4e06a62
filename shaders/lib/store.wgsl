// Stores columns n .. n + 3 of a row of the output [rows, N] through the epilogue.
fn store_row(row: u32, n: u32, acc: vec4<f32>) {
{%- if vector_out %}
    if n < N {
        out0[(row * N + n) / 4u] = epilogue(row, n, acc);
    }
{%- else %}
{%- for c in ["x", "y", "z", "w"] %}
    if n + {{ loop.index0 }}u < N {
        out0[row * N + n + {{ loop.index0 }}u] = epilogue(row, n + {{ loop.index0 }}u, acc.{{ c }});
    }
{%- endfor %}
{%- endif %}
}
