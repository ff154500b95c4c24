//! The nearest of some names to a misspelt one, for remedies.

/// The candidate that differs least from `word`, if it is near enough to be meant: at most a third
/// of its letters changed, left out, added or swapped.
///
/// ```
/// assert_eq!(sereno::rule::near::nearest("pm2", ["pm25", "pm10"]), Some("pm25"));
/// ```
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(LENGTH_MAX).flat_map(char::to_lowercase).collect();
    let allowed = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean `pm25`?", or the names there are, or `none` where there are none.
#[must_use]
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone, none: &str) -> String {
    if let Some(name) = nearest(word, candidates.clone()) {
        return format!("did you mean `{name}`?");
    }
    let names: Vec<String> = candidates.into_iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => none.to_owned(),
        [only] => format!("there is only {only}"),
        names if names.len() <= LISTED_MAX => format!("there are {}", names.join(", ")),
        names => {
            let shown = names.get(..LISTED_MAX).unwrap_or_default().join(", ");
            format!("there are {shown} and {} more", names.len() - LISTED_MAX)
        }
    }
}

/// Letters of a word that are compared.
const LENGTH_MAX: usize = 64;
/// Names a remedy lists at most.
const LISTED_MAX: usize = 12;

/// Optimal string alignment distance: edits and swaps of neighbours.
fn distance(word: &[char], candidate: &str) -> usize {
    let other: Vec<char> = candidate.chars().take(LENGTH_MAX).flat_map(char::to_lowercase).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    let mut previous_letter = None;
    for (i, letter) in word.iter().enumerate() {
        let mut row = vec![i + 1];
        let mut previous_other = None;
        for (j, letter_other) in other.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&last, j) + usize::from(letter != letter_other))
                .min(at(&last, j + 1) + 1)
                .min(at(&row, j) + 1);
            let swapped = previous_letter == Some(letter_other) && previous_other == Some(letter);
            if swapped && j > 0 {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
            previous_other = Some(letter_other);
        }
        before = std::mem::replace(&mut last, row);
        previous_letter = Some(letter);
    }
    last.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_typing_mistakes_and_nothing_else() {
        let names = ["pm25_mean", "pm10_mean", "humidity", "count"];
        for (word, want) in [
            ("pm25_maen", Some("pm25_mean")),
            ("pm25mean", Some("pm25_mean")),
            ("humedity", Some("humidity")),
            ("Count", Some("count")),
            ("temperature", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), want, "{word}");
        }
    }

    #[test]
    fn lists_what_there_is_when_nothing_is_near() {
        assert_eq!(suggest("x1", ["alpha", "beta"], "none"), "there are `alpha`, `beta`");
        assert_eq!(suggest("x1", ["alpha"], "none"), "there is only `alpha`");
        assert_eq!(suggest("x1", [], "there are none yet"), "there are none yet");
    }
}
