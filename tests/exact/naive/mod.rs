//! The naive evaluator: obvious, slow, and of no code in common with what it judges.

pub mod absence;
pub mod accounts;
pub mod alerts;
pub mod fields;
pub mod life;
pub mod plan;
pub mod posts;
pub mod rows;
pub mod windows;
pub mod world;
