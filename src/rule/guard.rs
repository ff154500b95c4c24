//! Which of many conditions a row may meet, found without asking each of them.
//!
//! A condition that is a comparison of a column with a literal, or several of them joined by AND, is
//! false of every row that lies on the other side of the literal: its [`Guard`]. [`Guards`] keep the
//! literals of one column in order, so that the conditions that a row may meet are found by a search.

use std::collections::BTreeMap;

use super::expression::Expression;
use super::program::{Comparison, Instruction, Row, Text};

/// What is so of every row of which a condition is not false, provided that the column has data.
#[derive(Clone, Debug, PartialEq)]
pub enum Guard {
    /// The number in this place is at least so much.
    AtLeast(usize, f64),
    /// The number in this place is at most so much.
    AtMost(usize, f64),
    /// The text in this place is one of these.
    OneOf(usize, Vec<Box<str>>),
}

impl Guard {
    /// The guards of a condition, each enough by itself, in the order of its text; none where there are none
    /// so simple.
    #[must_use]
    pub fn all_of(condition: &Expression) -> Vec<Self> {
        let code = condition.code();
        // These do not leave one value in the place of those that they take.
        let irregular = |step: &Instruction| {
            use Instruction::{InEnd, InStep, Jump, JumpUnless, Matches, Nip};
            matches!(step, InEnd { .. } | InStep | Jump(_) | JumpUnless(_) | Matches | Nip)
        };
        let mut found = Vec::new();
        if !code.iter().any(irregular) {
            Self::find(code, &mut found);
        }
        found
    }

    /// Whether it is about a text.
    #[must_use]
    pub fn is_of_text(&self) -> bool {
        matches!(self, Self::OneOf(..))
    }

    fn find(code: &[Instruction], found: &mut Vec<Self>) {
        // A conjunction is false where one of its parts is.
        if let [rest @ .., Instruction::And] = code
            && let Some((left, right)) = start_of_last(rest).map(|at| rest.split_at(at))
        {
            Self::find(left, found);
            Self::find(right, found);
        } else {
            found.extend(Self::of_part(code));
        }
    }

    fn of_part(code: &[Instruction]) -> Option<Self> {
        match code {
            [Instruction::Column(column), Instruction::Constant(limit), Instruction::Compare(how)] => {
                Self::of_comparison(*column, *how, *limit)
            }
            [Instruction::Constant(limit), Instruction::Column(column), Instruction::Compare(how)] => {
                let mirrored = match how {
                    Comparison::Less => Comparison::Greater,
                    Comparison::LessOrEqual => Comparison::GreaterOrEqual,
                    Comparison::Greater => Comparison::Less,
                    Comparison::GreaterOrEqual => Comparison::LessOrEqual,
                    same => *same,
                };
                Self::of_comparison(*column, mirrored, *limit)
            }
            [
                Instruction::Column(column),
                Instruction::Constant(low),
                Instruction::Constant(_),
                Instruction::Between { negated: false },
            ] => Self::of_comparison(*column, Comparison::GreaterOrEqual, *low),
            [Instruction::TextEqual { left, right, negated: false }] => match (left, right) {
                (Text::Column(column), Text::Literal(text)) | (Text::Literal(text), Text::Column(column)) => {
                    Some(Self::OneOf(*column, vec![text.clone()]))
                }
                _ => None,
            },
            [Instruction::TextIn { text: Text::Column(column), list, negated: false }] => {
                let literal = |item: &Text| match item {
                    Text::Literal(text) => Some(text.clone()),
                    Text::Column(_) => None,
                };
                Some(Self::OneOf(*column, list.iter().map(literal).collect::<Option<_>>()?))
            }
            _ => None,
        }
    }

    fn of_comparison(column: usize, how: Comparison, limit: f64) -> Option<Self> {
        match how {
            _ if !limit.is_finite() => None,
            Comparison::Greater | Comparison::GreaterOrEqual | Comparison::Equal => {
                Some(Self::AtLeast(column, limit))
            }
            Comparison::Less | Comparison::LessOrEqual => Some(Self::AtMost(column, limit)),
            Comparison::NotEqual => None,
        }
    }
}

/// Where the instructions begin that leave the last value.
fn start_of_last(code: &[Instruction]) -> Option<usize> {
    let mut wanted = 1_isize;
    for (at, step) in code.iter().enumerate().rev() {
        wanted -= step.effect();
        if wanted == 0 {
            return Some(at);
        }
    }
    None
}

