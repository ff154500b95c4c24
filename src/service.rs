//! Joins the parts into a running service.
