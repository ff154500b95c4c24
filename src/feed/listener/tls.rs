//! TLS of the listener, by the system's library.

use tokio_native_tls::TlsAcceptor;

use super::ListenerError;
use super::options::TlsFiles;

/// Reads certificate and key.
pub(super) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, ListenerError> {
    let read = |path: &std::path::Path| {
        std::fs::read(path).map_err(|reason| ListenerError::TlsFile { path: path.to_owned(), reason })
    };
    let certificate = read(&files.certificate)?;
    let key = read(&files.key)?;
    let identity = native_tls::Identity::from_pkcs8(&certificate, &key).map_err(ListenerError::Tls)?;
    let acceptor = native_tls::TlsAcceptor::builder(identity)
        .min_protocol_version(Some(native_tls::Protocol::Tlsv12))
        .build()
        .map_err(ListenerError::Tls)?;
    Ok(TlsAcceptor::from(acceptor))
}
