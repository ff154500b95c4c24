//! The naive evaluator: obvious, slow, and of no code in common with what it judges.

pub mod absence;
pub mod accounts;
pub mod alerts;
pub mod calendar;
pub mod call;
pub mod defined;
pub mod fields;
pub mod grid;
pub mod life;
pub mod met;
pub mod plan;
pub mod posts;
pub mod register;
pub mod row;
pub mod rows;
pub mod sensors;
pub mod sketches;
pub mod windows;
pub mod world;
