//! The data folder: where everything lies, held by one process at a time.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ServiceError;

/// The data folder, locked for this process for as long as a clone of it lives.
#[derive(Clone, Debug)]
pub struct DataDir {
    root: PathBuf,
    _lock: Arc<File>,
}

impl DataDir {
    /// Makes the folder if absent and locks it.
    ///
    /// # Errors
    /// [`ServiceError::Held`] when another process has it, [`ServiceError::Io`] otherwise.
    pub fn open(root: &Path) -> Result<Self, ServiceError> {
        std::fs::create_dir_all(root).map_err(ServiceError::io(format!("data folder {}", root.display())))?;
        let path = root.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(ServiceError::io(path.display().to_string()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { root: root.to_owned(), _lock: Arc::new(file) }),
            Err(TryLockError::WouldBlock) => Err(ServiceError::Held(root.display().to_string())),
            Err(TryLockError::Error(source)) => {
                Err(ServiceError::Io { what: path.display().to_string(), source })
            }
        }
    }

    /// The journal's segments.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// The results log's segments.
    #[must_use]
    pub fn results(&self) -> PathBuf {
        self.root.join("results")
    }

    /// Checkpoints of the flow.
    #[must_use]
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// The embedded store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        store_in(&self.root)
    }

    /// The ledger of alerts.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        ledger_in(&self.root)
    }

    /// Cursors of the InfluxDB sink.
    #[must_use]
    pub fn influx(&self) -> PathBuf {
        self.root.join("influx.db")
    }
}

/// Where the ledger of alerts lies in a data folder.
#[must_use]
pub fn ledger_in(root: &Path) -> PathBuf {
    root.join("ledger.db")
}

/// Where the embedded store lies in a data folder.
#[must_use]
pub fn store_in(root: &Path) -> PathBuf {
    root.join("store")
}
