//! Checkpoints on a disk that tests can look into and break.
