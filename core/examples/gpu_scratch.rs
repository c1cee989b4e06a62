use onestep_core::{data, exec::{gpu::*, Executor}, nets::*, train::{*, method::*}};
fn main() {
    let config = Config { batch: 64, ..Config::default() };
    let d = data::embedded_mnist();
    let setup = Setup {
        network: NetworkConfig::Unet(serde_json::from_str(r#"{"resolution":28,"channels":1,"patch":2,"model_channels":32,"channel_mult":[1,2],"num_blocks":1,"attn_middle":false}"#).unwrap()),
        data: DataSpec { shape: vec![28,28,1], rows: d.n, bytes: true },
        config,
    };
    let mut bytes = d.images.clone(); bytes.resize(bytes.len().next_multiple_of(4), 0);
    let words: Vec<u32> = bytes.chunks(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect();
    let t0=std::time::Instant::now(); let mut t = Trainer::new(Executor::Gpu(Box::new(pollster::block_on(GpuExecutor::new(&DeviceRequest{deterministic:true, ..Default::default()})).unwrap())), setup, &words).unwrap();
    pollster::block_on(async {
        for kind in [StepKind::Warmup, StepKind::Ratio, StepKind::Generator] {
            let t0=std::time::Instant::now(); t.prepare(kind).unwrap(); println!("prepare {:.2} s", t0.elapsed().as_secs_f64()); let t0=std::time::Instant::now(); t.step(kind).unwrap(); t.executor.sync().unwrap(); println!("first {:.3} s", t0.elapsed().as_secs_f64());let mut tot=f64::INFINITY; for _ in 0..3 {let t0=std::time::Instant::now(); t.step(kind).unwrap(); t.executor.sync().unwrap(); tot=tot.min(t0.elapsed().as_secs_f64());} println!("step {:.3} s", tot);
            let plan = t.plan(kind).unwrap().clone();
            let mut best = vec![f64::INFINITY; plan.launches.len()];
            let mut whole = f64::INFINITY;
            for _ in 0..4 {
                let times = t.profile(kind).await.unwrap();
                for x in &times { best[x.launch] = best[x.launch].min(x.secs); }
                whole = whole.min(times.iter().map(|x| x.secs).sum());
            }
            let mut by: std::collections::BTreeMap<&str,(f64,u64,u64,usize)> = Default::default();
            for (l, s) in plan.launches.iter().zip(&best) { let e=by.entry(l.kernel.name()).or_default(); e.0+=s; e.1+=l.flops; e.2+=l.bytes; e.3+=1; }
            println!("{kind:?}: best whole {:.2} ms, sum of best {:.2} ms", whole*1e3, best.iter().sum::<f64>()*1e3);
            for (k,(s,f,b,n)) in by { println!("   {k:<20} {n:>4} {:>8.2} ms {:>7.1} GFLOP/s {:>6.1} GB/s", s*1e3, f as f64/s*1e-9, b as f64/s*1e-9); }
            let mut order: Vec<usize> = (0..best.len()).collect();
            order.sort_by(|a, b| best[*b].total_cmp(&best[*a]));
            for i in order.into_iter().take(22) { let l = &plan.launches[i];
                use onestep_core::plan::Kernel::*;
                let d = match &l.kernel { Pointwise{body} => format!("{:?} {} insts {} res", body.dims, body.insts.len(), body.results.len()), Reduce{body,reduced} => format!("{:?} {} insts {} res {:?}", body.dims, body.insts.len(), body.results.len(), reduced), Moments{body,reduced,..} => format!("{:?} {} {reduced:?}", body.dims, body.insts.len()), MatMul{batch,m,n,k,ta,tb,prologue,epilogue} => format!("{batch}x{m}x{n}x{k} {ta} {tb} pro {} epi {}", prologue.insts.len(), epilogue.insts.len()), Conv2d{shape,flip,prologue,epilogue} => format!("{shape:?} {flip} pro {} epi {}", prologue.insts.len(), epilogue.insts.len()), Conv2dGradWeight{shape,prologue,prologue_d} => format!("{shape:?} pro {} {}", prologue.insts.len(), prologue_d.insts.len()), _ => String::new() };
                println!("   {:>7.3} ms {:>6.1} GF {:>5.1} GB/s  {:<16} {} | {}", best[i]*1e3, l.flops as f64/best[i]*1e-9, l.bytes as f64/best[i]*1e-9, l.kernel.name(), l.label, d);
            }
        }
    });
}
