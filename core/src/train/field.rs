//! What a method shows over a square of the plane: what a heat map and arrows are drawn from.

use super::recipe::{See, Sight};
use super::step::Step;
use super::{TrainError, Trainer};
use crate::exec::{ExecError, Executor, PlanId, RunArgs};
use crate::graph::Graph;
use crate::plan::{Program, SLOT_ALIGN};

const POINTS: &str = "field.points";
const HEIGHTS: &str = "field.height";
const ARROWS: &str = "field.arrow";

/// A plan that evaluates a sight on a square of points.
pub struct FieldOfView {
    plan: PlanId,
    points: usize,
}

/// A field at the points of a square, row by row, both coordinates ascending.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldValues {
    /// One number per point.
    pub heights: Vec<f32>,
    /// Two per point: the direction in which samples are moved.
    pub arrows: Vec<f32>,
}

impl FieldOfView {
    /// Points `side x side` at the centres of equal cells of the square of half width `half_width`
    /// around 0, for data that are points in the plane.
    ///
    /// # Panics
    /// If the sight is not a field.
    pub fn new(trainer: &mut Trainer, sight: Sight, side: usize, half_width: f32) -> Result<Self, TrainError> {
        let points = side * side;
        let place = |i: usize| ((i as f32 + 0.5) / side as f32 * 2.0 - 1.0) * half_width;
        let values: Vec<f32> = (0..points).flat_map(|i| [place(i % side), place(i / side)]).collect();
        for (store, len) in [(POINTS, 2 * points), (HEIGHTS, points), (ARROWS, 2 * points)] {
            trainer.executor.create_store(store, len.next_multiple_of(SLOT_ALIGN))?;
        }
        trainer.executor.write(POINTS, 0, &values)?;
        let See::Field(see) = sight.see else { panic!("`{}` is not a field", sight.name) };
        let graph = Graph::new();
        let x = graph.input(POINTS, 0, &[points, 2]);
        let sigma = graph.scalar("sigma").reshape(&[1]);
        let field = see(&Step::look(&trainer.setup, trainer.recipe(), &graph), x, sigma);
        let program = Program::new("field", &graph);
        let plan = program.output(field.height, HEIGHTS, 0).output(field.arrow, ARROWS, 0).build()?;
        Ok(Self { plan: trainer.executor.prepare(&plan)?, points })
    }

    /// The values at a noise level.
    pub async fn read(&self, executor: &mut Executor, sigma: f32) -> Result<FieldValues, ExecError> {
        executor.run(self.plan, &RunArgs { scalars: &[sigma], seed: 0, step: 0 })?;
        let heights = executor.read(HEIGHTS, 0, self.points).await?;
        let arrows = executor.read(ARROWS, 0, 2 * self.points).await?;
        Ok(FieldValues { heights, arrows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::cpu::CpuExecutor;
    use crate::train::{Preset, Setup, Trainer, TrainingData};

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
        let sight = trainer.recipe().field().expect("the ratio");
        let field = FieldOfView::new(&mut trainer, sight, side, half_width).unwrap();
        let values = pollster::block_on(field.read(&mut trainer.executor, 0.3)).unwrap();
        let cell = 2.0 * half_width / side as f32;
        let at = |column: usize, row: usize| values.heights[row * side + column];
        let (mut largest, mut worst) = (0.0_f32, 0.0_f32);
        for row in 1..side - 1 {
            for column in 1..side - 1 {
                let difference = [
                    (at(column + 1, row) - at(column - 1, row)) / (2.0 * cell),
                    (at(column, row + 1) - at(column, row - 1)) / (2.0 * cell),
                ];
                for (axis, difference) in difference.into_iter().enumerate() {
                    let slope = values.arrows[2 * (row * side + column) + axis];
                    largest = largest.max(slope.abs());
                    worst = worst.max((slope - difference).abs());
                }
            }
        }
        assert!(largest > 0.05, "a slope of {largest} proves nothing");
        assert!(worst <= 0.02 * largest, "off by {worst} of {largest}");
    }
}
