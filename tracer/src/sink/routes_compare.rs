//! Two reports side by side: what became slower, and where.

mod align;
mod columns;

use super::fit;
use super::look::{Ink, Look};
use super::routes_text::{by_class, class_heading, device_line, kinds};
use super::units;
use crate::model::hop::{Hop, Stage, mac_text};
use crate::model::report::class_key;
use crate::model::{Report, Route, Step};
use align::Pair;
use columns::{Columns, Line};

/// How much a segment must have grown to be marked, as a share of the whole way before.
const NOTABLE: f64 = 0.05;
/// How much a segment must have grown to be marked, as a share of what grew most on any route.
const BESIDE_THE_LARGEST: f64 = 0.1;

/// Each class's routes before and after, segment by segment.
///
/// It is made for screens of 80 columns or more; on wide ones it shows the distributions too.
pub fn to_text(before: &Report, after: &Report, look: Look) -> String {
    let heading = format!(
        "before: {:.1} s, {} · after: {:.1} s, {}",
        before.duration_ns as f64 / 1e9,
        units::counted(before.packets(), "packet"),
        after.duration_ns as f64 / 1e9,
        units::counted(after.packets(), "packet"),
    );
    let mut blocks = vec![look.paint(Ink::Faint, &fit::wrap(&heading, look.width, 2)) + "\n"];
    let pairs = routes(before, after);
    let growth = |pair| worst(&lines(&aligned(pair))).map_or(0.0, Line::growth);
    let largest = pairs.iter().map(growth).fold(0.0, f64::max);
    blocks.extend(pairs.iter().map(|pair| block(pair, largest, look)));
    blocks.join("\n")
}

/// The routes of both: those with the same name together, then those of the same class by size.
fn routes<'a>(before: &'a Report, after: &'a Report) -> Vec<Pair<&'a Route>> {
    let mut later = by_class(after);
    let mut pairs = Vec::new();
    for mut earlier in by_class(before) {
        let key = class_key(&earlier[0].class);
        let same = later.iter().position(|it| class_key(&it[0].class) == key);
        let mut news = same.map_or_else(Vec::new, |index| later.remove(index));
        earlier.retain(|old| {
            let same = news.iter().position(|new| new.id == old.id);
            if let Some(index) = same {
                pairs.push(Pair::Both(*old, news.remove(index)));
            }
            same.is_none()
        });
        let mut news = news.into_iter();
        for old in earlier {
            pairs.push(
                news.next()
                    .map_or(Pair::Before(old), |new| Pair::Both(old, new)),
            );
        }
        pairs.extend(news.map(Pair::After));
    }
    pairs.extend(later.into_iter().flatten().map(Pair::After));
    pairs
}

fn block(pair: &Pair<&Route>, largest: f64, look: Look) -> String {
    let aligned = aligned(pair);
    let lines = lines(&aligned);
    let total = Line {
        branch: "  ■ ",
        name: "total",
        pair: pair.map(|route| &route.total),
    };
    let columns = Columns::for_lines(lines.iter().chain([&total]), look);
    let worst = worst(&lines).filter(|it| it.growth() >= largest * BESIDE_THE_LARGEST);
    let mut text = heading(pair, pair.any(), look);
    text += &columns.heading(look);
    let mut last = None;
    for step in &aligned {
        text += &devices(step, last, look);
        if let Some(line) = Line::of_segment(step) {
            let is_worst = worst.is_some_and(|it| it.same_as(&line));
            text += &signed(step, &columns.line(&line, is_worst, look), look);
        }
        text += &next_hop(step, look);
        last = Some(step);
    }
    text += &columns.line(&total, false, look);
    text + &balances(pair, look)
}

fn aligned<'a>(pair: &Pair<&'a Route>) -> Vec<Pair<&'a Step>> {
    let steps = |route: Option<&&'a Route>| route.map_or(&[][..], |route| &route.steps);
    align::steps(steps(pair.before()), steps(pair.after()))
}

fn lines<'a>(aligned: &[Pair<&'a Step>]) -> Vec<Line<'a>> {
    aligned.iter().filter_map(Line::of_segment).collect()
}

fn heading(pair: &Pair<&Route>, route: &Route, look: Look) -> String {
    let class = class_heading(&route.class, look.width);
    let what = match pair {
        Pair::Before(_) => "gone",
        Pair::After(_) => "new",
        Pair::Both(before, after) if before.id == after.id => "the same way",
        Pair::Both(..) => "another way",
    };
    let line = fit::apart(&class, what, look.width);
    let lines = line
        .lines()
        .map(|line| look.paint(Ink::Heading, line) + "\n");
    lines.collect()
}

