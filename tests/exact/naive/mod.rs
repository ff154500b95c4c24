//! The naive evaluator: obvious, slow, and of no code in common with what it judges.

pub mod accounts;
pub mod alerts;
pub mod calendar;
pub mod call;
pub mod fields;
pub mod grid;
pub mod life;
pub mod met;
pub mod plan;
pub mod register;
pub mod row;
pub mod sensors;
pub mod sketches;
pub mod windows;
pub mod world;
