//! Whether tracing can work here, as a person reads it.

use super::fit;
use super::look::{Ink, Look};
use super::units;
use crate::model::{Availability, State, reading};

/// A row for each hop and feature, and the verdict in the last line.
pub fn to_text(rows: &[Availability], look: Look) -> String {
    let widest = rows.iter().map(|row| fit::width(&row.name)).max();
    let names = widest.unwrap_or(0).min(look.width / 2);
    let mut text: String = rows.iter().map(|row| entry(row, names, look)).collect();
    text += &verdict(rows, look);
    text.push('\n');
    text
}

fn entry(row: &Availability, names: usize, look: Look) -> String {
    let (ink, mark) = match &row.state {
        State::Works => (Ink::Good, "✓"),
        State::Unavailable { .. } => (Ink::Unsure, "–"),
        State::Missing { .. } => (Ink::Bad, "✗"),
    };
    let name = fit::left(&fit::name(&row.name, names), names);
    let indent = names + 4;
    let column = look.width.saturating_sub(indent).max(20);
    let mut lines = wrapped(&row.meaning, column);
    if let State::Unavailable { because, advice } | State::Missing { because, advice } = &row.state
    {
        lines.extend(wrapped(&format!("can't: {because}"), column));
        lines.extend(wrapped(&format!("do:    {advice}"), column));
    }
    let mut text = format!(
        "{} {}",
        look.paint(ink, mark),
        look.paint(Ink::Heading, &name)
    );
    for (index, line) in lines.iter().enumerate() {
        let gap = if index == 0 { 2 } else { indent };
        text += &" ".repeat(gap);
        text += &look.paint(if index == 0 { Ink::Plain } else { ink }, line);
        text.push('\n');
    }
    text
}

fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let wrapped = fit::wrap(text, columns, 2);
    wrapped.lines().map(str::to_owned).collect()
}

fn verdict(rows: &[Availability], look: Look) -> String {
    let count = |wanted: fn(&State) -> bool| rows.iter().filter(|row| wanted(&row.state)).count();
    let missing = count(|state| matches!(state, State::Missing { .. })) as u64;
    let unavailable = count(|state| matches!(state, State::Unavailable { .. }));
    let (ink, text) = match (reading::works(rows), unavailable) {
        (false, _) => {
            let things = match missing {
                1 => "one thing is".to_owned(),
                more => format!("{} things are", units::count(more)),
            };
            (
                Ink::Bad,
                format!("tracing can't work here: {things} missing"),
            )
        }
        (true, 0) => (Ink::Good, "tracing works here".to_owned()),
        (true, without) => {
            let all = rows.len();
            (
                Ink::Good,
                format!("tracing works here, without {without} of {all}"),
            )
        }
    };
    look.paint(ink, &fit::wrap(&text, look.width, 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[rstest::rstest]
    #[case::at_80_columns(80)]
    #[case::at_50_columns(50)]
    fn the_lab(#[case] width: usize) {
        let rows = example::lab().availability;
        let look = Look {
            width,
            colour: false,
        };
        insta::assert_snapshot!(format!("doctor_lab_{width}"), to_text(&rows, look));
    }

    #[test]
    fn what_is_missing_is_the_verdict() {
        let mut rows = example::lab().availability;
        rows[0].state = State::Missing {
            because: "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)".to_owned(),
            advice: "boot a kernel that was built with it".to_owned(),
        };
        insta::assert_snapshot!(to_text(&rows, Look::default()));
    }

    #[test]
    fn all_works() {
        assert_eq!(to_text(&[], Look::default()), "tracing works here\n");
    }
}
