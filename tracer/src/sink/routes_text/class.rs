//! A class's name on one line.

use crate::model::{Class, End, Names, Service};
use crate::sink::fit;

/// The same with who is behind the ends; on a line of their own where there is no room for them.
pub(super) fn heading_with(
    class: &Class,
    names: &Names,
    columns: usize,
) -> (String, Option<String>) {
    let plain = heading(class, columns);
    let (source, destination) = (names.source.text(), names.destination.text());
    if source.is_none() && destination.is_none() {
        return (plain, None);
    }
    let with = |end: &End, who: &Option<String>| match who {
        Some(who) => format!("{end} ({})", fit::name(who, columns)),
        None => end.to_string(),
    };
    let line = format!(
        "{} → {}  {}",
        with(&class.source, &source),
        with(&class.destination, &destination),
        purpose(class)
    );
    if fit::width(&line) <= columns {
        return (line, None);
    }
    let who =
        |who: Option<String>| who.map_or_else(|| "?".to_owned(), |it| fit::name(&it, columns));
    let line = format!("{} → {}", who(source), who(destination));
    (plain, Some(line))
}

/// Who talks to whom, and for what; names are shortened so that both fit, addresses never are.
pub(in crate::sink) fn heading(class: &Class, columns: usize) -> String {
    let what = purpose(class);
    let room = columns.saturating_sub(fit::width(&what) + " →   ".len());
    let source = end(&class.source, (room / 2).max(8));
    let destination = end(&class.destination, (room / 2).max(8));
    let line = format!("{source} → {destination}  {what}");
    if fit::width(&line) <= columns {
        return line;
    }
    format!("{source}\n→ {destination}\n  {what}")
}

fn end(end: &End, columns: usize) -> String {
    match end {
        End::Component(name) => fit::name(name, columns),
        End::Prefix(..) | End::NoAddress => end.to_string(),
    }
}

fn purpose(class: &Class) -> String {
    let protocol = class.protocol.name();
    match class.service {
        None => protocol.to_owned(),
        Some(Service::Destination(port)) => format!("{protocol}/{port}"),
        Some(Service::Source(port)) => format!("{protocol}/{port} answers"),
    }
}
