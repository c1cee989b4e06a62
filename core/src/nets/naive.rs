//! The U-Net a second time, as plain f64 loops over the tensors of a file: the oracle of
//! [`super::unet`]. One image, channels first, layer by layer in the published order; it shares
//! nothing with the graph but the tensors' names.

use super::{Tensors, UnetConfig};

/// Channels, rows, columns.
#[derive(Clone)]
struct Image {
    c: usize,
    h: usize,
    w: usize,
    values: Vec<f64>,
}

impl Image {
    fn new(c: usize, [h, w]: [usize; 2], value: impl Fn(usize, usize, usize) -> f64) -> Self {
        let mut values = Vec::new();
        for i in 0..c * h * w {
            values.push(value(i / (h * w), i / w % h, i % w));
        }
        Self { c, h, w, values }
    }

    fn size(&self) -> [usize; 2] {
        [self.h, self.w]
    }

    fn at(&self, c: usize, y: usize, x: usize) -> f64 {
        self.values[(c * self.h + y) * self.w + x]
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { values: self.values.iter().map(|x| f(*x)).collect(), ..self.clone() }
    }

    fn plus(&self, other: &Self, scale: f64) -> Self {
        Self::new(self.c, self.size(), |c, y, x| (self.at(c, y, x) + other.at(c, y, x)) * scale)
    }
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

/// The network's tensors and settings.
pub struct Naive<'a> {
    pub tensors: &'a Tensors,
    pub config: &'a UnetConfig,
}

