//! What `sereno recompute` says of what is computed, in both languages.

use crate::config::Language;
use crate::model::Timestamp;

/// That readings from before `readings_from` are gone, where that matters to a range beginning at
/// `from`.
#[must_use]
pub(super) fn gone(readings_from: Option<Timestamp>, from: Timestamp, language: Language) -> Option<String> {
    let at = readings_from.filter(|at| from < *at)?;
    Some(match language {
        Language::Es => {
            format!(
                "todas las lecturas existen desde {at}; las ventanas que empiezan antes quedan como están"
            )
        }
        Language::En => {
            format!("all readings are there from {at} on; windows that begin before are left as they are")
        }
    })
}

/// That it is done; `restored` events were brought back from the store.
#[must_use]
pub(super) fn computed(windows: u64, restored: u64, language: Language) -> String {
    match (language, restored) {
        (Language::Es, 0) => format!("calculado de nuevo; se publicaron {windows} ventanas"),
        (Language::Es, _) => format!(
            "calculado de nuevo, con {restored} eventos del almacén; se publicaron {windows} ventanas"
        ),
        (Language::En, 0) => format!("computed again; {windows} windows were published"),
        (Language::En, _) => {
            format!("computed again, with {restored} events from the store; {windows} windows were published")
        }
    }
}

/// That a running service does it: at once, or once old events are back.
#[must_use]
pub(super) fn asked(listen: &str, journaled: bool, language: Language) -> String {
    match (language, journaled) {
        (Language::Es, true) => format!("el servicio en {listen} calcula las ventanas de nuevo"),
        (Language::Es, false) => format!(
            "el servicio en {listen} trae los eventos antiguos del almacén y después calcula las ventanas de nuevo"
        ),
        (Language::En, true) => format!("the service at {listen} computes the windows again"),
        (Language::En, false) => format!(
            "the service at {listen} brings old events back from the store, then computes the windows again"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_said_where_it_matters() {
        let at = |second: i64| Timestamp(second * 1_000_000_000);
        assert_eq!(gone(None, at(0), Language::En), None);
        assert_eq!(gone(Some(at(10)), at(10), Language::En), None);
        let said = |language| gone(Some(at(10)), at(9), language).unwrap_or_default();
        assert!(said(Language::En).starts_with("all readings are there from 1970-01-01T00:00:10Z on"));
        assert!(said(Language::Es).starts_with("todas las lecturas existen desde 1970-01-01T00:00:10Z"));
    }
}