/// Conditions by their guards; each has a place.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    /// Those without one.
    free: Vec<u32>,
    /// By column, in the order of the limits.
    at_least: BTreeMap<usize, Vec<(f64, u32)>>,
    at_most: BTreeMap<usize, Vec<(f64, u32)>>,
    /// By column and text, those that it lets through by what else guards them.
    texts: BTreeMap<usize, BTreeMap<Box<str>, Guards>>,
}

impl Guards {
    /// Of conditions in the order of their places. Of the guards of each the first counts, and where that is
    /// of a text the one after it, too.
    pub fn new(conditions: impl IntoIterator<Item = Vec<Guard>>) -> Self {
        let mut all = Self::default();
        for (place, guards) in (0_u32..).zip(conditions) {
            all.add(place, &guards);
        }
        all.sort();
        all
    }

    fn add(&mut self, place: u32, guards: &[Guard]) {
        match guards {
            [] => self.free.push(place),
            [Guard::AtLeast(column, limit), ..] => {
                self.at_least.entry(*column).or_default().push((*limit, place));
            }
            [Guard::AtMost(column, limit), ..] => {
                self.at_most.entry(*column).or_default().push((*limit, place));
            }
            [Guard::OneOf(column, texts), rest @ ..] => {
                let column = self.texts.entry(*column).or_default();
                for text in texts {
                    column.entry(text.clone()).or_default().add(place, rest);
                }
            }
        }
    }

    fn sort(&mut self) {
        for limits in self.at_least.values_mut().chain(self.at_most.values_mut()) {
            limits.sort_by(|left, right| left.0.total_cmp(&right.0));
        }
        self.texts.values_mut().flat_map(BTreeMap::values_mut).for_each(Self::sort);
    }

    /// Places of the conditions that the row may meet, or of which it has no data, in order: every other
    /// condition is false of it.
    #[must_use]
    pub fn candidates(&self, row: &Row<'_>) -> Vec<u32> {
        let mut found = Vec::new();
        self.find(row, &mut found);
        found.sort_unstable();
        found.dedup();
        found
    }