impl Naive<'_> {
    fn tensor(&self, name: &str, index: usize) -> f64 {
        f64::from(self.tensors.get(name).unwrap().values[index])
    }

    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let out = self.tensors[&format!("{name}.weight")].shape[0];
        let row = |o: usize| (0..x.len()).map(move |i| self.tensor(&format!("{name}.weight"), o * x.len() + i) * x[i]);
        (0..out).map(|o| row(o).sum::<f64>() + self.tensor(&format!("{name}.bias"), o)).collect()
    }

    fn conv(&self, name: &str, image: &Image) -> Image {
        let weight = format!("{name}.weight");
        let [co, ci, k, _] = self.tensors[&weight].shape[..] else { panic!("{name} is no convolution") };
        assert_eq!(ci, image.c, "{name}");
        Image::new(co, image.size(), |o, y, x| {
            let mut sum = self.tensor(&format!("{name}.bias"), o);
            for (c, dy, dx) in (0..ci * k * k).map(|i| (i / (k * k), i / k % k, i % k)) {
                let (sy, sx) = ((y + dy).wrapping_sub(k / 2), (x + dx).wrapping_sub(k / 2));
                if sy < image.h && sx < image.w {
                    sum += self.tensor(&weight, ((o * ci + c) * k + dy) * k + dx) * image.at(c, sy, sx);
                }
            }
            sum
        })
    }

    fn norm(&self, name: &str, image: &Image) -> Image {
        let groups = 32.min(image.c / 4);
        let size = image.values.len() / groups;
        Image::new(image.c, image.size(), |c, y, x| {
            let group = &image.values[c / (image.c / groups) * size..][..size];
            let mean = group.iter().sum::<f64>() / size as f64;
            let variance = group.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / size as f64;
            let unit = (image.at(c, y, x) - mean) / (variance + 1e-6).sqrt();
            unit * self.tensor(&format!("{name}.weight"), c) + self.tensor(&format!("{name}.bias"), c)
        })
    }

    fn attention(&self, name: &str, image: &Image) -> Image {
        let qkv = self.conv(&format!("{name}.qkv"), &self.norm(&format!("{name}.norm2"), image));
        let (t, d) = (image.h * image.w, self.config.channels_per_head.unwrap_or(image.c));
        // Channel (head d + c) 3 + j is channel c of q, k or v.
        let part = |channel: usize, j: usize, token: usize| qkv.values[(3 * channel + j) * t + token];
        let score = |head: usize, q: usize, k: usize| {
            let dot: f64 = (head * d..(head + 1) * d).map(|c| part(c, 0, q) * part(c, 1, k)).sum();
            (dot / (d as f64).sqrt()).exp()
        };
        let mixed = Image::new(image.c, image.size(), |c, y, x| {
            let weights: Vec<f64> = (0..t).map(|k| score(c / d, y * image.w + x, k)).collect();
            let sum: f64 = weights.iter().enumerate().map(|(k, w)| w * part(c, 2, k)).sum();
            sum / weights.iter().sum::<f64>()
        });
        self.conv(&format!("{name}.proj"), &mixed)
    }

    fn block(&self, name: &str, x: &Image, embedding: &[f64]) -> Image {
        let resized = |i: &Image| match name {
            _ if name.ends_with("_up") => Image::new(i.c, [2 * i.h, 2 * i.w], |c, y, x| i.at(c, y / 2, x / 2)),
            _ if name.ends_with("_down") => Image::new(i.c, [i.h / 2, i.w / 2], |c, y, x| {
                (0..4).map(|k| i.at(c, 2 * y + k / 2, 2 * x + k % 2)).sum::<f64>() / 4.0
            }),
            _ => i.clone(),
        };
        let part = |part: &str| format!("{name}.{part}");
        let h = self.conv(&part("conv0"), &resized(&self.norm(&part("norm0"), x).map(silu)));
        let shift = self.linear(&part("affine"), embedding);
        let h = if self.config.adaptive_scale {
            let h = self.norm(&part("norm1"), &h);
            Image::new(h.c, h.size(), |c, y, x| h.at(c, y, x) * (shift[c] + 1.0) + shift[h.c + c])
        } else {
            self.norm(&part("norm1"), &Image::new(h.c, h.size(), |c, y, x| h.at(c, y, x) + shift[c]))
        };
        let h = self.conv(&part("conv1"), &h.map(silu));
        let has = |layer: &str| self.tensors.contains_key(&part(layer));
        let skip = if has("skip.weight") { self.conv(&part("skip"), &resized(x)) } else { resized(x) };
        let x = h.plus(&skip, 0.5f64.sqrt());
        if has("qkv.weight") { self.attention(name, &x).plus(&x, 0.5f64.sqrt()) } else { x }
    }

    /// The network's output for one image `[H, W, C]`, channels last as in the graph, of this class.
    pub fn run(&self, pixels: &[f64], noise: f64, class: Option<usize>) -> Vec<f64> {
        let UnetConfig { resolution, width, channels, model_channels, channel_mult, num_blocks, .. } = self.config;
        let half = model_channels / 2;
        let angle = |i: usize| noise * 10000f64.powf(-(i as f64) / (half - 1) as f64);
        let sines = (0..half).map(|i| angle(i).sin()).chain((0..half).map(|i| angle(i).cos())).collect::<Vec<_>>();
        let mut sines = sines;
        if self.config.label_dim > 0 {
            let count = self.config.label_dim;
            let label = |k| if class == Some(k) { (count as f64).sqrt() } else { 0.0 };
            let label = self.linear("map_label", &(0..count).map(label).collect::<Vec<_>>());
            sines.iter_mut().zip(label).for_each(|(x, y)| *x += y);
        }
        let layer = |name: &str, x: &[f64]| self.linear(name, x).into_iter().map(silu).collect::<Vec<_>>();
        let embedding = layer("map_layer1", &layer("map_layer0", &sines));

        let width = width.unwrap_or(*resolution);
        let res = |level: usize| format!("{}x{}", resolution >> level, width >> level);
        let image = Image::new(*channels, [*resolution, width], |c, y, x| pixels[(y * width + x) * channels + c]);
        let mut x = self.conv(&format!("enc.{}_conv", res(0)), &image);
        let mut skips = vec![x.clone()];
        for level in 0..channel_mult.len() {
            let down = (level > 0).then(|| "down".to_owned());
            for name in down.into_iter().chain((0..*num_blocks).map(|i| format!("block{i}"))) {
                x = self.block(&format!("enc.{}_{name}", res(level)), &x, &embedding);
                skips.push(x.clone());
            }
        }
        for level in (0..channel_mult.len()).rev() {
            let first = if level + 1 == channel_mult.len() { vec!["in0", "in1"] } else { vec!["up"] };
            for name in first {
                x = self.block(&format!("dec.{}_{name}", res(level)), &x, &embedding);
            }
            for i in 0..=*num_blocks {
                let skip = skips.pop().unwrap();
                x = Image { c: x.c + skip.c, values: [x.values, skip.values].concat(), ..skip };
                x = self.block(&format!("dec.{}_block{i}", res(level)), &x, &embedding);
            }
        }
        let x = self.norm(&format!("dec.{}_aux_norm", res(0)), &x).map(silu);
        let out = self.conv(&format!("dec.{}_aux_conv", res(0)), &x);
        (0..pixels.len()).map(|i| out.at(i % channels, i / channels / width, i / channels % width)).collect()
    }
}
