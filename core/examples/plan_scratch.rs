use onestep_core::{nets::*, train::{*, method::*}};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let setup = Setup {
        network: NetworkConfig::Unet(serde_json::from_str(r#"{"resolution":28,"channels":1,"patch":2,"model_channels":32,"channel_mult":[1,2],"num_blocks":1,"attn_middle":false}"#).unwrap()),
        data: DataSpec { shape: vec![28,28,1], rows: 10000, bytes: true },
        config: Config::default(),
    };
    println!("params {} {}", setup.network.generator_layout().parameters(), setup.network.ratio_layout().parameters());
    for kind in [StepKind::Warmup, StepKind::Ratio, StepKind::Generator] {
        let t = std::time::Instant::now();
        let plan = setup.plan(kind).unwrap();
        let text = plan.to_string();
        if a.len() > 1 && format!("{kind:?}") == a[1] { println!("{text}"); } else { println!("{}", text.lines().last().unwrap()); }
        println!("   {:?} arenas {:?}", t.elapsed(), plan.arenas.iter().map(|a| a.len/256).collect::<Vec<_>>());
    }
}
