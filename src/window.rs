//! Event-time windows and their aggregates. Pure.
