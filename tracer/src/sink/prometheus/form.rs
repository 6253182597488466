//! The forms of a page, and which of them a scraper asked for.

/// A form of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `OpenMetrics` 1.0 text, for whoever asks for nothing else.
    OpenMetrics,
    /// The text of before `OpenMetrics`, version 0.0.4.
    Classic,
    /// Prometheus's protobuf messages, the only form with native histograms.
    Protobuf,
}

/// A form's name in `Accept`: its type, and parameters that must be as it says where they are given.
type Name = (&'static str, &'static [(&'static str, &'static str)], Form);

const NAMES: [Name; 3] = [
    (
        "application/vnd.google.protobuf",
        &[
            ("proto", "io.prometheus.client.metricfamily"),
            ("encoding", "delimited"),
        ],
        Form::Protobuf,
    ),
    (
        "application/openmetrics-text",
        &[("version", "1.0.0")],
        Form::OpenMetrics,
    ),
    ("text/plain", &[("version", "0.0.4")], Form::Classic),
];

impl Form {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::OpenMetrics, Self::Classic, Self::Protobuf];

    /// The form that an `Accept` header likes best; of two that it likes as much, the one that it
    /// names first.
    pub fn accepted(accept: &str) -> Self {
        let mut best = (0.0, Self::OpenMetrics);
        for range in accept.split(',') {
            if let Some((weight, form)) = asked_for(range)
                && weight > best.0
            {
                best = (weight, form);
            }
        }
        best.1
    }

    /// The value of `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited"
            }
        }
    }
}

/// The form that one range of an `Accept` header names, with its weight.
fn asked_for(range: &str) -> Option<(f64, Form)> {
    let range = range.to_ascii_lowercase();
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next()?;
    let (_, required, form) = NAMES.iter().find(|(known, ..)| *known == name)?;
    let mut weight = 1.0;
    for part in parts {
        let (key, value) = part.split_once('=')?;
        let value = value.trim_matches('"');
        if key == "q" {
            weight = value.parse().ok().filter(|q| (0.0..=1.0).contains(q))?;
        }
        let differs = |&&(wanted, allowed): &&(&str, &str)| wanted == key && allowed != value;
        if required.iter().any(|row| differs(&row)) {
            return None;
        }
    }
    Some((weight, *form))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("", Form::OpenMetrics)]
    #[case("*/*", Form::OpenMetrics)]
    #[case("text/html, application/json;q=0.9", Form::OpenMetrics)]
    #[case("text/plain", Form::Classic)]
    #[case("text/plain; version=0.0.4; charset=utf-8", Form::Classic)]
    #[case("text/plain;version=1.0.0", Form::OpenMetrics)]
    #[case(
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.75",
        Form::Classic
    )]
    // Prometheus 3 with native histograms.
    #[case(
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        Form::Protobuf
    )]
    // Prometheus 2 without.
    #[case(
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        Form::OpenMetrics
    )]
    #[case(
        "application/vnd.google.protobuf;proto=another.Message;encoding=delimited",
        Form::OpenMetrics
    )]
    #[case(
        "application/vnd.google.protobuf;encoding=text,text/plain;q=0.1",
        Form::Classic
    )]
    #[case("text/plain;q=2", Form::OpenMetrics)]
    #[case("text/plain;q=0", Form::OpenMetrics)]
    #[case(";;;,=,q=", Form::OpenMetrics)]
    fn the_form_is_the_one_that_is_liked_best(#[case] accept: &str, #[case] form: Form) {
        assert_eq!(Form::accepted(accept), form);
    }
}
