//! The one screen: the first word, one sentence with its evidence, and what an engineer asks next.

mod claim;
mod evidence;
mod fact;
mod section;

pub use evidence::to_evidence;

use super::fit;
use super::look::{Ink, Look};
use super::{time, units};
use crate::model::answer::{Answer, Case};
use crate::model::verdict::{Claim, Judgement, Word};

/// The screen that it has to fit.
const COLUMNS: usize = 80;
const LINES: usize = 24;

/// Where a section's lines begin.
const INDENT: usize = 10;

/// Sections that are left out where there is no room for all, the least missed first.
const LEFT_OUT: [&str; 5] = ["WHO", "HOW MANY", "SINCE", "ODD ONE", "CHANGED"];

/// The answer on one screen: at most 80 columns and 24 lines.
pub fn to_text(answer: &Answer, look: Look) -> String {
    let Some(case) = answer.cases.first() else {
        return nothing(answer, look);
    };
    let mut sections = section::all(answer, case, false);
    let head = head(answer, case, look);
    loop {
        let text = page(&head, &sections, answer, look);
        let least = LEFT_OUT
            .iter()
            .find(|name| sections.iter().any(|(it, _)| it == *name));
        match least {
            Some(least) if text.lines().count() > LINES => {
                sections.retain(|(name, _)| name != least);
            }
            _ => return text,
        }
    }
}

/// The same for some dependencies, each with all that is known of it.
pub fn to_long_text(answer: &Answer, look: Look) -> String {
    if answer.cases.is_empty() {
        return nothing(answer, look);
    }
    let pages = answer.cases.iter().map(|case| {
        let sections = section::all(answer, case, true);
        let mut text = head(answer, case, look);
        text += &body(&sections, look);
        text
    });
    let pages: Vec<String> = pages.collect();
    pages.join("\n") + &foot(answer, look)
}

/// What is claimed of a dependency, and what speaks for it.
pub fn sentences(case: &Case) -> Vec<String> {
    let claim = claim::sentence(case).replace('\u{a0}', " ");
    let facts = case.judgement.evidence.iter().map(fact::text);
    std::iter::once(claim).chain(facts).collect()
}

fn page(
    head: &str,
    sections: &[(&'static str, Vec<String>)],
    answer: &Answer,
    look: Look,
) -> String {
    head.to_owned() + &body(sections, look) + &foot(answer, look)
}

fn width(look: Look) -> usize {
    look.width.min(COLUMNS)
}

fn head(answer: &Answer, case: &Case, look: Look) -> String {
    let judgement = &case.judgement;
    let word = judgement.word.text();
    let sure = match judgement.word {
        Word::Healthy | Word::CantTell => String::new(),
        _ => format!(" ({})", judgement.sure.name()),
    };
    let line = format!("{word}{sure}: {}", sentence(answer, case));
    let line = wrap(&line, look, 2);
    let painted = line.replacen(word, &look.paint(ink(judgement.word), word), 1);
    painted + "\n" + &evidence(judgement, look)
}

/// What is claimed; where all is well, of all that was looked at.
fn sentence(answer: &Answer, case: &Case) -> String {
    let exchanges: u64 = answer.cases.iter().map(|case| case.exchanges).sum();
    let exchanges = units::counted(exchanges, "exchange");
    match case.judgement.claim {
        Claim::Fine if answer.cases.len() > 1 => format!(
            "nothing is wrong with {} of {} dependencies, {exchanges}; busiest: {}",
            answer.count(Word::Healthy),
            answer.cases.len(),
            claim::name(case)
        ),
        Claim::Fine => format!("{}, {exchanges}", claim::sentence(case)),
        _ => claim::sentence(case),
    }
}

fn evidence(judgement: &Judgement, look: Look) -> String {
    let said = |facts: &[_]| {
        let facts: Vec<String> = facts.iter().map(fact::text).collect();
        facts.join("; ")
    };
    let cleared: Vec<String> = judgement
        .cleared
        .iter()
        .map(|(part, it)| fact::cleared(*part, it))
        .collect();
    let innocent = match judgement.word {
        Word::Healthy => "fine",
        _ => "cleared",
    };
    let lines = [
        ("for", said(&judgement.evidence)),
        ("against", said(&judgement.against)),
        (innocent, cleared.join(", ")),
    ];
    lines
        .iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| labelled(&format!("  {name}"), text, look))
        .collect()
}

fn labelled(label: &str, text: &str, look: Look) -> String {
    // A label's spaces are no place to break a line.
    let label = fit::left(label, INDENT);
    let room = "·".repeat(INDENT);
    let line = wrap(&format!("{room}{text}"), look, INDENT);
    let text = line.strip_prefix(&room).unwrap_or(&line);
    look.paint(Ink::Faint, &label) + text + "\n"
}

/// Lines that fit; a name, or a time and its count, stand on one.
fn wrap(text: &str, look: Look, indent: usize) -> String {
    fit::wrap(text, width(look), indent).replace('\u{a0}', " ")
}

fn body(sections: &[(&'static str, Vec<String>)], look: Look) -> String {
    let mut text = String::new();
    for (name, lines) in sections {
        for (at, line) in lines.iter().enumerate() {
            text += &labelled(if at == 0 { name } else { "" }, line, look);
        }
    }
    text
}

fn foot(answer: &Answer, look: Look) -> String {
    let by = if answer.by_agent {
        "asked the agent"
    } else {
        "no agent was asked"
    };
    let line = format!(
        "{:.1} s until {} on Linux {}; {by}",
        answer.duration_ns as f64 / 1e9,
        time::second(answer.at),
        fit::name(&answer.kernel, 30)
    );
    look.paint(Ink::Faint, &wrap(&line, look, 2)) + "\n"
}

fn nothing(answer: &Answer, look: Look) -> String {
    let word = Word::CantTell;
    let what = match &answer.about {
        Some(about) => format!("no TCP connection of {about} had traffic"),
        None => "no TCP connection of this host had traffic".to_owned(),
    };
    let others = match answer.not_judged {
        0 => String::new(),
        packets => format!(
            "; {} of others are not judged",
            units::counted(packets, "packet")
        ),
    };
    let line = fit::wrap(&format!("{}: {what}{others}", word.text()), width(look), 2);
    let next = labelled("NEXT", "sudo tracer --duration 1m", look);
    line + "\n" + &next + &foot(answer, look)
}

const fn ink(word: Word) -> Ink {
    match word {
        Word::Healthy => Ink::Good,
        Word::CantTell => Ink::Unsure,
        Word::Path | Word::Peer | Word::ThisHost | Word::App => Ink::Bad,
    }
}

#[cfg(test)]
mod tests;
