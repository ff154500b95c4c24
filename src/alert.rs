//! Alert lives. Pure.
