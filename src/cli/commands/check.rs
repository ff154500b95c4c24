//! `sereno check`

use super::super::Failure;
use super::super::arguments::Check;
use crate::config::Language;

/// What it says when there are no faults, in one language.
struct Words {
    /// One, several.
    pipelines: (&'static str, &'static str),
    /// One, several.
    feeds: (&'static str, &'static str),
    no_faults: &'static str,
}

const ES: Words =
    Words { pipelines: ("pipeline", "pipelines"), feeds: ("feed", "feeds"), no_faults: "sin errores" };

const EN: Words =
    Words { pipelines: ("pipeline", "pipelines"), feeds: ("feed", "feeds"), no_faults: "no faults" };

/// Checks the configuration and prints what windows, rules and feeds will need.
///
/// # Errors
/// [`Failure::Faults`] when there are any.
pub fn run(arguments: &Check) -> Result<(), Failure> {
    let configuration = super::configured(&arguments.at)?;
    for estimate in &configuration.estimates {
        println!("{estimate}");
    }
    let (pipelines, feeds) = (configuration.pipelines.len(), configuration.feeds().count());
    let language = super::language_of_environment().unwrap_or(Language::En);
    eprintln!("{}", no_faults(pipelines, feeds, language));
    Ok(())
}

fn no_faults(pipelines: usize, feeds: usize, language: Language) -> String {
    let words = match language {
        Language::Es => &ES,
        Language::En => &EN,
    };
    let counted = |number: usize, (one, several): (&str, &str)| {
        format!("{number} {}", if number == 1 { one } else { several })
    };
    format!("{}, {}: {}", counted(pipelines, words.pipelines), counted(feeds, words.feeds), words.no_faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_in_both_languages() {
        assert_eq!(no_faults(1, 1, Language::En), "1 pipeline, 1 feed: no faults");
        assert_eq!(no_faults(2, 0, Language::En), "2 pipelines, 0 feeds: no faults");
        assert_eq!(no_faults(1, 3, Language::Es), "1 pipeline, 3 feeds: sin errores");
    }
}
