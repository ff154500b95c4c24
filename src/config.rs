//! sereno.toml and pipelines/: reading, checking, diagnostics.
