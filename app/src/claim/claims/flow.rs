//! The flow and consistency family.

use super::{Arm, CLASSES, Check, Claim, FID, FINE_OFF, KL, STRAIGHT, TEACHER};

/// Lengths that fit into the part of a budget which comes before the last phase.
const WARM: (&str, &str) = ("warmup_steps", "1000");
const AGAIN: (&str, &str) = ("reflow_steps", "500");
const ROUNDS: (&str, &str) = ("round_steps", "400");

/// Adapters on a small network of images.
const SMALL: &[(&str, &str)] =
    &[("width", "16"), ("batch", "32"), ("warmup_steps", "400"), ("pairs", "512"), ("rank", "4")];
const SQUARE: &[(&str, &str)] = &[
    ("width", "16"),
    ("batch", "32"),
    ("warmup_steps", "400"),
    ("pairs", "512"),
    ("rank", "4"),
    ("high_weight", "0"),
    ("edge_weight", "0"),
];

pub const CLAIMS: &[Claim] = &[
    Claim {
        method: "instaflow",
        says: "Distilling a reflowed model works, distilling the first flow does not; reflow makes paths straighter.",
        paper: "MS COCO 2017, FID in 1 step: 23.3 (read in the abstract); without reflow complete failure (read in notes on the paper)",
        data: "two-moons",
        budget: "800GFLOP",
        arms: &[
            Arm { settings: &[CLASSES, WARM, AGAIN], flow: &[1, 20], teacher: &[1, 20], ..Arm::of("instaflow") },
            Arm { name: "first flow distilled", settings: &[CLASSES, WARM, ("reflows", "0")], ..Arm::of("instaflow") },
        ],
        checks: &[
            Check { value: STRAIGHT, row: "flow of instaflow in 20 steps", times: 0.5, than: "teacher in 20 steps" },
            Check { value: KL, row: "instaflow", times: 0.5, than: "first flow distilled" },
            Check { value: TEACHER, row: "instaflow", times: 1.0, than: "first flow distilled" },
        ],
        why: "Reflow makes paths a hundred times straighter, but here the teacher's own pairs are distilled as well. A likely \
              reason, not tested: in the plane a small network learns any map from noise to sample, of bent paths or straight \
              ones.",
    },
    Claim {
        method: "shortcut",
        says: "One network draws in 1, 2, 4 and up to 128 steps, better with more; a flow of the same compute fails in few.",
        paper: "CelebA-256, FID in 128, 4 and 1 steps: 6.9, 13.8, 20.5 (read in the authors' repository)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[Arm { steps: &[2, 4, 32, 128], ..Arm::of("shortcut") }, Arm { steps: &[1, 2, 4], ..Arm::of("flow") }],
        checks: &[
            Check { value: KL, row: "shortcut", times: 0.5, than: "flow in 1 step" },
            Check { value: KL, row: "shortcut in 4 steps", times: 0.5, than: "flow in 4 steps" },
            Check { value: KL, row: "shortcut in 2 steps", times: 1.0, than: "shortcut" },
            Check { value: KL, row: "shortcut in 4 steps", times: 1.0, than: "shortcut in 2 steps" },
            Check { value: KL, row: "shortcut in 32 steps", times: 1.0, than: "shortcut in 4 steps" },
        ],
        why: "What holds is the order: more steps are better, and the flow's own few steps are far worse. In one step the moons \
              still run into each other.",
    },
    Claim {
        method: "progressive",
        says: "Halving the steps again and again brings one step to the end of the teacher's path; one halving alone does not.",
        paper: "CIFAR-10, FID in 4 steps: 3.0 (recalled from the abstract, not read)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[
            Arm { teacher: &[1, 2, 4], ..Arm::of("progressive") },
            Arm { name: "one halving", settings: &[("halvings", "1")], ..Arm::of("progressive") },
        ],
        checks: &[
            Check { value: TEACHER, row: "progressive", times: 0.5, than: "teacher in 2 steps" },
            Check { value: KL, row: "progressive", times: 0.5, than: "teacher in 2 steps" },
            Check { value: KL, row: "progressive", times: 0.5, than: "one halving" },
        ],
        why: "",
    },
    Claim {
        method: "cd",
        says: "One evaluation comes to the end of the teacher's path, where the teacher's own one or two steps do not.",
        paper: "CIFAR-10, FID in 1 and 2 steps: 3.55, 2.93 (read in the repository of ECT)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[Arm { steps: &[2], teacher: &[1, 2, 4], ..Arm::of("cd") }],
        checks: &[
            Check { value: TEACHER, row: "cd", times: 0.5, than: "teacher in 1 step" },
            Check { value: TEACHER, row: "cd", times: 0.5, than: "teacher in 2 steps" },
            Check { value: KL, row: "cd", times: 0.5, than: "teacher in 4 steps" },
        ],
        why: "",
    },
    Claim {
        method: "hyper-sd",
        says: "Consistency in 8, 4, 2 and 1 segments comes closer to the teacher than as many updates in one; one file draws \
               in 1, 2, 4 and 8 steps, and scores improve the first.",
        paper: "SDXL in 1 step: CLIP score +0.68, aesthetic score +0.51 over SDXL-Lightning (read in the abstract)",
        data: "two-moons",
        budget: "700GFLOP",
        arms: &[
            Arm {
                settings: &[WARM, ROUNDS, ("critic_steps", "2")],
                steps: &[2, 4, 8],
                teacher: &[1, 2, 4, 8],
                ..Arm::of("hyper-sd")
            },
            Arm { name: "segments alone", settings: &[WARM, ROUNDS, ("score_phase", "0")], ..Arm::of("hyper-sd") },
            Arm {
                name: "one segment",
                settings: &[WARM, ROUNDS, ("score_phase", "0"), ("halvings", "1")],
                ..Arm::of("hyper-sd")
            },
        ],
        checks: &[
            Check { value: TEACHER, row: "segments alone", times: 1.0, than: "one segment" },
            Check { value: KL, row: "segments alone", times: 1.0, than: "one segment" },
            Check { value: KL, row: "hyper-sd", times: 1.0, than: "segments alone" },
            Check { value: KL, row: "hyper-sd", times: 0.5, than: "teacher in 1 step" },
            Check { value: KL, row: "hyper-sd in 2 steps", times: 0.5, than: "teacher in 2 steps" },
            Check { value: KL, row: "hyper-sd in 4 steps", times: 0.5, than: "teacher in 4 steps" },
            Check { value: KL, row: "hyper-sd in 8 steps", times: 1.0, than: "teacher in 8 steps" },
        ],
        why: "Scores improve one step with every seed, and one file draws in 1, 2 and 4 steps what the teacher cannot in as \
              many. Rounds of segments are as good as one segment from the start, not better. In 2, 4 and 8 steps the distance \
              is three times that in one, and in 8 the teacher is ahead with one seed. The reasons have not been found.",
    },
    Claim {
        method: "hipa",
        says: "Adapters of a frozen teacher alone make one step work, and with a loss of high frequencies and edges samples have \
               more of the data's fine detail than with the square of pixels alone.",
        paper: "COCO 2017, FID-5k in 1 step: 23.8, of progressive distillation 37.3, training 0.04 percent of the parameters (read \
                in the abstract)",
        data: "mnist-10k",
        budget: "4TFLOP",
        arms: &[
            Arm { settings: SMALL, teacher: &[1, 20], ..Arm::of("hipa") },
            Arm { name: "square alone", settings: SQUARE, ..Arm::of("hipa") },
        ],
        checks: &[
            Check { value: FINE_OFF, row: "square alone", times: 1.0, than: "teacher in 1 step" },
            Check { value: FINE_OFF, row: "hipa", times: 1.0, than: "square alone" },
            Check { value: FID, row: "hipa", times: 0.5, than: "teacher in 1 step" },
            Check { value: FID, row: "hipa", times: 1.0, than: "square alone" },
        ],
        why: "",
    },
    Claim {
        method: "scm",
        says: "Without levels to choose it is as good as cd with 18; without its normalisation or its warm-up it breaks.",
        paper: "CIFAR-10, FID in 2 steps: 2.06 (read in the abstract)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[
            Arm { steps: &[2], teacher: &[2], ..Arm::of("scm") },
            Arm::of("cd"),
            Arm { name: "scm not normalised", settings: &[("tangent_normal", "0")], ..Arm::of("scm") },
            Arm { name: "scm not warmed up", settings: &[("tangent_warmup", "0")], ..Arm::of("scm") },
        ],
        checks: &[
            Check { value: KL, row: "scm", times: 1.05, than: "cd" },
            Check { value: TEACHER, row: "scm", times: 1.05, than: "cd" },
            Check { value: KL, row: "scm", times: 0.5, than: "scm not normalised" },
            Check { value: KL, row: "scm", times: 0.5, than: "scm not warmed up" },
        ],
        why: "At this size and budget it stays behind cd in each of three runs. Without its normalisation it gets worse with \
              every seed, without its warm-up with two of three, but it does not break. The reason has not been found.",
    },
    Claim {
        method: "tbcm",
        says: "It needs no data, and comes closer to an imperfect teacher's path's end than scm on data.",
        paper: "MJHQ-30k, FID in 1 step: 6.52 (read in the abstract)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[
            Arm { settings: &[("warmup_steps", "500")], teacher: &[2], ..Arm::of("tbcm") },
            Arm { settings: &[("warmup_steps", "500")], ..Arm::of("scm") },
        ],
        checks: &[
            Check { value: TEACHER, row: "tbcm", times: 0.5, than: "teacher in 2 steps" },
            Check { value: TEACHER, row: "tbcm", times: 1.0, than: "scm" },
        ],
        why: "With as many updates it stays behind scm with every seed. A likely reason, not tested: the points of a batch lie on \
              few paths, fifteen on each, where scm has as many paths as points.",
    },
    Claim {
        method: "rcm",
        says: "Consistency with score distillation comes closer to the data than either alone.",
        paper: "Wan 2.1, up to 50 times fewer evaluations, with more diversity than DMD2 (read in the abstract)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[Arm::of("rcm"), Arm::of("scm"), Arm::of("dmd")],
        checks: &[
            Check { value: KL, row: "rcm", times: 1.0, than: "scm" },
            Check { value: KL, row: "rcm", times: 1.0, than: "dmd" },
        ],
        why: "It brings scm a third closer with every seed, and stays behind dmd with every seed, which spends the same compute on \
              scores alone.",
    },
    Claim {
        method: "sana-sprint",
        says: "A flow goes on as the teacher; with heads on its features the student comes closer to the data than scm, with the same \
               weights in 1, 2 and 4 steps.",
        paper: "MJHQ-30k, FID in 1 step: 7.59 (read in notes on the paper)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[
            Arm { steps: &[2, 4], teacher: &[1, 2], ..Arm::of("sana-sprint") },
            Arm { name: "without heads", settings: &[("gan_weight", "0")], steps: &[2, 4], ..Arm::of("sana-sprint") },
        ],
        checks: &[
            Check { value: KL, row: "sana-sprint", times: 1.0, than: "without heads" },
            Check { value: KL, row: "sana-sprint in 2 steps", times: 1.0, than: "without heads in 2 steps" },
            Check { value: KL, row: "sana-sprint in 4 steps", times: 1.0, than: "without heads in 4 steps" },
            Check { value: KL, row: "sana-sprint in 2 steps", times: 1.0, than: "sana-sprint" },
            Check { value: KL, row: "sana-sprint", times: 0.5, than: "teacher in 2 steps" },
        ],
        why: "What holds is that the wrapped flow can be followed, and that two steps are closer than one. With heads, samples are \
              farther in one step and level in two and four; with weights of 0.01 and 0.05 they are level in one step, too \
              (0.290 and 0.292, two seeds). A likely reason, not tested: in the plane there is no detail for heads \
              to see.",
    },
    Claim {
        method: "boot",
        says: "Without one real sample a student comes to the end of the teacher's path; without the boundary's loss it does not.",
        paper: "FFHQ-64, FID in 1 step: 9.0 (recalled, not read)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[
            Arm { teacher: &[1, 2, 4], ..Arm::of("boot") },
            Arm { name: "boot without boundary", settings: &[("boundary", "0")], ..Arm::of("boot") },
        ],
        checks: &[
            Check { value: TEACHER, row: "boot", times: 0.5, than: "teacher in 2 steps" },
            Check { value: KL, row: "boot", times: 0.5, than: "teacher in 4 steps" },
            Check { value: TEACHER, row: "boot", times: 0.5, than: "boot without boundary" },
        ],
        why: "The first half holds: without data the student comes nearer to the path's end than the teacher in four steps of \
              its own. The second does not. A likely reason, not tested: here the student begins as a copy of the teacher, so \
              that the boundary's loss is zero from the first step on, and nothing has to hold it there.",
    },
    Claim {
        method: "mdt-dist",
        says: "Velocity matching and velocity distillation together come closer to the data than either alone.",
        paper: "TRELLIS, flow steps from 25 to 1 or 2 (read in the abstract)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[
            Arm { steps: &[2], ..Arm::of("mdt-dist") },
            Arm { name: "matching alone", settings: &[("score_weight", "0")], ..Arm::of("mdt-dist") },
            Arm { name: "distillation alone", settings: &[("matching", "0")], ..Arm::of("mdt-dist") },
        ],
        checks: &[
            Check { value: KL, row: "mdt-dist", times: 1.0, than: "matching alone" },
            Check { value: KL, row: "mdt-dist", times: 1.0, than: "distillation alone" },
        ],
        why: "Distillation alone runs away with every seed, so that it says nothing of how near its samples could come.",
    },
    Claim {
        method: "twinflow",
        says: "In one step, twin trajectories come closer to the data than the recursion alone.",
        paper: "the tutorial's two grids of digits (not measured there)",
        data: "two-moons",
        budget: "500GFLOP",
        arms: &[
            Arm { steps: &[2], ..Arm::of("twinflow") },
            Arm { name: "recursion alone", settings: &[("score_weight", "0")], steps: &[2], ..Arm::of("twinflow") },
        ],
        checks: &[Check { value: KL, row: "twinflow", times: 1.0, than: "recursion alone" }],
        why: "Both draw badly in one step at this size, the moons run into each other, and with weight 1 the twin does not change \
              that. The reason has not been found.",
    },
];
