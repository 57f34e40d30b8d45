//! The conventions of the public API, checked by the compiler.

use llm_bench::{Observer, RunSpec, Runner};

/// A run can be spawned on a runtime of several threads.
#[test]
fn the_future_of_a_run_is_send() {
    fn is_send(_: impl Send) {}
    fn check(runner: &Runner, spec: RunSpec, observer: &mut dyn Observer) {
        is_send(runner.run(spec, observer));
    }
    let _: fn(&Runner, RunSpec, &mut dyn Observer) = check;
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Runner>();
}
