//! HTTP: API, live stream and console.
