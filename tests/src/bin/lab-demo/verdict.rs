//! What one sees when one compares the two reports: where it got slow, and by which way.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use lab::Ns;
use tracer::model::hop::mac_text;
use tracer::model::report::class_key;
use tracer::model::{End, Histogram, Hop, Report, Route, Service, Step};
use tracer::sink::units;

/// The comparison in words.
pub(crate) struct Verdict<'a> {
    /// Its median grew most.
    slow: Option<Segment<'a>>,
    /// How much any other median grew, at most, in nanoseconds.
    others_ns: u64,
    /// The busiest route of each class, before.
    before: HashMap<String, &'a Route>,
}

/// A segment after the change, against the same one before.
struct Segment<'a> {
    route: &'a Route,
    name: &'a str,
    share: f64,
    from: &'a Hop,
    to: &'a Hop,
    before: Option<&'a Histogram>,
    after: &'a Histogram,
}

impl<'a> Verdict<'a> {
    pub(crate) fn of(before: &'a Report, after: &'a Report) -> Self {
        let before: HashMap<_, _> = busiest(before).collect();
        let mut segments: Vec<_> = busiest(after)
            .flat_map(|(class, route)| segments(before.get(&class).copied(), route))
            .collect();
        segments.sort_by_key(Segment::growth_ns);
        let slow = segments.pop();
        Self {
            slow,
            others_ns: segments.last().map_or(0, Segment::growth_ns),
            before,
        }
    }

    /// A report's routes with those of the slow segment's class last, nearest to what is said.
    pub(crate) fn slow_last(&self, report: &Report) -> Report {
        let slow = self.slow.as_ref().map(|it| class_key(&it.route.class));
        let mut report = report.clone();
        report
            .routes
            .sort_by_key(|route| slow == Some(class_key(&route.class)));
        report
    }

    pub(crate) fn to_text(&self) -> String {
        let Some(slow) = &self.slow else {
            return "the tracer saw no packet on any segment\n".to_owned();
        };
        let before = match slow.before {
            Some(before) => format!(", before {}", units::latency(mean_ns(before))),
            None => String::new(),
        };
        let way = match self.before.get(&class_key(&slow.route.class)) {
            Some(before) => ways(before, slow.route),
            None => String::new(),
        };
        format!(
            "the tracer says:\n  \
             {} got slow from {} to {}:\n  \
             {} takes {} on average{before}; that is {} of the way\n\
             {way}  \
             no other segment of any route grew by more than {} at its p50\n",
            class(slow.route),
            place(slow.from),
            place(slow.to),
            slow.name,
            units::latency(mean_ns(slow.after)),
            units::share(slow.share),
            units::latency(self.others_ns),
        )
    }

    /// Whether that is what we did: app's packets to the database go by a road that delays so
    /// much, and nothing else happened.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn blames(&self, db: &Ns, delay: Duration) -> Result<()> {
        let Some(slow) = &self.slow else {
            bail!("find the slow segment: the tracer saw no packet");
        };
        let delay_ns = delay.as_nanos() as u64;
        let mean_ns = mean_ns(slow.after);
        let is = |end: &End, name: &str| *end == End::Component(name.to_owned());
        let is_it = is(&slow.route.class.source, "app")
            && is(&slow.route.class.destination, "db")
            && (slow.to.namespace.name.as_str(), slow.to.device.as_str()) == (db.name(), "db-r2");
        ensure!(is_it, "find the slow segment: it is app → db, into db-r2");
        ensure!(
            mean_ns >= delay_ns,
            "measure the slow segment: we delay by {delay:?}, the tracer's mean is {mean_ns} ns"
        );
        ensure!(
            self.others_ns < delay_ns / 2,
            "tell slow from fast: another segment grew by {} ns",
            self.others_ns
        );
        Ok(())
    }
}

impl Segment<'_> {
    fn growth_ns(&self) -> u64 {
        median_ns(self.after).saturating_sub(self.before.map_or(0, median_ns))
    }
}

/// The route of each class that most packets took: reports have it first.
fn busiest(report: &Report) -> impl Iterator<Item = (String, &Route)> {
    let mut seen = HashSet::new();
    let keyed = report.routes.iter().map(|it| (class_key(&it.class), it));
    keyed.filter(move |(class, _)| seen.insert(class.clone()))
}

fn segments<'a>(before: Option<&'a Route>, after: &'a Route) -> impl Iterator<Item = Segment<'a>> {
    after.steps.windows(2).filter_map(move |pair| {
        let segment = pair[1].segment.as_ref()?;
        let old = before.and_then(|route| same_hop(route, &pair[1].hop));
        Some(Segment {
            route: after,
            name: &segment.name,
            share: segment.share,
            from: &pair[0].hop,
            to: &pair[1].hop,
            before: old.and_then(|step| Some(&step.segment.as_ref()?.latency)),
            after: &segment.latency,
        })
    })
}

/// The hop of a route at the same device, else by another device of the same namespace.
fn same_hop<'a>(route: &'a Route, hop: &Hop) -> Option<&'a Step> {
    let here =
        |step: &&Step| step.hop.stage == hop.stage && step.hop.namespace.name == hop.namespace.name;
    let mut steps = route.steps.iter().filter(here);
    let same = steps.clone().find(|step| step.hop.device == hop.device);
    same.or_else(|| steps.next())
}

fn median_ns(latency: &Histogram) -> u64 {
    latency.quantile_ns(0.5).unwrap_or(0)
}

fn mean_ns(latency: &Histogram) -> u64 {
    latency.mean_ns().unwrap_or(0)
}

/// The first next hops where the kernel decided differently.
fn ways(before: &Route, after: &Route) -> String {
    let parted = next_hops(before)
        .zip(next_hops(after))
        .find(|(before, after)| before != after);
    let Some((before, after)) = parted else {
        return "  it goes the same way as before\n".to_owned();
    };
    format!("  it goes by {after} now\n  it went by {before} before\n")
}

/// Each next hop, the host that it belongs to, and where it was chosen.
fn next_hops(route: &Route) -> impl Iterator<Item = String> {
    route.steps.windows(2).filter_map(|pair| {
        let mac = mac_text(pair[0].hop.next_hop_mac?);
        let host = &pair[1].hop.namespace.name;
        Some(format!("{host} ({mac}) from {}", place(&pair[0].hop)))
    })
}

fn class(route: &Route) -> String {
    let class = &route.class;
    let service = match class.service {
        Some(Service::Destination(port)) => format!("/{port}"),
        Some(Service::Source(port)) => format!("/{port} answers"),
        None => String::new(),
    };
    let protocol = class.protocol.name();
    format!(
        "{} → {} {protocol}{service}",
        class.source, class.destination
    )
}

fn place(hop: &Hop) -> String {
    format!("{} {}", hop.namespace.name, hop.device)
}
