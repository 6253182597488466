//! Who was right: the incidents, the screen, and the naive judge beside them.

use std::fmt::{self, Display, Formatter};

use serde_json::{Value, json};

use super::fault::{Fault, Truth};
use super::view::View;
use super::witness::Seen;
use crate::table::quantile;

/// What a judge's answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// The strongest that can be known.
    Hit,
    /// The word is right; the place does not name what it has to.
    Vague,
    /// Nobody is accused, and somebody should be.
    Miss,
    /// An innocent is accused.
    False,
    /// Nobody could say more of so little.
    Excused,
}

impl Worth {
    fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Vague => "vague",
            Self::Miss => "miss",
            Self::False => "FALSE",
            Self::Excused => "excused",
        }
    }
}

/// Whether a word says that somebody is at fault.
fn accuses(word: &str) -> bool {
    !matches!(word, "HEALTHY" | "CAN'T TELL")
}

/// All words that a judge said at once, with their places, against the truth.
fn worth<'a>(truth: Truth, said: impl Iterator<Item = (&'a str, &'a str)>) -> Worth {
    let said: Vec<_> = said.filter(|(word, _)| *word != "HEALTHY").collect();
    let most = match truth {
        Truth::Innocent => "HEALTHY",
        Truth::Guilty { word, .. } | Truth::AtMost(word) => word,
    };
    if said.iter().any(|(it, _)| accuses(it) && *it != most) {
        return Worth::False;
    }
    let Truth::Guilty { word, place } = truth else {
        return Worth::Hit;
    };
    // What is said first is what the answer is about.
    match said.iter().find(|(it, _)| *it == word) {
        Some((_, at)) if place.iter().any(|part| at.contains(part)) => Worth::Hit,
        Some(_) => Worth::Vague,
        None => Worth::Miss,
    }
}

/// Less traffic by more than this is less than one request a second of each client.
pub(super) const ONE_A_SECOND: u32 = 80;

/// What a fault came with.
#[derive(Clone, Copy)]
pub(super) struct How {
    /// Whether an unrelated route appeared a second before, or after.
    pub(super) is_disturbed: bool,
    /// Whether so little passes that nobody can tell that something is well.
    pub(super) is_scarce: bool,
}

/// Whether a first word is the strongest that can be said.
fn is_right(truth: Truth, word: &str) -> bool {
    match truth {
        Truth::Innocent => word == "HEALTHY",
        Truth::Guilty { word: right, .. } => word == right,
        Truth::AtMost(most) => !accuses(word) || word == most,
    }
}

/// One fault, and what was said of it.
pub(super) struct Trial {
    fault: &'static Fault,
    view: View,
    truth: Truth,
    how: How,
    seen: Seen,
    /// None where there was no incident, or nobody waited.
    recovered: Option<bool>,
    by_incidents: Worth,
    by_screen: Worth,
    is_first_word_right: bool,
    naive: &'static str,
    by_naive: Worth,
}

impl Trial {
    pub(super) const HEAD: &'static str = "\
fault                 change view  detected first word (claim)            screen incidents recovered naive  where";

    pub(super) fn new(
        (fault, view): (&'static Fault, View),
        how: How,
        seen: Seen,
        recovered: Option<bool>,
    ) -> Self {
        let truth = fault.truth.of(view);
        let incidents = seen.incidents.iter();
        let incidents = incidents.map(|it| (it.word.as_str(), it.place.as_str()));
        let said = seen.screen.said.iter();
        let said = said.map(|(word, place)| (word.as_str(), place.as_str()));
        let naive = if fault.is_change || how.is_disturbed {
            "PATH"
        } else {
            "PEER"
        };
        // It names no place, and none is asked of it.
        let named = match truth {
            Truth::Guilty { place, .. } => place[0],
            Truth::Innocent | Truth::AtMost(_) => "",
        };
        let [by_incidents, by_screen] = [worth(truth, incidents), worth(truth, said)];
        let excused = |it| match it {
            Worth::Miss | Worth::Vague if how.is_scarce => Worth::Excused,
            _ => it,
        };
        let word = &*seen.screen.word;
        let is_first_word_right = match word {
            "CAN'T TELL" | "HEALTHY" if how.is_scarce => word != "HEALTHY",
            _ => is_right(truth, word),
        };
        Self {
            by_incidents: excused(by_incidents),
            by_screen: excused(by_screen),
            by_naive: worth(truth, [(naive, named)].into_iter()),
            is_first_word_right,
            naive,
            fault,
            view,
            truth,
            how,
            seen,
            recovered,
        }
    }

    fn is_guilty(&self) -> bool {
        matches!(self.truth, Truth::Guilty { .. })
    }

    fn recovered(&self) -> &'static str {
        match self.recovered {
            None => "–",
            Some(true) => "yes",
            Some(false) => "no",
        }
    }

