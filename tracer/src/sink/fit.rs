//! Text made to fit a number of columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// A name in at most `columns`, shortened in its middle; whatever would move the cursor is gone.
pub(super) fn name(name: &str, columns: usize) -> String {
    let clean: String = name
        .chars()
        .map(|letter| if letter.is_control() { '�' } else { letter })
        .collect();
    if width(&clean) <= columns {
        return clean;
    }
    let room = columns.saturating_sub(1);
    let head = take(clean.chars(), room.div_ceil(2));
    let tail = take(clean.chars().rev(), room / 2);
    let tail: String = tail.chars().rev().collect();
    format!("{head}…{tail}")
}

/// The letters that fit in `columns`.
fn take(letters: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    letters
        .take_while(|letter| {
            used += letter.width().unwrap_or(0);
            used <= columns
        })
        .collect()
}

/// A text with spaces behind it.
pub(super) fn left(text: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(spaces))
}

/// A text with spaces before it.
pub(super) fn right(text: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(width(text));
    format!("{}{text}", " ".repeat(spaces))
}

/// Two texts at both ends of a line, or on two lines where one is too short.
pub(super) fn apart(start: &str, end: &str, columns: usize) -> String {
    if width(start) + 2 + width(end) > columns {
        return format!("{start}\n  {end}");
    }
    format!("{start}{}", right(end, columns - width(start)))
}

/// A text in lines of at most `columns`, the later ones indented, broken between words.
pub(super) fn wrap(text: &str, columns: usize, indent: usize) -> String {
    let mut lines = String::new();
    let mut used = 0;
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 && used + 1 + width(word) > columns && used > indent {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            used = indent;
        } else if index > 0 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += width(word);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[rstest::rstest]
    #[case("eth0", 15, "eth0")]
    #[case("cni-5f2a90d3-77c1-4d40", 12, "cni-5f…-4d40")]
    #[case("up\nand\x1b[1maway", 20, "up�and�[1maway")]
    #[case("数据库服务器", 7, "数…器")]
    fn names_are_shortened_in_the_middle(
        #[case] long: &str,
        #[case] columns: usize,
        #[case] short: &str,
    ) {
        assert_eq!(name(long, columns), short);
    }

    #[test]
    fn later_lines_are_indented() {
        let text = "  in 12,000 = 11,998 delivered + 2 dropped";
        assert_eq!(
            wrap(text, 30, 5),
            "  in 12,000 = 11,998 delivered\n     + 2 dropped"
        );
    }

    proptest! {
        #[test]
        fn a_name_never_takes_more_than_its_columns(long in ".*", columns in 1usize..40) {
            prop_assert!(width(&name(&long, columns)) <= columns);
        }
    }
}
