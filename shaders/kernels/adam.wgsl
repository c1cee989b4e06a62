// adam: Adam (Kingma and Ba 2015) with clipping by global norm, bias correction and EMA, in place.
//
//   scale = clip > 0 ? min(1, clip / sqrt(norm_sq)) : 1;   g = grad * scale
//   m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2
//   param -= lr (m / c1) / (sqrt(v / c2) + eps);   ema += (1 - decay) (param - ema)
//
// Nothing changes if norm_sq is not finite, found by its exponent bits. An invocation owns
// {{ 4 if vector else 1 }} element{{ "s" if vector }}, a workgroup 64 invocations. No accumulation.
{%- set F = "vec4<f32>" if vector else "f32" %}
{% include "lib/prelude.wgsl" %}
// Elements per array, in units of what an invocation owns.
override ITEMS: u32;
// Positions of the hyperparameters in `run.scalars`.
override LR: u32;
override BETA1: u32;
override BETA2: u32;
override ADAM_EPS: u32;
override CORRECTION1: u32;
override CORRECTION2: u32;
override EMA_DECAY: u32;
override CLIP: u32;

@group(0) @binding(1) var<storage, read> in0: array<{{ F }}>; // grad [N]
@group(0) @binding(2) var<storage, read> in1: array<f32>; // norm_sq [1]
@group(0) @binding(3) var<storage, read_write> out0: array<{{ F }}>; // param [N]
@group(0) @binding(4) var<storage, read_write> out1: array<{{ F }}>; // m [N]
@group(0) @binding(5) var<storage, read_write> out2: array<{{ F }}>; // v [N]
@group(0) @binding(6) var<storage, read_write> out3: array<{{ F }}>; // ema [N]

fn scalar(i: u32) -> f32 {
    return run.scalars[i / 4u][i % 4u];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = group_number(group, groups) * 64u + local;
    let norm_sq = in1[0];
    if i >= ITEMS || (bitcast<u32>(norm_sq) & 0x7f800000u) == 0x7f800000u {
        return;
    }
    let clip = scalar(CLIP);
    // Written without a division by a norm of zero.
    var scale = 1.0;
    if clip > 0.0 && norm_sq > clip * clip {
        scale = clip / sqrt(norm_sq);
    }
    let g = in0[i] * scale;
    let m = fma({{ F }}(scalar(BETA1)), out1[i], (1.0 - scalar(BETA1)) * g);
    let v = fma({{ F }}(scalar(BETA2)), out2[i], (1.0 - scalar(BETA2)) * g * g);
    let update = (m / scalar(CORRECTION1)) / (sqrt(v / scalar(CORRECTION2)) + scalar(ADAM_EPS));
    let param = out0[i] - scalar(LR) * update;
    let ema = out3[i];
    out0[i] = param;
    out1[i] = m;
    out2[i] = v;
    out3[i] = ema + (1.0 - scalar(EMA_DECAY)) * (param - ema);
}