    pub(super) fn json(&self) -> Value {
        let incidents = self.seen.incidents.iter();
        json!({
            "fault": self.fault.name,
            "view": self.view.name(),
            "change": self.fault.is_change,
            "unrelated_change": self.how.is_disturbed,
            "detected_s": self.seen.detected.map(|it| it.as_secs_f64()),
            "first_word": self.seen.screen.word,
            "first_word_right": self.is_first_word_right,
            "claim": self.seen.screen.claim,
            "where": self.seen.screen.place,
            "said": self.seen.screen.said,
            "incidents": incidents.map(|it| json!({"word": it.word, "where": it.place}))
                .collect::<Vec<_>>(),
            "by_screen": self.by_screen.name(),
            "by_incidents": self.by_incidents.name(),
            "naive": self.naive,
            "by_naive": self.by_naive.name(),
            "recovered": self.recovered,
        })
    }
}

impl Display for Trial {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let change = match (self.fault.is_change, self.how.is_disturbed) {
            (true, _) => "own",
            (false, true) => "other",
            (false, false) => "none",
        };
        let detected = self.seen.detected;
        let detected = detected.map_or("–".to_owned(), |it| format!("{:.1} s", it.as_secs_f64()));
        let said = format!("{} ({})", self.seen.screen.word, self.seen.screen.claim);
        let place: String = self.seen.screen.place.chars().take(60).collect();
        write!(
            f,
            "{:<21} {change:<6} {:<5} {detected:<8} {said:<30} {:<6} {:<9} {:<9} {:<6} {place}",
            self.fault.name,
            self.view.name(),
            self.by_screen.name(),
            self.by_incidents.name(),
            self.recovered(),
            self.by_naive.name(),
        )?;
        for incident in &self.seen.incidents {
            write!(f, "\n    {:.150}", incident.text())?;
        }
        Ok(())
    }
}

/// What a judge did altogether.
#[derive(Clone, Copy, Default)]
struct Marks {
    hits: usize,
    vague: usize,
    misses: usize,
    false_claims: usize,
    excused: usize,
}

impl Marks {
    fn of(worths: impl Iterator<Item = Worth>) -> Self {
        let mut marks = Self::default();
        for worth in worths {
            *match worth {
                Worth::Hit => &mut marks.hits,
                Worth::Vague => &mut marks.vague,
                Worth::Miss => &mut marks.misses,
                Worth::False => &mut marks.false_claims,
                Worth::Excused => &mut marks.excused,
            } += 1;
        }
        marks
    }

    fn json(self) -> Value {
        json!({"hits": self.hits, "vague": self.vague, "misses": self.misses,
            "false_claims": self.false_claims, "excused": self.excused})
    }
}