    fn find(&self, row: &Row<'_>, found: &mut Vec<u32>) {
        found.extend(&self.free);
        let number = |column: usize| row.numbers.get(column).copied().flatten().filter(|n| n.is_finite());
        for (column, limits) in &self.at_least {
            let met = number(*column).map_or(limits.len(), |n| limits.partition_point(|one| one.0 <= n));
            found.extend(limits.iter().take(met).map(|one| one.1));
        }
        for (column, limits) in &self.at_most {
            let unmet = number(*column).map_or(0, |n| limits.partition_point(|one| one.0 < n));
            found.extend(limits.iter().skip(unmet).map(|one| one.1));
        }
        for (column, texts) in &self.texts {
            match row.texts.get(*column).copied().flatten() {
                Some(text) => texts.get(text).into_iter().for_each(|guards| guards.find(row, found)),
                None => texts.values().for_each(|guards| guards.find(row, found)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Schema;

    fn guards(sql: &str) -> Vec<Guard> {
        let schema = Schema::new().number("x").number("y").text("s").text("z");
        Guard::all_of(&Expression::compile(sql, &schema).unwrap())
    }

    #[test]
    fn comparisons_with_literals_have_one() {
        let (least, most) = (Guard::AtLeast, Guard::AtMost);
        let texts =
            |place, texts: &[&str]| Guard::OneOf(place, texts.iter().map(|text| (*text).into()).collect());
        assert_eq!(guards("x > 55"), [least(0, 55.0)]);
        assert_eq!(guards("y >= 1.5"), [least(1, 1.5)]);
        assert_eq!(guards("10 > x"), [most(0, 10.0)]);
        assert_eq!(guards("10 >= x"), [most(0, 10.0)]);
        assert_eq!(guards("10 < x"), [least(0, 10.0)]);
        assert_eq!(guards("10 <= x"), [least(0, 10.0)]);
        assert_eq!(guards("x BETWEEN 2 AND 3"), [least(0, 2.0)]);
        assert_eq!(guards("x = 4"), [least(0, 4.0)]);
        assert_eq!(guards("z = 'a'"), [texts(1, &["a"])]);
        assert_eq!(guards("s IN ('a', 'b')"), [texts(0, &["a", "b"])]);
        assert_eq!(guards("x > 1 AND y < 2"), [least(0, 1.0), most(1, 2.0)]);
        assert_eq!(guards("x * 2 > y AND (y < 2 AND s <> 'a')"), [most(1, 2.0)]);
        assert_eq!(guards("x > 1 AND s = 'a'"), [least(0, 1.0), texts(0, &["a"])]);
    }

    #[test]
    fn others_have_none() {
        let others = [
            "x > y",
            "x <> 1",
            "x > 1 OR y > 1",
            "NOT x > 1",
            "x IS NULL",
            "x NOT BETWEEN 1 AND 2",
            "s <> 'a'",
            "s NOT IN ('a')",
            "CASE WHEN x > 1 THEN y > 1 ELSE FALSE END",
            "CASE WHEN s = 'a' THEN TRUE ELSE x > 1 AND y > 1 END",
            "x IN (1, 2)",
            "s IN ('a', z)",
            "(x > 1) IS NOT TRUE",
            "coalesce(x, 9) > 1",
            "s = z",
        ];
        for sql in others {
            assert_eq!(guards(sql), [], "{sql}");
        }
    }

    #[test]
    fn candidates_are_found_by_their_first_guard_and_the_one_after_a_text() {
        let conditions =
            ["y <> 1", "x > 2", "x > 1", "x < 2", "x < 1", "s = 'a' AND x > 1", "s IN ('a', 'b')"];
        let all = Guards::new(conditions.map(|sql| {
            let mut all = guards(sql);
            all.sort_by_key(|guard| !guard.is_of_text());
            all
        }));
        let of =
            |x: Option<f64>, s: Option<&str>| all.candidates(&Row { numbers: &[x, None], texts: &[s, None] });
        assert_eq!(of(Some(1.0), Some("c")), [0, 2, 3, 4]);
        assert_eq!(of(Some(1.5), Some("a")), [0, 2, 3, 5, 6]);
        assert_eq!(of(Some(0.0), Some("a")), [0, 3, 4, 6]);
        assert_eq!(of(Some(9.0), Some("b")), [0, 1, 2, 6]);
        assert_eq!(of(Some(0.0), None), [0, 3, 4, 6]);
        assert_eq!(of(None, Some("a")), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(of(Some(f64::NAN), None), [0, 1, 2, 3, 4, 5, 6]);
    }

    /// Conditions made of such parts, and rows of such values: whatever is no candidate is false.
    #[test]
    fn what_is_no_candidate_is_false() {
        let schema = Schema::new().number("x").number("y").text("s").text("z");
        let parts = [
            "x > 1",
            "x >= 2",
            "1 < y",
            "y <= 2",
            "x = 2",
            "x BETWEEN 0 AND 2",
            "s = 'a'",
            "z IN ('a', 'b')",
            "2 >= x",
            "1 <= y",
            "x > y",
            "x <> 2",
            "s <> 'a'",
            "s IN ('b', z)",
            "x IS NULL",
            "NOT y > 1",
            "(x > 1 OR y > 1)",
            "x / 0.0 > 1",
            "CASE WHEN s = 'a' THEN TRUE ELSE x > 1 AND y > 1 END",
            "TRUE",
        ];
        let mut conditions: Vec<String> = parts.map(str::to_owned).into();
        for left in parts {
            for right in parts {
                conditions.push(format!("{left} AND {right}"));
                conditions.push(format!("{left} OR {right}"));
                conditions.push(format!("{left} AND ({right} AND y > 1)"));
            }
        }
        let compiled: Vec<Expression> =
            conditions.iter().map(|sql| Expression::compile(sql, &schema).unwrap()).collect();
        let turned = |number: usize, condition: &Expression| {
            let mut all = Guard::all_of(condition);
            let count = all.len().max(1);
            all.rotate_left(number % count);
            all
        };
        let guards = Guards::new(compiled.iter().enumerate().map(|(number, one)| turned(number, one)));
        let numbers = [None, Some(f64::NAN), Some(0.0), Some(1.0), Some(1.5), Some(2.0), Some(3.0)];
        let texts = [None, Some("a"), Some("b"), Some("c")];
        let mut left_out = 0;
        for (x, y) in numbers.iter().flat_map(|x| numbers.iter().map(move |y| (*x, *y))) {
            for (s, z) in texts.iter().flat_map(|s| texts.iter().map(move |z| (*s, *z))) {
                let row = Row { numbers: &[x, y], texts: &[s, z] };
                let candidates = guards.candidates(&row);
                assert!(candidates.is_sorted_by(|left, right| left < right));
                for (place, condition) in compiled.iter().enumerate() {
                    if candidates.binary_search(&(place as u32)).is_err() {
                        left_out += 1;
                        assert_eq!(condition.eval(&row), Some(false), "{} of {row:?}", condition.sql());
                    }
                }
            }
        }
        assert!(left_out > 10_000, "{left_out}");
    }
}
