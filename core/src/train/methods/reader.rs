//! A reader: a critic that tells how well a sample shows its class. It learns from data alone.

use super::super::recipe::{First, Head, Mode, Network, Subject, Update};
use super::super::step::{Setup, Step};
use super::Rates;
use super::score::generator_rates;
use crate::graph::Var;

/// Its network, and the update in which it learns.
pub const NAME: &str = "reader";

/// The network.
pub fn network(setup: &Setup) -> Network {
    let (net, first) = (setup.network.clone(), First::Random(0x5245_4144));
    Network { name: NAME, net, head: Head::Logit, first, mode: Mode::Trained }
}

/// The update, without noise.
pub const UPDATE: Update = Update {
    name: NAME,
    about: "a reader learns to tell data with their own class from data with any class",
    subject: Subject::Real,
    rates: |c| Rates { lr: c.lr_critic, ..generator_rates(c) },
    build: |step| learn(step, step.real(), unnoised(step)),
};

/// The noise level at which samples are read that have no noise: the lowest.
pub fn unnoised<'g>(step: &Step<'g>) -> Var<'g> {
    step.graph().full(step.config().sigma_min, &[1])
}

/// The reader learns to tell data `x [B, ..]` of this noise level with their own class from data with one that is drawn for
/// them, each of K alike. At its best its logit is `ln p(c | x) + ln K`.
pub fn learn<'g>(step: &Step<'g>, x: Var<'g>, sigma: Var<'g>) {
    let net = step.net(NAME);
    let [own, any] = [net.logit(x, sigma), net.logit_of_any_class(x, sigma)];
    let loss = loss(own, step.graph().constant(1.0), any);
    step.record("Loss/reader", loss);
    step.record("Read/own", step.graph().constant(0.0).less(own).mean_all());
    step.descend(&net, loss);
}

/// What logits of own classes cost that count for so much, and those of any class.
fn loss<'g>(own: Var<'g>, counts: Var<'g>, any: Var<'g>) -> Var<'g> {
    ((-own).softplus() * counts).mean_all() + any.softplus().mean_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::feed;

    /// Of x that is of three classes with these probabilities: at `ln p + ln K` nothing is left to learn.
    #[test]
    fn what_a_reader_says_is_the_probability_of_the_class() {
        let graph = Graph::new();
        let [logit, share] = ["logit", "share"].map(|store| graph.input(store, 0, &[3]));
        let slope = graph.grad(loss(logit, share * 3.0, logit), &[logit])[0];
        let shares = [0.7, 0.2, 0.1];
        let told = shares.map(|p: f64| (3.0 * p).ln());
        let feed = feed(&[("logit", &told), ("share", &shares)]);
        let left = evaluate(&graph, &feed, &[slope]).remove(0);
        assert!(left.iter().all(|slope| slope.abs() < 1e-12), "{left:?}");
    }
}
