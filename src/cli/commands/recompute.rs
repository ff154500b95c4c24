//! `sereno recompute`

mod told;
#[cfg(feature = "store")]
mod words;

use serde::Deserialize;

use super::super::Failure;
use super::super::arguments::{LanguageName, Recompute};
use crate::config::{Configuration, Language};
use crate::model::Timestamp;
use crate::service::ServiceError;
use crate::service::replay::recompute;

/// Has the windows of a range computed again, by the running service or here when none runs.
///
/// # Errors
/// [`Failure`].
pub fn run(arguments: &Recompute) -> Result<(), Failure> {
    let configuration = super::configured(&arguments.at)?;
    super::log(&configuration)?;
    let range = (instant("--from", &arguments.from)?, instant("--to", &arguments.to)?);
    if range.0 >= range.1 {
        return Err(Failure::Other("--from is not before --to".into()));
    }
    if arguments.dry_run {
        return preview(&configuration, range, arguments.language);
    }
    let language = super::language(arguments.language).unwrap_or(Language::En);
    match recompute(&configuration, super::workers(None), range) {
        Ok((asked, statistics)) => {
            let whole_from = asked.recompute.whole_from;
            let readings_from = Some(whole_from).filter(|from| *from > Timestamp::MIN);
            told::gone(readings_from, range.0, language).iter().for_each(|line| println!("{line}"));
            println!("{}", told::computed(statistics.windows, asked.restored, language));
            Ok(())
        }
        Err(ServiceError::Held(_)) => ask(&configuration, range, language),
        Err(failure) => Err(failure.into()),
    }
}

fn instant(name: &str, text: &str) -> Result<Timestamp, Failure> {
    let no_time = || Failure::Other(format!("{name}: {text} is no time; write 2026-03-01T00:00:00-05:00"));
    Timestamp::parse_rfc3339(text).ok_or_else(no_time)
}

/// What a service says of a recompute.
#[derive(Default, Deserialize)]
struct Answer {
    epoch: Option<u64>,
    readings_from: Option<String>,
}

/// Asks the service that runs in the data folder.
fn ask(
    configuration: &Configuration,
    (from, to): (Timestamp, Timestamp),
    language: Language,
) -> Result<(), Failure> {
    let listen = &configuration.sereno.http.listen;
    let url = format!("http://{listen}/api/v1/recompute");
    let body = serde_json::json!({"from": from.to_string(), "to": to.to_string()}).to_string();
    let answer = super::runtime()?.block_on(async {
        let request = reqwest::Client::new().post(&url).header("content-type", "application/json").body(body);
        let response = request.send().await?;
        Ok::<_, reqwest::Error>((response.status(), response.text().await?))
    });
    match answer? {
        (status, text) if status.is_success() => {
            let answer: Answer = serde_json::from_str(&text).unwrap_or_default();
            let readings_from = answer.readings_from.as_deref().and_then(Timestamp::parse_rfc3339);
            told::gone(readings_from, from, language).iter().for_each(|line| println!("{line}"));
            println!("{}", told::asked(listen, answer.epoch.is_some(), language));
            Ok(())
        }
        (status, text) => Err(Failure::Other(format!("the service at {listen} answered {status}: {text}"))),
    }
}

/// Prints what would be different.
#[cfg(feature = "store")]
fn preview(
    configuration: &Configuration,
    range: (Timestamp, Timestamp),
    language: Option<LanguageName>,
) -> Result<(), Failure> {
    use crate::service::recompute::preview;

    let root = configuration.path(&configuration.sereno.data_dir);
    let preview = super::runtime()?.block_on(preview(&root, range))?;
    let language = super::language(language).unwrap_or(Language::En);
    told::gone(preview.readings_from, range.0, language).iter().for_each(|line| println!("{line}"));
    words::lines(&preview, language).iter().for_each(|line| println!("{line}"));
    Ok(())
}

#[cfg(not(feature = "store"))]
fn preview(_: &Configuration, _: (Timestamp, Timestamp), _: Option<LanguageName>) -> Result<(), Failure> {
    Err(Failure::Other("--dry-run compares with the store: build Sereno with the feature `store`".into()))
}
