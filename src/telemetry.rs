//! Logs and metrics: every metric name stands here.
