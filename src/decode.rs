//! Decoders: bytes of one message to events. Pure.
