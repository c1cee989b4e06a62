use super::super::theme::Theme;
use super::*;
use eframe::egui::{self, *};
use std::collections::HashMap;

fn render(
    mut show: impl FnMut(&mut Ui),
    size: Vec2,
    ppp: f32,
    dark: bool,
    hover: Option<Pos2>,
) -> onestep_core::data::Picture {
    let ctx = Context::default();
    ctx.set_theme(if dark { egui::Theme::Dark } else { egui::Theme::Light });
    let mut fonts: HashMap<TextureId, ColorImage> = HashMap::new();
    let mut shapes = Vec::new();
    for i in 0..6 {
        let mut input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, size)),
            time: Some(f64::from(i)),
            ..Default::default()
        };
        input.viewports.get_mut(&ViewportId::ROOT).unwrap().native_pixels_per_point = Some(ppp);
        if let Some(p) = hover {
            input.events.push(Event::PointerMoved(p));
        }
        let out = ctx.run_ui(input, |ui| {
            egui::CentralPanel::default().show(ui, |ui| show(ui));
        });
        for (id, delta) in out.textures_delta.set.clone() {
            let deltas = delta;
            for delta in deltas {
                let ImageData::Color(image) = &delta.image;
                if let Some(pos) = delta.pos {
                    let t = fonts.get_mut(&id).unwrap();
                    for y in 0..image.size[1] {
                        for x in 0..image.size[0] {
                            let w = t.size[0];
                            t.pixels[(y + pos[1]) * w + x + pos[0]] = image.pixels[y * image.size[0] + x];
                        }
                    }
                } else {
                    fonts.insert(id, ColorImage::clone(image));
                }
            }
        }
        shapes = out.shapes;
    }
    let (w, h) = ((size.x * ppp) as usize, (size.y * ppp) as usize);
    let mut buf = vec![[0f32; 3]; w * h];
    for prim in ctx.tessellate(shapes, ppp) {
        let epaint::Primitive::Mesh(mesh) = prim.primitive else { continue };
        let clip = prim.clip_rect * ppp;
        let tex = &fonts[&mesh.texture_id];
        for t in mesh.indices.chunks(3) {
            let v: Vec<_> = t.iter().map(|i| mesh.vertices[*i as usize]).collect();
            let p: Vec<_> = v.iter().map(|v| v.pos * ppp).collect();
            let area = (p[1] - p[0]).x * (p[2] - p[0]).y - (p[1] - p[0]).y * (p[2] - p[0]).x;
            if area == 0.0 || !area.is_finite() {
                continue;
            }
            let bb = Rect::from_points(&p).intersect(clip);
            for y in (bb.top().max(0.0) as usize)..(bb.bottom().ceil().max(0.0) as usize).min(h) {
                for x in (bb.left().max(0.0) as usize)..(bb.right().ceil().max(0.0) as usize).min(w) {
                    let q = pos2(x as f32 + 0.5, y as f32 + 0.5);
                    if !clip.contains(q) {
                        continue;
                    }
                    let e = |a: Pos2, b: Pos2| ((b - a).x * (q - a).y - (b - a).y * (q - a).x) / area;
                    let (l0, l1, l2) = (e(p[1], p[2]), e(p[2], p[0]), e(p[0], p[1]));
                    if l0 < 0.0 || l1 < 0.0 || l2 < 0.0 {
                        continue;
                    }
                    let uv = (v[0].uv.to_vec2() * l0 + v[1].uv.to_vec2() * l1 + v[2].uv.to_vec2() * l2)
                        * vec2(tex.size[0] as f32, tex.size[1] as f32);
                    let tc = tex.pixels
                        [(uv.y as usize).min(tex.size[1] - 1) * tex.size[0] + (uv.x as usize).min(tex.size[0] - 1)]
                    .to_array();
                    let c: Vec<f32> = (0..4)
                        .map(|k| {
                            (f32::from(v[0].color.to_array()[k]) * l0
                                + f32::from(v[1].color.to_array()[k]) * l1
                                + f32::from(v[2].color.to_array()[k]) * l2)
                                * f32::from(tc[k])
                                / 255.0
                        })
                        .collect();
                    let px = &mut buf[y * w + x];
                    for k in 0..3 {
                        px[k] = c[k] + px[k] * (1.0 - c[3] / 255.0);
                    }
                }
            }
        }
    }
    let pixels = buf.iter().flatten().map(|v| v.clamp(0.0, 255.0) as u8).collect();
    onestep_core::data::Picture { pixels, width: w, height: h, channels: 3 }
}

