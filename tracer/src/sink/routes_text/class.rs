//! A class's name on one line.

use crate::model::{Class, End, Service};
use crate::sink::fit;

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
