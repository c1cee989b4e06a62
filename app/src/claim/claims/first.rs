//! DiffRatio, and the methods that were here first.

use super::{Arm, Check, Claim, KL, WEAK};

pub const CLAIMS: &[Claim] = &[
    Claim {
        method: "diffratio",
        says: "Without a teacher's score, samples come closer to the data than those that a weak teacher leads.",
        paper: "ImageNet-512, FID in 1 step: 1.41 (read)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[
            Arm::of("diffratio"),
            Arm { settings: &[WEAK], ..Arm::of("vsd") },
            Arm { settings: &[WEAK], ..Arm::of("dmd") },
        ],
        checks: &[
            Check { value: KL, row: "diffratio", times: 1.0, than: "vsd" },
            Check { value: KL, row: "diffratio", times: 1.0, than: "dmd" },
        ],
        why: "",
    },
    Claim {
        method: "vsd",
        says: "The divergence over all noise levels leads one step to the data, where little noise alone does not.",
        paper: "CIFAR-10, FID in 1 step: 4.53 (recalled, not read)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[
            Arm { teacher: &[2], ..Arm::of("vsd") },
            Arm { name: "vsd with little noise", settings: &[("sigma_max", "0.03")], ..Arm::of("vsd") },
        ],
        checks: &[
            Check { value: KL, row: "vsd", times: 0.5, than: "vsd with little noise" },
            Check { value: KL, row: "vsd", times: 0.5, than: "teacher in 2 steps" },
        ],
        why: "Both halves hold in the mean: the distance with little noise is twice as large, and half of it was asked of every \
              seed, which two of three reach.",
    },
    Claim {
        method: "dmd",
        says: "One evaluation comes near to the data, where four of the teacher's own do not.",
        paper: "ImageNet-64, FID in 1 step: 2.62 (recalled, not read)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[Arm { teacher: &[4], ..Arm::of("dmd") }],
        checks: &[Check { value: KL, row: "dmd", times: 0.5, than: "teacher in 4 steps" }],
        why: "",
    },
    Claim {
        method: "sid",
        says: "Score identity distils the same teacher better than the divergence over all noise levels.",
        paper: "CIFAR-10, FID in 1 step: 1.92 (read in the authors' repository), of Diff-Instruct 4.53 (recalled)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[Arm::of("sid"), Arm::of("vsd")],
        checks: &[Check { value: KL, row: "sid", times: 1.0, than: "vsd" }],
        why: "It stays behind with every seed, by an eighth. The reason has not been found.",
    },
    Claim {
        method: "swiftbrush",
        says: "Low-rank adapters on the teacher do as the second denoiser what a whole copy of it does.",
        paper: "COCO, FID in 1 step: 16.67 (recalled, not read)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[Arm::of("swiftbrush"), Arm::of("vsd")],
        checks: &[Check { value: KL, row: "swiftbrush", times: 1.1, than: "vsd" }],
        why: "At equal compute it stays behind vsd by a third with every seed. The adapters have less than half of the copy's weights, and \
              cost as many operations, since they pass through the whole teacher. More was not tried.",
    },
    Claim {
        method: "msd",
        says: "Several students, each of some classes, come closer to the data than one of the same size.",
        paper: "ImageNet-64, FID in 1 step with four students: 1.20 (recalled, not read)",
        data: "gaussians",
        budget: "1TFLOP",
        arms: &[Arm::of("msd"), Arm { settings: &[("classes", "1")], ..Arm::of("dmd") }],
        checks: &[Check { value: KL, row: "msd", times: 1.0, than: "dmd" }],
        why: "",
    },
    Claim {
        method: "denoise",
        says: "Heun's method needs 35 evaluations; with 127 it is hardly better, with 7 it is far worse.",
        paper: "CIFAR-10, FID with 35 evaluations: 1.97 (read)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[Arm { steps: &[4, 64], ..Arm::of("denoise") }],
        checks: &[
            Check { value: KL, row: "denoise", times: 1.1, than: "denoise in 64 steps" },
            Check { value: KL, row: "denoise", times: 0.5, than: "denoise in 4 steps" },
        ],
        why: "Seven evaluations are far worse with every seed. From 35 to 127 the distance still falls by a seventh, which is \
              more than the tenth that was set before.",
    },
    Claim {
        method: "flow",
        says: "Paths that were learned as straight lines are straighter: four evaluations of a flow beat five of a denoiser.",
        paper: "CIFAR-10, FID with 110 evaluations: 2.58 (recalled, not read)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[Arm { steps: &[4], ..Arm::of("flow") }, Arm { steps: &[3], ..Arm::of("denoise") }],
        checks: &[Check { value: KL, row: "flow in 4 steps", times: 1.0, than: "denoise in 3 steps" }],
        why: "",
    },
    Claim {
        method: "reflow",
        says: "Trained again on its own pairs of noise and sample, a flow draws in one step, which the first one can't.",
        paper: "CIFAR-10, FID in 1 step: 4.85 after reflow and distillation, 378 of the first flow (recalled, not read)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[Arm::of("reflow"), Arm { steps: &[1, 2], ..Arm::of("flow") }],
        checks: &[
            Check { value: KL, row: "reflow", times: 0.5, than: "flow in 1 step" },
            Check { value: KL, row: "reflow", times: 0.5, than: "flow in 2 steps" },
        ],
        why: "",
    },
    Claim {
        method: "ect",
        says: "A denoiser that is tuned for consistency draws in one evaluation, and better in two.",
        paper: "CIFAR-10, FID in 1 and 2 steps: 3.60, 2.11 (read in the authors' repository)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[Arm { steps: &[2], teacher: &[2], ..Arm::of("ect") }],
        checks: &[
            Check { value: KL, row: "ect", times: 0.5, than: "teacher in 2 steps" },
            Check { value: KL, row: "ect in 2 steps", times: 1.0, than: "ect" },
        ],
        why: "",
    },
    Claim {
        method: "meanflow",
        says: "From random weights and without a teacher, a network learns to draw in one step, which a flow can't in two.",
        paper: "ImageNet-256, FID in 1 step: 3.43 (read in the abstract)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[
            Arm { steps: &[2], ..Arm::of("meanflow") },
            Arm {
                name: "meanflow of a denoiser",
                settings: &[("warmup_steps", "2000")],
                steps: &[2],
                ..Arm::of("meanflow")
            },
            Arm { steps: &[1, 2], ..Arm::of("flow") },
        ],
        checks: &[
            Check { value: KL, row: "meanflow", times: 0.5, than: "flow in 1 step" },
            Check { value: KL, row: "meanflow", times: 0.5, than: "flow in 2 steps" },
        ],
        why: "",
    },
];
