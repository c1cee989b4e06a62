// Stores columns n .. n + 3 of a row of the output [rows, N] through the epilogue.
fn store_row(row: u32, n: u32, acc: vec4<f32>) {
{%- if vector_out %}
    if n < N {
        out0[(row * N + n) / 4u] = epilogue(row, n, acc);
    }
{%- else %}
{%- for c, u in [["x", 0], ["y", 1], ["z", 2], ["w", 3]] %}
    if n + {{ u }}u < N {
        out0[row * N + n + {{ u }}u] = epilogue(row, n + {{ u }}u, acc.{{ c }});
    }
{%- endfor %}
{%- endif %}
}