/// The line with a sign where only one side has it.
fn signed<T>(pair: &Pair<T>, line: &str, look: Look) -> String {
    let (ink, sign) = match pair {
        Pair::Both(..) => return line.to_owned(),
        Pair::Before(_) => (Ink::Bad, "−"),
        Pair::After(_) => (Ink::Good, "+"),
    };
    // A painted line starts with its colour, not with the spaces that make room for the sign.
    match line.split_once("  ") {
        Some((colour, rest)) if !colour.contains(char::is_whitespace) => {
            format!("{} {colour}{rest}", look.paint(ink, sign))
        }
        _ => line.to_owned(),
    }
}

/// The device that a step is at, unless the last was there too; both where it changed.
fn devices(step: &Pair<&Step>, last: Option<&Pair<&Step>>, look: Look) -> String {
    let [before, after] = hops(step);
    let stayed = |last| {
        let [old_before, old_after] = hops(last);
        align::same_device(old_before, before) && align::same_device(old_after, after)
    };
    if last.is_some_and(stayed) {
        return String::new();
    }
    if align::same_device(before, after) {
        return signed(step, &device_line(after, look), look);
    }
    signed(&Pair::Before(()), &device_line(before, look), look)
        + &signed(&Pair::After(()), &device_line(after, look), look)
}

/// The hop before and after; where there is only one, it stands for both.
fn hops<'a>(step: &Pair<&'a Step>) -> [&'a Hop; 2] {
    [step.before(), step.after()].map(|side| &*side.unwrap_or(step.any()).hop)
}

/// The segment that grew most, if that is worth a word.
fn worst<'a>(lines: &'a [Line<'a>]) -> Option<&'a Line<'a>> {
    let before: f64 = lines.iter().map(Line::mean_before).sum();
    lines
        .iter()
        .filter(|line| line.growth() > before * NOTABLE && line.growth() > 0.0)
        .max_by(|a, b| a.growth().total_cmp(&b.growth()))
}

fn next_hop(pair: &Pair<&Step>, look: Look) -> String {
    let mac = |step: &&Step| {
        let at_xmit = step.hop.stage == Stage::Xmit;
        step.hop.next_hop_mac.filter(|_| at_xmit).map(mac_text)
    };
    let macs = (pair.before().and_then(mac), pair.after().and_then(mac));
    let (ink, line) = match macs {
        (None, None) => return String::new(),
        (Some(before), Some(after)) if before != after => {
            (Ink::Bad, format!("  ▼ to {before}, now to {after}"))
        }
        (Some(mac), _) | (None, Some(mac)) => (Ink::Faint, format!("  ▼ to {mac}")),
    };
    signed(pair, &format!("{}\n", look.paint(ink, &line)), look)
}

fn balances(pair: &Pair<&Route>, look: Look) -> String {
    let sides = [("before", pair.before()), ("after", pair.after())];
    let lines = sides.into_iter().filter_map(|(side, route)| {
        let route = route?;
        let came = units::count(route.balance.came);
        let line = format!("  {side} in {came} = {}", kinds(&route.ends).join(" + "));
        Some(look.paint(Ink::Faint, &fit::wrap(&line, look.width, 5)) + "\n")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Reading, example};

    fn compared(width: usize, colour: bool) -> String {
        let before = Report::from_reading(&example::lab());
        let mut reading = example::lab_with_a_detour();
        reading.duration_ns = 12_000_000_000;
        let after = Report::from_reading(&reading);
        to_text(&before, &after, Look { width, colour })
    }

    #[test]
    fn a_detour_at_80_columns() {
        insta::assert_snapshot!(compared(80, false));
    }

    #[test]
    fn a_detour_at_120_columns() {
        insta::assert_snapshot!(compared(120, false));
    }

    #[test]
    fn colours_change_no_letter() {
        let colourless: String = compared(80, true)
            .split('\x1b')
            .enumerate()
            .map(|(index, part)| match part.split_once('m') {
                Some((_, text)) if index > 0 => text.to_owned(),
                _ => part.to_owned(),
            })
            .collect();
        assert_eq!(colourless, compared(80, false));
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        for width in [80, 100, 120, 160] {
            for line in compared(width, false).lines() {
                assert!(fit::width(line) <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn what_did_not_change_is_not_marked() {
        let report = Report::from_reading(&example::lab());
        assert!(!to_text(&report, &report, Look::default()).contains('◀'));
    }

    #[test]
    fn what_is_gone_and_what_is_new_says_so() {
        let full = Report::from_reading(&example::lab());
        let empty = Report::from_reading(&Reading::default());
        assert!(to_text(&full, &empty, Look::default()).contains(" gone\n"));
        assert!(to_text(&empty, &full, Look::default()).contains(" new\n"));
    }
}
