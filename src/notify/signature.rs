//! The signature of webhooks: `t=<unix seconds>,v1=<hex>` where the hex digits are
//! HMAC-SHA256 (RFC 2104, FIPS 180-4) of `<t>.<body>` under the shared secret.
//!
//! The time is signed too, so that a receiver can refuse what is older than it likes.

use std::fmt::{self, Write as _};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The largest secret file read; a longer one is a mistake.
const SECRET_BYTES_MAX: usize = 4_096;

/// A shared secret. Its text never reaches a log: `Debug` hides it.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Reads the secret from a file; white space around it does not count.
    ///
    /// # Errors
    /// Says what is wrong with the file, never what is in it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes =
            std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let secret = bytes.trim_ascii();
        if secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
            return Err(format!("{} must hold between 1 and {SECRET_BYTES_MAX} bytes", path.display()));
        }
        Ok(Self(secret.to_vec()))
    }

    /// The header's value for a body sent at `unix_seconds`.
    #[must_use]
    pub fn sign(&self, unix_seconds: i64, body: &[u8]) -> String {
        let mut header = format!("t={unix_seconds},v1=");
        // HMAC takes keys of any length, so there is no error to pass on.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) {
            mac.update(format!("{unix_seconds}.").as_bytes());
            mac.update(body);
            for byte in mac.finalize().into_bytes() {
                // Writing to a String cannot fail.
                let _ = write!(header, "{byte:02x}");
            }
        }
        header
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected value by Python's hmac module.
    #[test]
    fn signs_time_and_body_and_hides_the_secret() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "correct horse battery staple\n").unwrap();
        let secret = Secret::read(&path).unwrap();
        assert_eq!(
            secret.sign(1_772_384_400, b"{\"id\":\"9f\"}"),
            "t=1772384400,v1=60ea742463726594cac0202625992340d869a165c7a72ca7b0606b63cfc95de0"
        );
        assert_eq!(format!("{secret:?}"), "Secret(hidden)");
    }

    #[test]
    fn an_empty_or_missing_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        assert!(Secret::read(&path).is_err());
        std::fs::write(&path, " \n").unwrap();
        assert!(Secret::read(&path).is_err());
    }
}
