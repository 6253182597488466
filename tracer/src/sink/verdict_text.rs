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
const LEFT_OUT: [&str; 5] = ["WHO", "HOW MANY", "ODD ONE", "SINCE", "CHANGED"];

/// How many facts are told for, against, and in favour of others, where there is no room for all.
const FACTS: usize = 3;

/// The answer on one screen: at most 80 columns and 24 lines.
pub fn to_text(answer: &Answer, look: Look) -> String {
    let Some(case) = answer.cases.first() else {
        return nothing(answer, look);
    };
    let mut sections = section::all(answer, case, false);
    let mut facts = usize::MAX;
    loop {
        let head = head(answer, case, facts, look);
        let text = page(&head, &sections, answer, look);
        let too_many = text.lines().count().saturating_sub(LINES);
        if too_many == 0 {
            return text;
        }
        let least = LEFT_OUT
            .iter()
            .find(|name| sections.iter().any(|(it, _)| it == *name));
        match (least, facts) {
            (Some(least), _) => sections.retain(|(name, _)| name != least),
            // Whoever wants all of them asks why.
            (None, usize::MAX) => facts = FACTS,
            (None, 0) => return shortened(&text, too_many),
            (None, more) => facts = more - 1,
        }
    }
}

/// Without the lines before the last that are too many: the foot stays.
fn shortened(text: &str, too_many: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let (head, foot) = lines.split_at(lines.len() - 1);
    let kept = &head[..head.len().saturating_sub(too_many)];
    let mut lines: Vec<&str> = kept.iter().chain(foot).copied().collect();
    lines.push("");
    lines.join("\n")
}

/// The same for some dependencies, each with all that is known of it.
pub fn to_long_text(answer: &Answer, look: Look) -> String {
    if answer.cases.is_empty() {
        return nothing(answer, look);
    }
    let pages = answer.cases.iter().map(|case| {
        let sections = section::all(answer, case, true);
        let mut text = head(answer, case, usize::MAX, look);
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

fn head(answer: &Answer, case: &Case, facts: usize, look: Look) -> String {
    let judgement = &case.judgement;
    let word = judgement.word.text();
    let sure = match judgement.word {
        Word::Healthy | Word::CantTell => String::new(),
        _ => format!(" ({})", judgement.sure.name()),
    };
    let line = format!("{word}{sure}: {}", sentence(answer, case));
    let line = wrap(&line, look, 2);
    let painted = line.replacen(word, &look.paint(ink(judgement.word), word), 1);
    painted + "\n" + &evidence(judgement, facts, look)
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

fn evidence(judgement: &Judgement, most: usize, look: Look) -> String {
    let some = |all: Vec<String>, between: &str| {
        let more = all.len().saturating_sub(most);
        let mut some: Vec<String> = all.into_iter().take(most).collect();
        if more > 0 {
            some.push(format!("{more} more"));
        }
        some.join(between)
    };
    let said = |facts: &[_]| some(facts.iter().map(fact::text).collect(), "; ");
    let cleared = judgement.cleared.iter();
    let cleared = cleared.map(|(part, it)| fact::cleared(*part, it)).collect();
    let innocent = match judgement.word {
        Word::Healthy => "fine",
        _ => "cleared",
    };
    let lines = [
        ("for", said(&judgement.evidence)),
        ("against", said(&judgement.against)),
        (innocent, some(cleared, ", ")),
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

/// Lines that fit; a name, or a time and its count, stand on one. What no line holds is cut, and what
/// would move the cursor is gone.
fn wrap(text: &str, look: Look, indent: usize) -> String {
    let clean = |letter: char| if letter.is_control() { '�' } else { letter };
    let text: String = text.chars().map(clean).collect();
    let lines = fit::wrap(&text, width(look), indent);
    let lines: Vec<String> = lines
        .lines()
        .map(|line| {
            fit::name(&line.replace('\u{a0}', " "), width(look))
                .trim_end()
                .to_owned()
        })
        .collect();
    lines.join("\n")
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
    let line = wrap(&format!("{}: {what}{others}", word.text()), look, 2);
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
