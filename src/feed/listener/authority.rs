//! Who may connect: users with passwords, and anybody only where that is allowed.

use std::fmt;
use std::hint::black_box;

use hashbrown::HashMap;
use sha2::{Digest, Sha256};

/// The listener's users. Passwords are held as digests and never printed.
#[derive(Clone, Default)]
pub struct Authority {
    users: HashMap<String, [u8; 32]>,
    anonymous: bool,
}

/// Why a login is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// Unknown user or wrong password.
    Credentials,
    /// No user named, and anonymous clients are not allowed.
    Anonymous,
}

impl Authority {
    /// Users with their passwords; `anonymous` lets clients without a user name in as well.
    #[must_use]
    pub fn new(anonymous: bool, users: impl IntoIterator<Item = (String, String)>) -> Self {
        let users = users.into_iter().map(|(user, password)| (user, digest(password.as_bytes()))).collect();
        Self { users, anonymous }
    }

    /// Whether a client may connect. Takes the same time for a wrong password as for an unknown
    /// user, whatever the password.
    pub(super) fn check(&self, user: Option<&str>, password: Option<&[u8]>) -> Result<(), Denied> {
        let Some(user) = user else {
            return if self.anonymous { Ok(()) } else { Err(Denied::Anonymous) };
        };
        let given = digest(password.unwrap_or_default());
        let known = self.users.get(user);
        let wanted = known.copied().unwrap_or([0; 32]);
        if equal(&given, &wanted) && known.is_some() { Ok(()) } else { Err(Denied::Credentials) }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("users", &self.users.len())
            .field("anonymous", &self.anonymous)
            .finish()
    }
}

fn digest(password: &[u8]) -> [u8; 32] {
    Sha256::digest(password).into()
}

/// Compares all bytes, whichever differ.
fn equal(left: &[u8; 32], right: &[u8; 32]) -> bool {
    let difference = left.iter().zip(right).fold(0, |difference, (left, right)| difference | (left ^ right));
    black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_users_with_their_password_come_in() {
        let users = [("meteo".to_owned(), "lluvia".to_owned())];
        let closed = Authority::new(false, users.clone());
        assert_eq!(closed.check(Some("meteo"), Some(b"lluvia")), Ok(()));
        assert_eq!(closed.check(Some("meteo"), Some(b"sol")), Err(Denied::Credentials));
        assert_eq!(closed.check(Some("meteo"), None), Err(Denied::Credentials));
        assert_eq!(closed.check(Some("otro"), Some(b"lluvia")), Err(Denied::Credentials));
        assert_eq!(closed.check(None, None), Err(Denied::Anonymous));
        let open = Authority::new(true, users);
        assert_eq!(open.check(None, None), Ok(()));
        assert_eq!(open.check(Some("meteo"), Some(b"sol")), Err(Denied::Credentials));
        assert!(!format!("{open:?}").contains("lluvia"));
    }
}
