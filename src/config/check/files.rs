//! The files that `sereno.toml` names. The only check that looks at the disk.

use std::fs::File;
use std::path::Path;

use super::key;
use crate::config::configuration::{Configuration, SourceFile};
use crate::config::diagnostic::{Diagnostic, Level};
use crate::config::place::{Target, place};
use crate::model::Fault;
use crate::model::fault::Step;

/// A diagnostic for every file named that cannot be read.
pub(in crate::config) fn check_files(
    configuration: &Configuration,
    source: Option<&SourceFile>,
) -> Vec<Diagnostic> {
    let Some(source) = source else { return Vec::new() };
    let mut missing = Vec::new();
    let mut look = |path: Vec<Step>, file: &Path| {
        let full = configuration.path(file);
        let found = File::open(&full).and_then(|file| file.metadata()).map(|metadata| metadata.is_file());
        let why = match found {
            Ok(true) => return,
            Ok(false) => "it is no file".to_owned(),
            Err(error) => error.to_string(),
        };
        let fault =
            Fault { path, ..Fault::new(format!("`{}` cannot be read: {why}", full.display()), REMEDY) };
        let span = place(&source.text, &fault, Target::Value);
        let (message, remedy) = (fault.message, fault.remedy);
        missing.push(Diagnostic::of_text(Level::Error, &source.name, &source.text, span, message, remedy));
    };
    let sereno = &configuration.sereno;
    if let Some(zones) = &sereno.zones {
        look(vec![key("zones")], zones);
    }
    for (index, user) in sereno.listener.users.iter().enumerate() {
        look(vec![key("listener"), key("users"), index.into(), key("password_file")], &user.password_file);
    }
    if let Some(tls) = &sereno.listener.tls {
        look(vec![key("listener"), key("tls"), key("cert_file")], &tls.cert_file);
        look(vec![key("listener"), key("tls"), key("key_file")], &tls.key_file);
    }
    for (name, broker) in &sereno.brokers {
        for (setting, file) in [("password_file", &broker.password_file), ("ca_file", &broker.ca_file)] {
            if let Some(file) = file {
                look(vec![key("broker"), key(name), key(setting)], file);
            }
        }
    }
    if let Some(token) = sereno.influx.as_ref().and_then(|influx| influx.token_file.as_ref()) {
        look(vec![key("influx"), key("token_file")], token);
    }
    for (index, receiver) in sereno.receivers.iter().enumerate() {
        if let Some(secret) = receiver.webhook.as_ref().and_then(|webhook| webhook.secret_file.as_ref()) {
            look(vec![key("receiver"), index.into(), key("webhook"), key("secret_file")], secret);
        }
    }
    missing
}

const REMEDY: &str = "paths start from the folder of sereno.toml; check the name and who may read it";
