//! What somebody asks about: an end of classes, by any of its names.

use std::net::{IpAddr, SocketAddr};

use super::name::{Names, Who};
use super::{Class, End, Reading, Service};

/// A component's name, an address, an address with its service's port, a program or a unit of this
/// host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About<'a> {
    text: &'a str,
    address: Option<IpAddr>,
    port: Option<u16>,
}

impl<'a> About<'a> {
    /// `10.2.0.2:5432` and `[fd00::2]:5432` are an address and a port; any text may be a name.
    pub fn of(text: &'a str) -> Self {
        let with_port: Option<SocketAddr> = text.parse().ok();
        Self {
            text,
            address: with_port.map(|it| it.ip()).or_else(|| text.parse().ok()),
            port: with_port.map(|it| it.port()),
        }
    }

    /// Whether a class whose ends have these names is what is asked about.
    pub fn is(self, class: &Class, names: &Names) -> bool {
        let of_service = match class.service {
            Some(Service::Source(port) | Service::Destination(port)) => Some(port),
            None => None,
        };
        if self.port.is_some() && self.port != of_service {
            return false;
        }
        let ends = [&class.source, &class.destination];
        ends.into_iter().any(|end| self.is_at(end))
            || class.first.is_some_and(|it| {
                self.address == Some(it.source) || self.address == Some(it.destination)
            })
            || self.is_behind(&names.source)
            || self.is_behind(&names.destination)
    }

    /// Which of a reading's classes are, with those of their answers.
    pub fn classes(self, reading: &Reading) -> Vec<bool> {
        let nobody = Names::default();
        let classes = reading.classes.iter().enumerate();
        let is_it = |(number, class)| self.is(class, reading.names.get(&number).unwrap_or(&nobody));
        let alone: Vec<bool> = classes.map(is_it).collect();
        let mut both = alone.clone();
        for (number, class) in reading.classes.iter().enumerate() {
            if let Some(answers) = class.way_back.filter(|_| alone[number]) {
                both[answers] = true;
            }
        }
        both
    }

    fn is_at(self, end: &End) -> bool {
        let holds = match (end, self.address) {
            (End::Prefix(first, length), Some(address)) => {
                ipnet::IpNet::new(*first, *length).is_ok_and(|it| it.contains(&address))
            }
            _ => false,
        };
        holds || end.to_string() == self.text
    }

    fn is_behind(self, who: &Who) -> bool {
        match who {
            Who::Local(processes) => processes.iter().any(|it| {
                let owner = it.owner.as_ref().map(ToString::to_string);
                it.command.as_deref() == Some(self.text) || owner.as_deref() == Some(self.text)
            }),
            Who::Host { name, .. } => name == self.text,
            Who::Unknown | Who::Remote(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Protocol, example};

    fn class(service: Option<Service>) -> Class {
        Class {
            source: End::Component("app".to_owned()),
            destination: End::Prefix([10, 2, 0, 0].into(), 24),
            protocol: Protocol::Tcp,
            service,
            first: None,
            way_back: None,
        }
    }

    #[test]
    fn an_end_is_asked_for_by_any_of_its_names() {
        let postgres = class(Some(Service::Destination(5432)));
        let answers = class(Some(Service::Source(5432)));
        for (text, is_request, is_answer) in [
            ("app", true, true),
            ("ap", false, false),
            ("10.2.0.7", true, true),
            ("10.2.0.0/24", true, true),
            ("10.2.1.7", false, false),
            ("10.2.0.7:5432", true, true),
            ("10.2.0.7:80", false, false),
            ("[fd00::2]:5432", false, false),
        ] {
            let about = About::of(text);
            let names = Names::default();
            assert_eq!(about.is(&postgres, &names), is_request, "{text}");
            assert_eq!(about.is(&answers, &names), is_answer, "{text}");
        }
        assert!(!About::of("10.2.0.7:5432").is(&class(None), &Names::default()));
    }

    #[test]
    fn what_answers_comes_along() {
        let mut reading = example::lab();
        let mut asked = reading.classes[0].clone();
        asked.source = End::Component("nobody-else".to_owned());
        asked.way_back = Some(0);
        reading.classes.push(asked);
        let number = reading.classes.len() - 1;
        let classes = About::of("nobody-else").classes(&reading);
        let expected = (0..=number).map(|it| it == 0 || it == number);
        assert_eq!(classes, expected.collect::<Vec<_>>());
    }
}
