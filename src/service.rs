//! Joins the parts into a running service: feeds to journal, journal to flow, results to readers.
//!
//! [`run::Service`] is the live service, [`replay`] the same path over a file, [`demo`] the
//! service with a simulated city. Every reader of the two logs is a thread or task of its own with
//! its own cursor; a slow or dead one holds back nobody else.

pub mod audit;
pub mod core;
pub mod data_dir;
#[cfg(feature = "broker")]
pub mod demo;
mod flow_thread;
pub mod gaps;
pub mod gauges;
pub mod outputs;
mod own;
pub mod readers;
#[cfg(feature = "store")]
pub mod reads;
#[cfg(feature = "store")]
pub mod recall;
#[cfg(feature = "store")]
pub mod recompute;
pub mod reload;
pub mod replay;
pub mod restore;
pub mod retention;
pub mod run;
pub mod sinks;
pub mod sources;
pub mod statistics;
pub mod texts;
pub mod verify;

use thiserror::Error;

pub use self::core::Core;
pub use data_dir::DataDir;
pub use run::Service;

/// Why the service does not start, or stopped.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// A folder or file.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with its place.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Somebody else uses the data folder.
    #[error("{0} is in use by another sereno; stop it first, or choose another data_dir")]
    Held(String),
    /// The journal or the results log.
    #[error(transparent)]
    Log(#[from] crate::journal::LogError),
    /// The results log.
    #[error(transparent)]
    Results(#[from] crate::journal::results::ResultsError),
    /// The checkpoints.
    #[error(transparent)]
    Checkpoint(#[from] crate::journal::checkpoint::CheckpointError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] crate::notify::LedgerError),
    /// The embedded store.
    #[cfg(feature = "store")]
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The sink to InfluxDB.
    #[cfg(feature = "influx")]
    #[error(transparent)]
    Influx(crate::store::influx::OpenError),
    /// The own listener.
    #[cfg(feature = "broker")]
    #[error(transparent)]
    Listener(#[from] crate::feed::listener::ListenerError),
    /// An external broker.
    #[error(transparent)]
    Broker(#[from] crate::feed::broker::BrokerError),
    /// A recompute that is not made.
    #[error(transparent)]
    Recompute(#[from] crate::api::RecomputeRefusal),
    /// A setting that only shows its fault at start.
    #[error("{0}")]
    Setting(String),
}

impl From<crate::journal::checkpoint::BeginError> for ServiceError {
    fn from(failure: crate::journal::checkpoint::BeginError) -> Self {
        use crate::journal::checkpoint::BeginError::{Checkpoint, Results};
        match failure {
            Checkpoint(failure) => Self::Checkpoint(failure),
            Results(failure) => Self::Results(failure),
        }
    }
}

impl ServiceError {
    /// An IO error with its place.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Whether it is a full disk and nothing else: the same may be tried again once there is room.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
            Self::Log(error) => error.is_disk_full(),
            Self::Ledger(error) => error.is_disk_full(),
            #[cfg(feature = "store")]
            Self::Store(error) => error.is_disk_full(),
            #[cfg(feature = "influx")]
            Self::Influx(error) => error.is_disk_full(),
            _ => false,
        }
    }
}

/// Whether a panic of the named thread is its own affair (see `main`).
#[must_use]
pub fn may_panic(thread: Option<&str>) -> bool {
    #[cfg(feature = "store")]
    let own = thread.is_some_and(|name| name == crate::store::QUERY_THREAD);
    #[cfg(not(feature = "store"))]
    let own = thread.is_some_and(|_| false);
    own
}
