//! The ratio network seen on a square of the plane: what a heat map and arrows are drawn from.

use super::method::Setup;
use crate::exec::{ExecError, Executor, PlanId, RunArgs};
use crate::graph::Graph;
use crate::nets::Params;
use crate::plan::{PlanError, Program, SLOT_ALIGN};

use super::TrainError;

const POINTS: &str = "field.points";
const LOGITS: &str = "field.logit";
const SLOPES: &str = "field.slope";

/// A plan that evaluates the ratio network and its slope on a square of points.
pub struct RatioField {
    plan: PlanId,
    points: usize,
}

/// The ratio network at the points of a square, row by row, both coordinates ascending.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldValues {
    /// `l(x, sigma)`, one per point.
    pub logits: Vec<f32>,
    /// `grad_x l(x, sigma)`, two per point: the direction in which data become more likely than
    /// samples, and the one that the generator's points are moved in.
    pub slopes: Vec<f32>,
}

impl RatioField {
    /// Points `side x side` at the centres of equal cells of the square of half width `half_width`
    /// around 0; the data are points in the plane, and the stores of a run exist.
    pub fn new(executor: &mut Executor, setup: &Setup, side: usize, half_width: f32) -> Result<Self, TrainError> {
        let points = side * side;
        let place = |i: usize| ((i as f32 + 0.5) / side as f32 * 2.0 - 1.0) * half_width;
        let values: Vec<f32> = (0..points).flat_map(|i| [place(i % side), place(i / side)]).collect();
        for (store, len) in [(POINTS, 2 * points), (LOGITS, points), (SLOPES, 2 * points)] {
            executor.create_store(store, len.next_multiple_of(SLOT_ALIGN))?;
        }
        executor.write(POINTS, 0, &values)?;
        let plan = Self::plan(setup, points)?;
        Ok(Self { plan: executor.prepare(&plan)?, points })
    }

    fn plan(setup: &Setup, points: usize) -> Result<crate::plan::Plan, PlanError> {
        let graph = Graph::new();
        let x = graph.input(POINTS, 0, &[points, 2]);
        let sigma = graph.scalar("sigma").reshape(&[1]);
        let logit = setup.network.ratio(&Params::new(&graph, "ratio.param"), x, sigma);
        let slope = graph.grad(logit.sum_all(), &[x])[0];
        Program::new("ratio field", &graph).output(logit, LOGITS, 0).output(slope, SLOPES, 0).build()
    }

    /// The values at a noise level.
    pub async fn read(&self, executor: &mut Executor, sigma: f32) -> Result<FieldValues, ExecError> {
        executor.run(self.plan, &RunArgs { scalars: &[sigma], seed: 0, step: 0 })?;
        let logits = executor.read(LOGITS, 0, self.points).await?;
        let slopes = executor.read(SLOPES, 0, 2 * self.points).await?;
        Ok(FieldValues { logits, slopes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::cpu::CpuExecutor;
    use crate::train::{Preset, Trainer, TrainingData};

    #[test]
    fn slopes_are_the_differences_of_logits() {
        let config = Preset::find("two-moons").expect("a preset").config();
        let data = TrainingData::points("line", &[[0.5, 0.0], [-0.5, 0.0], [0.0, 0.5]]);
        let setup = Setup { network: data.network(&config), data: data.spec.clone(), config };
        let mut trainer = Trainer::new(Executor::Cpu(CpuExecutor::new()), setup, &data.words).unwrap();
        // The last layer starts with zeros, and a flat field would prove nothing.
        let len = trainer.layout("ratio").len;
        let weights: Vec<f32> = (0..len).map(|i| 0.1 * (i as f32 * 0.7).sin()).collect();
        trainer.set_weights("ratio", &weights).unwrap();
        let (side, half_width) = (64, 0.2);
        let field = RatioField::new(&mut trainer.executor, &trainer.setup, side, half_width).unwrap();
        let values = pollster::block_on(field.read(&mut trainer.executor, 0.3)).unwrap();
        let cell = 2.0 * half_width / side as f32;
        let at = |column: usize, row: usize| values.logits[row * side + column];
        let (mut largest, mut worst) = (0.0_f32, 0.0_f32);
        for row in 1..side - 1 {
            for column in 1..side - 1 {
                let difference = [
                    (at(column + 1, row) - at(column - 1, row)) / (2.0 * cell),
                    (at(column, row + 1) - at(column, row - 1)) / (2.0 * cell),
                ];
                for (axis, difference) in difference.into_iter().enumerate() {
                    let slope = values.slopes[2 * (row * side + column) + axis];
                    largest = largest.max(slope.abs());
                    worst = worst.max((slope - difference).abs());
                }
            }
        }
        assert!(largest > 0.05, "a slope of {largest} proves nothing");
        assert!(worst <= 0.02 * largest, "off by {worst} of {largest}");
    }
}
