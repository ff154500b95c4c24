//! The alert ledger, its outbox and the receivers.
