//! BIRD's static routes and protocols (bird.network.cz, chapter 6), as far as they are plain words.

use super::{Found, Text, words};
use crate::model::blame::{Daemon, Declared};

/// `RTPROT_BIRD`: of all that BIRD sets, whichever protocol found it, unless it is told otherwise.
const BIRD: u8 = 12;

/// Protocols that find routes.
const FINDING: [&str; 5] = ["bgp", "ospf", "rip", "babel", "static"];

pub(super) fn read(text: &Text<'_>) -> Found {
    let mut found = Found::default();
    for (line, statement) in statements(text.content) {
        let words: Vec<&str> = statement.split_whitespace().collect();
        match words.as_slice() {
            ["protocol", kind, ..] if FINDING.contains(kind) => found.daemons.push(Daemon {
                place: text.place(line),
                protocol: BIRD,
            }),
            ["include", file, ..] => {
                found.more.push(file.trim_matches(['"', '\'']).to_owned());
            }
            ["route", rest @ ..] => match route(text, line, rest) {
                Ok(route) => found.routes.extend(route),
                Err(because) => found.problem(text, Some(line), because),
            },
            _ => {}
        }
    }
    found
}

/// What stands between `;`, `{` and `}`, without comments, with the lines that it begins in.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut statements = Vec::new();
    let (mut line, mut begins, mut one) = (1, 1, String::new());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '#' => while letters.next_if(|&it| it != '\n').is_some() {},
            '/' if letters.peek() == Some(&'*') => {
                let mut before = ' ';
                for it in letters.by_ref() {
                    line += usize::from(it == '\n');
                    if before == '*' && it == '/' {
                        break;
                    }
                    before = it;
                }
            }
            ';' | '{' | '}' => {
                statements.push((begins, std::mem::take(&mut one)));
                begins = line;
            }
            letter => {
                line += usize::from(letter == '\n');
                if one.trim().is_empty() {
                    one.clear();
                    begins = line;
                }
                one.push(if letter == '\n' { ' ' } else { letter });
            }
        }
    }
    statements
}

/// `PREFIX via GATEWAY [dev "DEVICE"] …`, `PREFIX via "DEVICE"`, or a kind that refuses packets.
fn route(text: &Text<'_>, line: usize, words: &[&str]) -> Result<Option<Declared>, String> {
    let (to, rest) = words.split_first().ok_or("it names no destination")?;
    let prefix = words::prefix(to, false).ok_or_else(|| format!("{to:?} is no prefix"))?;
    let mut route = words::route(text, line, prefix);
    let mut rest = rest.iter();
    while let Some(&word) = rest.next() {
        let mut value = || {
            rest.next()
                .copied()
                .ok_or_else(|| format!("{word} has no value"))
        };
        match word {
            "via" => {
                let via = value()?;
                match via.parse() {
                    Ok(gateway) => route.gateways.push(gateway),
                    Err(_) if via.starts_with('"') => {
                        route.device = Some(via.trim_matches('"').to_owned());
                    }
                    Err(_) => return Err(format!("{via:?} is no address")),
                }
            }
            "dev" => route.device = Some(value()?.trim_matches('"').to_owned()),
            "blackhole" | "unreachable" | "prohibit" | "onlink" | "bfd" => {}
            "weight" | "mpls" => {
                value()?;
            }
            // A recursive next hop becomes another one in the kernel.
            "recursive" => return Ok(None),
            other => return Err(format!("{other:?} is not understood")),
        }
    }
    if route.gateways.len() > 1 {
        route.device = None;
    }
    Ok(Some(route))
}
