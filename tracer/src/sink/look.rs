//! What the reader's screen can show.

/// A screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Its columns.
    pub width: usize,
    /// Whether it shows colours.
    pub colour: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            width: 80,
            colour: false,
        }
    }
}

/// What a piece of text is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// As the screen writes.
    Plain,
    /// A name to find things by.
    Heading,
    /// What is needed seldom.
    Faint,
    /// The slowest segment.
    Slow,
    /// Packets that are gone.
    Bad,
    /// What is not known.
    Unsure,
    /// What works.
    Good,
}

impl Ink {
    /// ECMA-48, select graphic rendition.
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Heading => "1",
            Self::Faint => "2",
            Self::Slow => "1;33",
            Self::Bad => "1;31",
            Self::Unsure => "35",
            Self::Good => "32",
        }
    }
}

impl Look {
    /// The text in its colour, where there are colours.
    pub(super) fn paint(self, ink: Ink, text: &str) -> String {
        if self.colour && ink != Ink::Plain && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", ink.code())
        } else {
            text.to_owned()
        }
    }
}
