//! Bridges from async code to threads that may compute or block.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tokio::sync::oneshot;

/// Makes the pool of threads for CPU-bound work, with stacks for trees of two thousand levels, which
/// are read by recursion. Call it before any work is given to the pool; later calls do nothing.
pub fn prepare_pool() {
    let builder = rayon::ThreadPoolBuilder::new().stack_size(16 << 20);
    // An error only says that there is a pool already.
    drop(builder.build_global());
}

/// Runs CPU-bound work on the rayon pool and waits for it without blocking the async thread.
///
/// The work runs to its end even when the returned future is dropped.
/// A panic of the work continues in the awaiting task.
/// For work that waits (locks, pipes, disks) use [`blocking`]: a waiting job starves the pool.
pub async fn offload<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = oneshot::channel();
    rayon::spawn(move || {
        // The pool would abort the process on a panic; the awaiting task decides instead.
        let outcome = catch_unwind(AssertUnwindSafe(work));
        // A send fails only when nobody waits any more, and then nobody wants the outcome.
        drop(sender.send(outcome));
    });
    match receiver
        .await
        .expect("the job sends its outcome even when it panics")
    {
        Ok(value) => value,
        Err(panic) => resume_unwind(panic),
    }
}

/// Runs work that may block on tokio's blocking threads and waits for it.
///
/// The work runs to its end even when the returned future is dropped.
/// A panic of the work continues in the awaiting task.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime is going down: this task will never be polled to an end either.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn returns_the_value_of_the_work() {
        assert_eq!(offload(|| 6 * 7).await, 42);
        assert_eq!(blocking(|| 6 * 7).await, 42);
    }

    #[tokio::test]
    async fn a_panic_reaches_the_waiter() {
        let offloaded = tokio::spawn(offload(|| panic!("boom"))).await;
        assert!(offloaded.expect_err("panicked").is_panic());
        let blocked = tokio::spawn(blocking(|| panic!("boom"))).await;
        assert!(blocked.expect_err("panicked").is_panic());
    }
}
