//! The threads that queries run on, and nothing else does.
//!
//! A query may take a thread for long, and the engine may panic on one (DataFusion 55.2 does when
//! a cross join runs out of its memory). Neither may touch what takes readings in: queries have
//! threads of their own, named [`QUERY_THREAD`], and a panic there ends one query. The hook that
//! ends the process on a panic leaves these threads out.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

use super::error::StoreError;

/// The name of the threads that run queries; a panic on one of them ends its query only.
pub const QUERY_THREAD: &str = "sereno-query";
/// How many there are.
const THREADS: usize = 2;

/// The threads.
#[derive(Debug)]
pub(super) struct Runner(Option<Runtime>);

/// Stops a query that nobody waits for any more.
struct StopOnDrop(AbortHandle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Runner {
    /// Starts the threads.
    pub(super) fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name(QUERY_THREAD)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs a query there, for at most `time_max`; it stops when the caller stops waiting.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        time_max: Duration,
        query: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Some(runtime) = &self.0 else { return Err(StoreError::Engine("it is stopped".into())) };
        let task = runtime.spawn(query);
        let _stop = StopOnDrop(task.abort_handle());
        match tokio::time::timeout(time_max, task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(StoreError::Engine(error.to_string())),
            Err(_) => Err(StoreError::TimeUp { after: time_max }),
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // Never waits: the owner may be a task of another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_or_an_endless_query_ends_only_itself() {
        let runner = Runner::start().unwrap();
        let second = Duration::from_secs(1);
        let panicked = runner.run(second, async { panic!("the engine's own fault") }).await;
        assert!(matches!(panicked, Err::<(), _>(StoreError::Engine(_))));
        let endless = runner.run(Duration::from_millis(20), std::future::pending()).await;
        assert!(matches!(endless, Err::<(), _>(StoreError::TimeUp { .. })));
        assert_eq!(
            runner
                .run(second, async { Ok(std::thread::current().name().map(str::to_owned)) })
                .await
                .unwrap()
                .as_deref(),
            Some(QUERY_THREAD)
        );
    }
}