pub(super) struct Summary {
    trials: usize,
    judges: [(&'static str, Marks); 3],
    right_words: usize,
    /// Guilty ones that were detected, in seconds; and of how many.
    detected: Vec<f64>,
    guilty: usize,
}

impl Summary {
    pub(super) fn of(trials: &[Trial]) -> Self {
        let guilty = trials.iter().filter(|it| it.is_guilty());
        let detected = guilty.clone().filter_map(|it| it.seen.detected);
        Self {
            trials: trials.len(),
            judges: [
                ("screen", Marks::of(trials.iter().map(|it| it.by_screen))),
                (
                    "incidents",
                    Marks::of(trials.iter().map(|it| it.by_incidents)),
                ),
                ("naive", Marks::of(trials.iter().map(|it| it.by_naive))),
            ],
            right_words: trials.iter().filter(|it| it.is_first_word_right).count(),
            detected: detected.map(|it| it.as_secs_f64()).collect(),
            guilty: guilty.count(),
        }
    }

    /// Of the screen, and of the incidents too where they are asked for.
    pub(super) fn false_claims(&self, by_incidents: bool) -> usize {
        let judges = self.judges.iter().take(1 + usize::from(by_incidents));
        judges.map(|(_, it)| it.false_claims).sum()
    }

    pub(super) fn wrong_words(&self) -> usize {
        self.trials - self.right_words
    }

    fn detection_s(&self, q: f64) -> Option<f64> {
        quantile(&mut self.detected.clone(), q)
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "trials": self.trials,
            "judges": self.judges.iter().map(|(name, it)| json!({"judge": name, "marks": it.json()}))
                .collect::<Vec<_>>(),
            "first_word_right": self.right_words,
            "guilty": self.guilty,
            "detected": self.detected.len(),
            "detection_p50_s": self.detection_s(0.5),
            "detection_p95_s": self.detection_s(0.95),
        })
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        writeln!(f, "judge       hits vague misses false claims excused   of")?;
        for (name, it) in &self.judges {
            writeln!(
                f,
                "{name:<10} {:>5} {:>5} {:>6} {:>12} {:>7} {:>4}",
                it.hits, it.vague, it.misses, it.false_claims, it.excused, self.trials
            )?;
        }
        writeln!(
            f,
            "first word right: {} of {}",
            self.right_words, self.trials
        )?;
        write!(f, "detected: {} of {}", self.detected.len(), self.guilty)?;
        if let (Some(p50), Some(p95)) = (self.detection_s(0.5), self.detection_s(0.95)) {
            write!(f, ", after {p50:.1} s (p50), {p95:.1} s (p95)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Truth = Truth::Guilty {
        word: "PATH",
        place: &["r2"],
    };
    const DEAD: Truth = Truth::Guilty {
        word: "CAN'T TELL",
        place: &["db"],
    };

    #[test]
    fn less_is_a_miss_and_more_is_a_false_claim() {
        let of = |said: &[(&'static str, &'static str)]| worth(SLOW, said.iter().copied());
        assert_eq!(of(&[("PATH", "behind r2")]), Worth::Hit);
        assert_eq!(of(&[("PATH", "somewhere")]), Worth::Vague);
        assert_eq!(of(&[("PATH", "r1"), ("PATH", "r2")]), Worth::Vague);
        assert_eq!(of(&[("HEALTHY", "r2"), ("CAN'T TELL", "r2")]), Worth::Miss);
        assert_eq!(of(&[("PATH", "r2"), ("PEER", "db")]), Worth::False);
    }

    #[test]
    fn where_nobody_can_tell_that_is_the_answer() {
        let of = |said: &[(&'static str, &'static str)]| worth(DEAD, said.iter().copied());
        assert_eq!(of(&[("CAN'T TELL", "app → db")]), Worth::Hit);
        assert_eq!(of(&[("PEER", "app → db")]), Worth::False);
        assert_eq!(of(&[]), Worth::Miss);
        assert!(is_right(DEAD, "CAN'T TELL") && !is_right(DEAD, "HEALTHY"));
    }

    #[test]
    fn of_an_innocent_nothing_may_be_said_and_of_what_is_hardly_seen_little() {
        let of = |truth, word| worth(truth, [(word, "")].into_iter());
        assert_eq!(of(Truth::Innocent, "CAN'T TELL"), Worth::Hit);
        assert_eq!(of(Truth::Innocent, "PEER"), Worth::False);
        let hardly = Truth::AtMost("PATH");
        assert_eq!(of(hardly, "PATH"), Worth::Hit);
        assert_eq!(of(hardly, "CAN'T TELL"), Worth::Hit);
        assert_eq!(of(hardly, "PEER"), Worth::False);
        assert!(is_right(hardly, "PATH") && is_right(hardly, "HEALTHY"));
    }
}
