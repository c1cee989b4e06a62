//! Flags, settings, and what is listed without a run.

use serde_json::Value;

use crate::{Run, command, folder, names, run};

#[test]
fn several_processes_of_a_program_without_mpi_are_refused_by_the_first() {
    let folder = folder();
    let start = |rank: &str| {
        let mut command = command(&folder, &["train", "--data", "gaussians", "--device", "cpu"]);
        Run::from(command.env("PMI_SIZE", "2").env("PMI_RANK", rank).output().expect("the program starts"))
    };
    start("0").fails(2, &["without MPI", "--features mpi"]);
    let second = start("1");
    assert_eq!((second.code, &second.stderr[..]), (Some(2), ""), "one line is enough");
    assert!(names(folder.path()).is_empty(), "no process trains by itself");
}

#[test]
fn slices_that_do_not_fit_are_refused() {
    run(&folder(), "train --batch 64 --accumulate 3").fails(2, &["batch = 64", "3 slices"]);
}

#[test]
fn wrong_flags_and_settings_are_one_line_and_code_2() {
    let folder = folder();
    for (line, words) in [
        ("train --preset mnits", &["mnits", "gaussians", "mnist"][..]),
        ("train --bach 64", &["--bach", "--batch"]),
        ("train --batch many", &["many", "--batch"]),
        ("train --batch 0", &["batch", "2..=65536"]),
        ("train --batch 99999999999999999999", &["--batch"]),
        ("train --lr-critic nan", &["lr_critic", "NaN"]),
        ("train --lr-critic -1", &["lr_critic", "0..=1"]),
        ("train --sigma-min 30", &["sigma_min", "sigma_max"]),
        ("train --divergence kl", &["kl", "--divergence"]),
        ("train --method vsd2", &["vsd2", "diffratio"]),
        ("train --multipliers 1,x", &["1,x", "1,2,4"]),
        ("train --multipliers 1,1,1,1 --dry-run", &["resolution", "--resize 16"]),
        ("train --data no/such/folder", &["no/such/folder", "mnist-10k"]),
        ("train --config absent.toml", &["absent.toml"]),
        ("train --preset gaussians --device gpu:99", &["gpu:99", "--device cpu"]),
        ("train --preset gaussians --device NoSuchCard", &["NoSuchCard", "--device cpu"]),
        ("train --preset gaussians --device cpu --outdir /proc/onestep -q", &["/proc/onestep"]),
        ("train --resume absent --device cpu", &["absent"]),
        ("train --resume latest --transfer x", &["--resume", "--transfer"]),
        ("plan --step sideways", &["sideways", "generator"]),
        ("sample --model absent.safetensors --out a.npy", &["absent.safetensors"]),
        ("nonsense", &["nonsense"]),
    ] {
        run(&folder, line).fails(2, words);
    }
    assert_eq!(names(folder.path()), [""; 0], "nothing is left behind");
}

#[test]
fn config_files_and_environment_are_layers_with_named_errors() {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.toml", "batch = 32\nlr_ratio = 0.5\nmultipliers = [1, 2]\n");
    let config = |args: &[&str], variables: &[(&str, &str)]| -> Run {
        let line = [&["train", "--preset", "gaussians", "--dry-run", "--json"], args].concat();
        command(&folder, &line).envs(variables.iter().copied()).output().unwrap().into()
    };
    let setting = |run: Run, name: &str| serde_json::from_str::<Value>(&run.ok()).unwrap()["config"][name].clone();
    assert_eq!(setting(config(&[], &[]), "batch"), 512);
    assert_eq!(setting(config(&["--config", "a.toml"], &[]), "batch"), 32);
    let variable = [("ONESTEP_BATCH", "48")];
    assert_eq!(setting(config(&["--config", "a.toml"], &variable), "batch"), 48);
    assert_eq!(setting(config(&["--config", "a.toml", "--batch", "16"], &variable), "batch"), 16);
    assert_eq!(setting(config(&["--config", "a.toml"], &variable), "lr_critic"), 0.5, "by its old name");
    assert_eq!(setting(config(&["--ratio-steps", "3"], &[]), "critic_steps"), 3, "an old name of a flag");

    write("typo.toml", "batch = 32\nbach = 3\n");
    config(&["--config", "typo.toml"], &[]).fails(2, &["typo.toml", "line 2", "bach"]);
    write("typo.json", "{\n\"bach\": 3}");
    config(&["--config", "typo.json"], &[]).fails(2, &["typo.json", "line 2", "bach"]);
    #[cfg(unix)]
    config(&["--config", "/dev/zero"], &[]).fails(2, &["/dev/zero", "device or pipe"]);
    for quiet in [&[][..], &["--quiet"]] {
        let mistyped = config(quiet, &[("ONESTEP_STEP", "100")]).stderr;
        assert!(mistyped.contains("ONESTEP_STEP has no effect: there is no such setting"), "{quiet:?}: {mistyped}");
    }
    write("nan.toml", "lr_critic = nan");
    config(&["--config", "nan.toml"], &[]).fails(2, &["lr_critic", "NaN"]);
    config(&[], &[("ONESTEP_BATCH", "many")]).fails(2, &["ONESTEP_BATCH", "many"]);
}

#[test]
fn devices_and_plans_are_listed_without_a_run() {
    let folder = folder();
    let devices: Value = serde_json::from_str(&run(&folder, "devices --json").ok()).unwrap();
    assert!(devices["cpu"]["threads"].as_u64().unwrap() > 0 && devices["gpus"].is_array(), "{devices}");
    let auto = devices["auto"].as_str().unwrap();
    assert!(run(&folder, "devices").ok().contains(&format!("auto   {auto} (")));

    let plans: Value = serde_json::from_str(&run(&folder, "plan --preset mnist --json").ok()).unwrap();
    let plans = plans["plans"].as_array().unwrap();
    assert_eq!(plans.len(), 4);
    for plan in plans {
        let launches = plan["launches"].as_array().unwrap();
        let flops: u64 = launches.iter().map(|launch| launch["flops"].as_u64().unwrap()).sum();
        assert!(flops > 0 && plan["flops"].as_u64() == Some(flops), "{}", plan["name"]);
    }
    let table = run(&folder, "plan --preset gaussians --step sample").ok();
    assert!(table.contains("matmul") && table.contains("GFLOP"), "{table}");
    // A data set that is not here is not fetched for its shape.
    run(&folder, "plan --preset cifar10 --step sample").ok();
}

#[test]
fn selftest_passes_on_the_processor() {
    let out = run(&folder(), "selftest --device cpu -q --json").ok();
    let report: Value = serde_json::from_str(&out).unwrap();
    let checks = report["checks"].as_array().unwrap();
    assert!(report["passed"] == true && checks.len() > 15, "{report}");
    for kernel in ["pointwise", "conv2d_grad_weight", "softmax", "adam", "record"] {
        let found = checks.iter().any(|check| check["name"].as_str().unwrap().starts_with(kernel));
        assert!(found, "{kernel} is not checked");
    }
}