fn noise(i: &mut u64) -> f64 {
    *i = i.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    ((*i >> 33) as f64) / f64::from(1u32 << 31)
}

fn demo(lines: u64) -> Charts {
    let mut charts = Charts::new();
    let mut s = 1;
    for i in 1..=lines {
        let t = i as f64 / lines as f64;
        let mut v = BTreeMap::new();
        let mut put = |k: &str, x: f64| {
            v.insert(k.to_owned(), x);
        };
        if t < 0.15 {
            put("Loss/warmup", 0.3 + 0.6 * (-t * 30.0).exp() + 0.05 * noise(&mut s));
            put("Grad/warmup", 0.1 + 0.2 * noise(&mut s));
        } else {
            put("Loss/ratio", 1.386 - 0.5 * (-(t - 0.15) * 6.0).exp() + 0.15 * (noise(&mut s) - 0.5));
            put("Loss/generator", 0.8 * (-(t - 0.15) * 5.0).exp() + 0.2 * (noise(&mut s) - 0.5));
            put("Ratio/accuracy", 0.5 + 0.4 * (-(t - 0.15) * 5.0).exp() + 0.05 * (noise(&mut s) - 0.5));
            put("Ratio/logit_real", 1.0 - t + 0.3 * noise(&mut s));
            put("Ratio/logit_fake", -1.0 + t - 0.3 * noise(&mut s));
            put("Ratio/pull", 0.1 * (-t * 6.0).exp() * (0.2 + noise(&mut s)));
            put("Grad/ratio", 0.5 * (0.3 + noise(&mut s)));
            put("Grad/generator", 5e-3 * (0.3 + noise(&mut s)));
        }
        put("Timing/ms_per_step", 21.0 + 2.0 * noise(&mut s));
        charts.add(50 * i, &v);
    }
    let acc: Vec<f32> = (0..16).map(|i| 0.5 + 0.45 * (-(i as f32) / 4.0).exp()).collect();
    charts.set_accuracy(&acc, [0.02, 80.0]);
    charts.mark(lines * 25, "lr_ratio 0.0002".into());
    charts
}

#[test]
fn pictures() {
    for (name, n, size, ppp, dark, hover) in [
        ("a", 4000, [1024.0, 200.0], 1.0, true, None),
        ("b", 30, [1024.0, 200.0], 1.0, false, Some(pos2(150.0, 100.0))),
        ("c", 400, [1920.0, 300.0], 1.0, true, Some(pos2(400.0, 150.0))),
        ("d", 100_000, [480.0, 180.0], 2.0, false, None),
    ] {
        let mut charts = demo(n);
        if name == "c" {
            let dir = tempfile::tempdir().unwrap();
            let mut s = 5;
            let text: String = (1..500)
                .map(|i| {
                    format!(
                        "{{\"step\":{},\"Loss/ratio\":{},\"Quality/fid_lenet\":{}}}\n",
                        i * 50,
                        1.2 + 0.2 * noise(&mut s),
                        3.0 + 5.0 / f64::from(i)
                    )
                })
                .collect();
            std::fs::write(dir.path().join("stats.jsonl"), text).unwrap();
            charts.compare(dir.path()).unwrap();
            charts.view = Some([0.0, 22_000.0]);
        }
        let picture = render(
            |ui| {
                let theme = Theme::of(ui);
                charts.show(ui, &theme);
            },
            size.into(),
            ppp,
            dark,
            hover,
        );
        picture.save_png(format!("{}/{name}.png", std::env::var("PICTURES").unwrap_or("/tmp".into()))).unwrap();
    }
}
