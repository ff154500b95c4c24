//! Conditions and verdicts. Pure.
