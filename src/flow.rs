//! The timely dataflow; the only module that names timely.
