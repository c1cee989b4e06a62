// Elementary functions for f32 and vec4<f32> (suffix 1 and 4), because WGSL promises too little of
// its own: sin and cos only on [-pi, pi] and to 2^-11, exp to 3 + 2|x| ULP. Each reduces the range
// exactly, or nearly, and sums a short polynomial; relative errors are a few 1e-7 (of exp, where a
// compiler splits fma and adds up its constants, up to 2e-6 at |x| = 88). NaN is recognised by its
// bits and passed on, never swallowed by a clamp.
{% for w, F, I, U in [["1", "f32", "i32", "u32"], ["4", "vec4<f32>", "vec4<i32>", "vec4<u32>"]] %}
// `y`, or `x` where `x` is NaN.
fn keep_nan_{{ w }}(x: {{ F }}, y: {{ F }}) -> {{ F }} {
    return select(y, x, (bitcast<{{ I }}>(x) & {{ I }}(0x7fffffff)) > {{ I }}(0x7f800000));
}

// e^x with x clamped to [-87, 88]: 2^n e^r, |r| <= ln(2) / 2, Taylor of degree 7.
fn exp_{{ w }}(x: {{ F }}) -> {{ F }} {
    let c = clamp(x, {{ F }}(-87.0), {{ F }}(88.0));
    let n = round(c * 1.4426950408889634);
    let r = fma(n, {{ F }}(2.1219444005469058e-4), fma(n, {{ F }}(-0.693359375), c));
    var p = {{ F }}(1.984126984e-4);
{%- for c in ["1.388888889e-3", "8.333333333e-3", "4.166666667e-2", "0.1666666667", "0.5", "1.0", "1.0"] %}
    p = fma(p, r, {{ F }}({{ c }}));
{%- endfor %}
    return keep_nan_{{ w }}(x, p * bitcast<{{ F }}>(({{ I }}(n) + {{ I }}(127)) << {{ U }}(23u)));
}

// Natural logarithm of max(x, 1e-38). The maximum is taken on the bits, and a subnormal mantissa is
// converted as an integer, so that flushing subnormals to zero does not matter.
fn log_{{ w }}(x: {{ F }}) -> {{ F }} {
    let bits = max(bitcast<{{ I }}>(x), {{ I }}(0x006ce3ee));
    let tiny = bits < {{ I }}(0x00800000);
    let y = select(bits, bitcast<{{ I }}>({{ F }}(bits)), tiny);
    let e = (y - {{ I }}(0x3f2aaaab)) >> {{ U }}(23u);
    let f = bitcast<{{ F }}>(y - (e << {{ U }}(23u))) - 1.0;
    let s = f / (f + 2.0);
    let z = s * s;
    let p = z * fma(z, fma(z, fma(z, {{ F }}(0.2222222222), {{ F }}(0.2857142857)), {{ F }}(0.4)), {{ F }}(0.6666666667));
    let n = {{ F }}(e) + select({{ F }}(0.0), {{ F }}(-149.0), tiny);
    let value = fma(n, {{ F }}(0.693359375), fma(n, {{ F }}(-2.1219444005469058e-4), f - s * (f - p)));
    return keep_nan_{{ w }}(x, select(value, x, bits == {{ I }}(0x7f800000)));
}

// 1 / (1 + e^-x)
fn sigmoid_{{ w }}(x: {{ F }}) -> {{ F }} {
    return 1.0 / (1.0 + exp_{{ w }}(-x));
}

// log(1 + e^x) = max(x, 0) + log1p(t), t = e^-|x| in (0, 1], log1p(t) = 2 atanh(t / (2 + t)).
fn softplus_{{ w }}(x: {{ F }}) -> {{ F }} {
    let t = exp_{{ w }}(-abs(x));
    let s = t / (2.0 + t);
    let z = s * s;
    var p = {{ F }}(0.1538461538);
{%- for c in ["0.1818181818", "0.2222222222", "0.2857142857", "0.4", "0.6666666667", "2.0"] %}
    p = fma(p, z, {{ F }}({{ c }}));
{%- endfor %}
    return max(x, {{ F }}(0.0)) + s * p;
}

// sin(r + quarter * pi / 2) for |r| <= pi / 4.
fn quarter_wave_{{ w }}(r: {{ F }}, quarter: {{ I }}) -> {{ F }} {
    let z = r * r;
    var p = {{ F }}(2.755731922e-6);
{%- for c in ["-1.984126984e-4", "8.333333333e-3", "-0.1666666667"] %}
    p = fma(p, z, {{ F }}({{ c }}));
{%- endfor %}
    var q = {{ F }}(-2.755731922e-7);
{%- for c in ["2.480158730e-5", "-1.388888889e-3", "4.166666667e-2", "-0.5", "1.0"] %}
    q = fma(q, z, {{ F }}({{ c }}));
{%- endfor %}
    let v = select(fma(r * z, p, r), q, (quarter & {{ I }}(1)) == {{ I }}(1));
    return select(v, -v, (quarter & {{ I }}(2)) == {{ I }}(2));
}

// sin(x + shift * pi / 2): x = n pi / 2 + r with pi / 2 = 201 / 128 + 259753 / 2^29 - 8.705516e-10.
// The products with the first two are integers, exact for |x| <= 10^4: a compiler that adds up
// constants which multiply the same number (Mesa does, once it has split an fma) would lose all
// digits there.
fn shifted_sin_{{ w }}(x: {{ F }}, shift: i32) -> {{ F }} {
    let n = round(x * 0.6366197723675814);
    let q = {{ I }}(n);
    let p = q * 259753;
    let near = x - {{ F }}(q * 201) * 0.0078125;
    let tail = fma(n, {{ F }}(-8.705515695504166e-10), {{ F }}(p & {{ I }}(255)) * 1.862645149230957e-9);
    let r = (near - {{ F }}(p & {{ I }}(-256)) * 1.862645149230957e-9) - tail;
    return quarter_wave_{{ w }}(r, q + {{ I }}(shift));
}

fn sin_{{ w }}(x: {{ F }}) -> {{ F }} {
    return shifted_sin_{{ w }}(x, 0);
}

fn cos_{{ w }}(x: {{ F }}) -> {{ F }} {
    return shifted_sin_{{ w }}(x, 1);
}
{% endfor %}
// cos(2 pi u) for u in [0, 1]; the reduction is exact.
fn cos_turns(u: f32) -> f32 {
    let n = round(4.0 * u);
    return quarter_wave_1(fma(n, -0.25, u) * 6.283185307179586, i32(n) + 1);
}
