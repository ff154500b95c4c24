//! The courses of all rules on one key, those that are alike kept once.
//!
//! Most rules say most of the time that their condition is not met, and then nothing tells their courses
//! apart. So rules have one course in common until one of them says something else than most: from then on
//! it has a course of its own, a copy to begin with, and until that is alike again. Which rules have which
//! course changes nothing that follows: only courses that are equal are held as one, and only those of
//! rules that treat what may come alike ([`RulePlan::is_plain`](super::rules::RulePlan::is_plain)).

use serde::{Deserialize, Serialize};

use super::course::Course;
use crate::alert::Verdict;
use crate::rule::{Guards, Row};

/// See the module. Rules are told by their places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// How many rules there are.
    count: u32,
    /// Of all rules that have none of their own; `None` when every rule has.
    common: Option<Box<Course>>,
    /// By place.
    own: Vec<(u32, Course)>,
}

impl Bundle {
    /// These, by place; `shares` says of a rule whether its course may be one with others.
    #[must_use]
    pub fn new(courses: Vec<Course>, shares: impl Fn(usize) -> bool) -> Self {
        let own: Vec<(u32, Course)> = (0..).zip(courses).collect();
        let mut bundle = Self { count: own.len() as u32, common: None, own };
        bundle.gather(shares);
        bundle
    }

    /// Whether it is one of so many rules.
    #[must_use]
    pub fn is_of(&self, rules: usize) -> bool {
        let places = || self.own.iter().map(|one| one.0 as usize);
        self.count as usize == rules
            && self.common.is_some() == (self.own.len() < rules)
            && places().is_sorted_by(|left, right| left < right)
            && places().all(|place| place < rules)
    }

    /// The course of a rule.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&Course> {
        match self.find(place) {
            Ok(at) => self.own.get(at).map(|one| &one.1),
            Err(_) => self.common.as_deref().filter(|_| place < self.count as usize),
        }
    }

    /// The course of a rule, which it has for its own from here on.
    pub fn get_mut(&mut self, place: usize) -> Option<&mut Course> {
        if self.is_common(place) {
            self.set_apart(&[place as u32]);
        }
        let at = self.find(place).ok()?;
        self.own.get_mut(at).map(|one| &mut one.1)
    }

    /// Every course once, each with a rule that has it.
    pub fn each(&self) -> impl Iterator<Item = (usize, &Course)> {
        let common = self.common.as_deref().map(|course| (self.spokesman(), course));
        common.into_iter().chain(self.own.iter().map(|(place, course)| (*place as usize, course)))
    }

    /// As [`Self::each`], to change them: what is done to a course is done for all that have it.
    pub fn each_mut(&mut self) -> impl Iterator<Item = (usize, &mut Course)> {
        let spokesman = self.spokesman();
        let common = self.common.as_deref_mut().map(|course| (spokesman, course));
        common.into_iter().chain(self.own.iter_mut().map(|(place, course)| (*place as usize, course)))
    }

    /// The one that rules have in common, with a rule that has it.
    pub fn common_mut(&mut self) -> Option<(usize, &mut Course)> {
        let spokesman = self.spokesman();
        self.common.as_deref_mut().map(|course| (spokesman, course))
    }

    /// Those of one rule each, by place.
    pub fn own_mut(&mut self) -> impl Iterator<Item = (usize, &mut Course)> {
        self.own.iter_mut().map(|(place, course)| (*place as usize, course))
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether a rule has the common course.
    fn is_common(&self, place: usize) -> bool {
        self.common.is_some() && place < self.count as usize && self.find(place).is_err()
    }

    fn find(&self, place: usize) -> Result<usize, usize> {
        self.own.binary_search_by_key(&place, |one| one.0 as usize)
    }

    /// The first rule that has the common course.
    fn spokesman(&self) -> usize {
        self.own.iter().enumerate().take_while(|(at, one)| *at == one.0 as usize).count()
    }

    /// The rules with the common course.
    fn commoners(&self) -> impl Iterator<Item = u32> {
        let mut own = self.own.iter().map(|one| one.0).peekable();
        let held = if self.common.is_some() { self.count } else { 0 };
        (0..held).filter(move |place| own.next_if_eq(place).is_none())
    }

    /// Asks the rules with the common course what they say of a row, and gives those that do not say what
    /// most do courses of their own; what the rest says. `None` is nothing at all, and other than no data.
    pub fn part(
        &mut self,
        guards: &Guards,
        row: &Row<'_>,
        says: impl Fn(usize) -> Option<Verdict>,
    ) -> Option<Verdict> {
        let unmet = Some(Verdict::NOT_MET);
        let ask = |place: u32| (place, says(place as usize));
        let candidates = guards.candidates(row);
        let asked = candidates.into_iter().filter(|place| self.is_common(*place as usize)).map(ask);
        let mut others: Vec<(u32, Option<Verdict>)> = asked.filter(|one| one.1 != unmet).collect();
        let mut most = unmet;
        let half = (self.count as usize - self.own.len()) / 2;
        for nothing in [None, Some(Verdict::NO_DATA)] {
            if others.iter().filter(|one| one.1 == nothing).count() > half {
                most = nothing;
                others = self.commoners().map(ask).filter(|one| one.1 != nothing).collect();
            }
        }
        let places: Vec<u32> = others.into_iter().map(|one| one.0).collect();
        self.set_apart(&places);
        most
    }

    /// Gives every rule a course of its own.
    pub fn set_all_apart(&mut self) {
        let places: Vec<u32> = self.commoners().collect();
        self.set_apart(&places);
    }

    /// Gives these, in order, that have the common one, courses of their own.
    fn set_apart(&mut self, places: &[u32]) {
        let Some(common) = self.common.take_if(|_| !places.is_empty()) else { return };
        let all = self.own.len() + places.len() == self.count as usize;
        let behind = self.own.last().is_none_or(|last| places.first().is_some_and(|first| last.0 < *first));
        self.own.extend(places.iter().map(|place| (*place, (*common).clone())));
        if !behind {
            self.own.sort_unstable_by_key(|one| one.0);
        }
        self.common = (!all).then_some(common);
    }

    /// Holds courses that are alike again as one.
    pub fn gather(&mut self, shares: impl Fn(usize) -> bool) {
        if self.own.is_empty() {
            return;
        }
        let may = |(place, course): &(u32, Course)| shares(*place as usize) && course.is_plain();
        if self.common.is_none() {
            self.common =
                most(self.own.iter().filter(|one| may(one)).map(|one| &one.1)).cloned().map(Box::new);
        }
        if let Some(common) = self.common.as_deref() {
            self.own.retain(|one| !may(one) || one.1 != *common);
            self.own.shrink_to_fit();
        }
    }

    /// The courses of all rules, by place; none are left.
    pub fn take(&mut self) -> Vec<Course> {
        self.set_all_apart();
        std::mem::take(self).own.into_iter().map(|one| one.1).collect()
    }
}

/// The one that more than half of them are, if any is; otherwise one of them.
fn most<'a>(courses: impl Iterator<Item = &'a Course>) -> Option<&'a Course> {
    let mut lead = (None, 0_usize);
    for course in courses {
        lead = match lead {
            (_, 0) => (Some(course), 1),
            (Some(held), votes) if held == course => (Some(held), votes + 1),
            (held, votes) => (held, votes - 1),
        };
    }
    lead.0
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
