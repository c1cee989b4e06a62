use onestep_core::{data, exec::{cpu::CpuExecutor, Executor}, nets::*, train::{*, method::*}};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let get = |k: &str, d: f64| a.iter().position(|x| x == k).map_or(d, |i| a[i+1].parse().unwrap());
    let mut config = Config { batch: get("batch", 64.) as usize, warmup_steps: get("warm", 300.) as u64, width: get("width", 32.) as usize, ..Config::default() };
    config.lr_generator = get("lrg", 5e-4) as f32; config.lr_ratio = get("lrr", 5e-4) as f32; config.clip = get("clip", 1.0) as f32;
    config.lr_warmup = get("lrw", 2e-3) as f32; config.ema = get("ema", 0.999) as f32; config.ratio_steps = get("rs", 1.0) as u32;
    config.sigma_init = get("si", 80.0) as f32; config.sigma_max=get("smax",20.) as f32; config.sigma_min=get("smin",0.05) as f32;
    let d = data::embedded_mnist();
    let mult = if get("levels", 2.) == 3. { "[1,2,2]" } else if get("levels",2.)==22. {"[2,2]"} else { "[1,2]" };
    let setup = Setup {
        network: NetworkConfig::Unet(serde_json::from_str(&format!(r#"{{"resolution":28,"channels":1,"patch":2,"model_channels":{},"channel_mult":{mult},"num_blocks":1,"attn_middle":false}}"#, config.width)).unwrap()),
        data: DataSpec { shape: vec![28,28,1], rows: d.n, bytes: true },
        config,
    };
    let mut bytes = d.images.clone(); bytes.resize(bytes.len().next_multiple_of(4), 0);
    let words: Vec<u32> = bytes.chunks(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect();
    let out = std::path::PathBuf::from(a.iter().position(|x| x == "out").map_or("/tmp/logs/run", |i| &a[i+1]));
    std::fs::create_dir_all(&out).unwrap();
    let mut cpu = CpuExecutor::new(); cpu.poison = true;
    let mut t = Trainer::new(Executor::Cpu(cpu), setup, &words).unwrap();
    let lat: Vec<f32> = (0..64).flat_map(|s| latent(s, 784)).collect();
    let mut av = Averages::default();
    let start = std::time::Instant::now();
    pollster::block_on(async {
        if a.iter().any(|x| x=="profile") { for kind in [StepKind::Warmup, StepKind::Ratio, StepKind::Generator] { t.prepare(kind).unwrap(); 
          let times = t.profile(kind).await.unwrap(); let times = { drop(times); t.profile(kind).await.unwrap() };
          let mut by: std::collections::BTreeMap<&str,(f64,u64,usize)> = Default::default();
          let plan = t.plan(kind).unwrap().clone();
          for x in &times { let l=&plan.launches[x.launch]; let e=by.entry(l.kernel.name()).or_default(); e.0+=x.secs; e.1+=l.flops; e.2+=1; }
          println!("{kind:?}: {:.1} ms", times.iter().map(|x|x.secs).sum::<f64>()*1e3);
          for (k,(s,f,n)) in by { println!("   {k:<20} {n:>4} {:>8.2} ms {:>7.1} GFLOP/s", s*1e3, f as f64/s*1e-9); }
        }
        }
        let mut began = false;
        let total = get("steps", 1000.) as u64;
        let mut done = 0;
        while done < total {
            if t.in_warmup() { t.step(StepKind::Warmup).unwrap(); } else {
                if !began { began = true; t.begin_distillation().await.unwrap(); }
                for _ in 0..t.config().ratio_steps { t.step(StepKind::Ratio).unwrap(); }
                t.step(StepKind::Generator).unwrap(); done += 1;
            }
            let n = t.counters.warmup + t.counters.generator;
            if n % 50 == 0 { 
                t.statistics(&mut av).await.unwrap();
                println!("{} {:.0}s {}", n, start.elapsed().as_secs_f64(), av.take().iter().map(|(k,v)| format!("{k}={v:.4}")).collect::<Vec<_>>().join(" "));
            }
            if n % 250 == 0 {
                let s = t.sample(&lat).await.unwrap();
                let img: Vec<u8> = s.iter().map(|x| ((x+1.0)*127.5).round().clamp(0.,255.) as u8).collect();
                data::save_grid(out.join(format!("{n:06}.png")), &img, [64,28,28,1], 16, 2).unwrap();
            }
        }
    });
}
