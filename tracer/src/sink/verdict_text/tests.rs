//! The screen for each first word.

use super::*;
use crate::model::answer::example;

/// It is right at 80 columns, and has no line too many.
#[track_caller]
fn screen(answer: &Answer) -> String {
    let text = to_text(answer, Look::default());
    for line in text.lines() {
        assert!(fit::width(line) <= 80, "{line}");
        assert_eq!(line.trim_end(), line);
    }
    assert!(text.lines().count() <= 24, "{text}");
    text
}

#[test]
fn path() {
    insta::assert_snapshot!(screen(&example::outdated()));
}

#[test]
fn peer() {
    insta::assert_snapshot!(screen(&example::thinking()));
}

#[test]
fn this_host() {
    insta::assert_snapshot!(screen(&example::dropping()));
}

#[test]
fn app() {
    insta::assert_snapshot!(screen(&example::reading_late()));
}

#[test]
fn healthy() {
    insta::assert_snapshot!(screen(&example::healthy()));
}

#[test]
fn cant_tell() {
    insta::assert_snapshot!(screen(&example::trickle()));
}

#[test]
fn nothing_seen() {
    insta::assert_snapshot!(screen(&Answer::default()));
}

#[test]
fn an_agent_knows_what_changed() {
    let answer = Answer {
        by_agent: true,
        changes: Some(crate::model::example::changes()),
        ..example::outdated()
    };
    insta::assert_snapshot!(screen(&answer));
}

#[test]
fn an_agent_knows_what_was_before() {
    insta::assert_snapshot!(screen(&example::remembered()));
}

#[test]
fn a_hand_over_has_no_names() {
    insta::assert_snapshot!(to_evidence(&example::remembered()));
}

#[test]
fn why_tells_of_each() {
    insta::assert_snapshot!(to_long_text(&example::outdated(), Look::default()));
}

#[test]
fn a_narrow_screen_holds_it_too() {
    let look = Look {
        width: 50,
        colour: false,
    };
    let text = to_text(&example::outdated(), look);
    assert!(text.lines().all(|line| fit::width(line) <= 50), "{text}");
}

#[test]
fn colours_are_only_added() {
    let look = Look {
        width: 80,
        colour: true,
    };
    let painted = to_text(&example::outdated(), look);
    let mut plain = String::new();
    let mut rest = painted.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain += before;
        rest = after.split_once('m').expect("the code's end").1;
    }
    plain += rest;
    assert_eq!(plain, to_text(&example::outdated(), Look::default()));
}
