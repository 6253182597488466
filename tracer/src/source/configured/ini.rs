//! Sections with keys, as systemd and `NetworkManager` write them, with the line of each key: no
//! library tells lines, and sections that stand there twice are two.

/// A section.
pub(super) struct Section<'a> {
    pub(super) name: &'a str,
    /// Keys with their values and lines.
    pub(super) keys: Vec<(&'a str, &'a str, usize)>,
}

impl<'a> Section<'a> {
    /// The last value of a key, with its line.
    pub(super) fn get(&self, key: &str) -> Option<(&'a str, usize)> {
        let found = self.keys.iter().rev().find(|row| row.0 == key);
        found
            .map(|&(_, value, line)| (value, line))
            .filter(|row| !row.0.is_empty())
    }
}

/// The sections of a text, and the lines that are none of it.
pub(super) fn sections(text: &str) -> (Vec<Section<'_>>, Vec<usize>) {
    let (mut sections, mut wrong): (Vec<Section<'_>>, _) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let name = line.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        match (name, line.split_once('='), sections.last_mut()) {
            (Some(name), ..) => sections.push(Section {
                name,
                keys: Vec::new(),
            }),
            (None, Some((key, value)), Some(section)) => {
                section.keys.push((key.trim(), value.trim(), index + 1));
            }
            _ => wrong.push(index + 1),
        }
    }
    (sections, wrong)
}
