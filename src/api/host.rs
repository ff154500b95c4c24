//! Which names the service answers to.
//!
//! A page of another origin can point its own name at 127.0.0.1 and read a service without users
//! as if it were its own (DNS rebinding). The browser still sends that name in `Host`, and it is
//! refused here.

/// The names that a request's `Host` may carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPolicy {
    /// Any: the listener is reachable from outside and no name is configured.
    Any,
    /// Only these, without port, in lower case.
    Only(Vec<String>),
}

impl HostPolicy {
    /// The policy of a listener: on the loopback, its names and the configured ones; elsewhere,
    /// the same if any are configured.
    #[must_use]
    pub fn new(loopback: bool, configured: &[String]) -> Self {
        if !loopback && configured.is_empty() {
            return Self::Any;
        }
        let local = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let configured = configured.iter().map(|host| name_of(host).to_ascii_lowercase());
        Self::Only(local.into_iter().chain(configured).collect())
    }

    /// Whether a `Host` header is one of them, whatever its port.
    #[must_use]
    pub fn allows(&self, host: Option<&str>) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Only(_), None) => false,
            (Self::Only(names), Some(host)) => {
                let name = name_of(host.trim()).to_ascii_lowercase();
                names.contains(&name)
            }
        }
    }
}

/// A host without its port; an IPv6 address keeps its brackets.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_listener_answers_only_to_its_own_names() {
        let policy = HostPolicy::new(true, &["Sereno.Example:8080".to_owned()]);
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "[::1]", "sereno.example"] {
            assert!(policy.allows(Some(host)), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "localhost:80:80"]
        {
            assert!(!policy.allows(Some(host)), "{host}");
        }
        assert!(!policy.allows(None));
    }

    #[test]
    fn a_public_listener_answers_to_any_name_until_some_are_configured() {
        assert!(HostPolicy::new(false, &[]).allows(Some("city.example")));
        let policy = HostPolicy::new(false, &["city.example".to_owned()]);
        assert!(policy.allows(Some("city.example:443")) && policy.allows(Some("127.0.0.1:8080")));
        assert!(!policy.allows(Some("evil.example")));
    }
}
