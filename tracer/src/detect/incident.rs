//! Which findings belong together?
//!
//! One slow device is felt by every route across it. Findings that began together and share a hop,
//! a next hop, a device or a component are one incident: one page, not thousands.

use super::finding::{Finding, Tier};
pub use crate::model::incident::Part;

/// Findings that began within this time of one another may belong together, beside their errors.
const TOGETHER_S: f64 = 5.0;

/// An error of the change's time counts up to this.
const MOST_ERROR_S: f32 = 30.0;

/// Findings with a common place and beginning.
#[derive(Clone, Debug, Default)]
pub struct Incident {
    /// The findings' numbers, as the caller gave them, first found first.
    pub findings: Vec<u64>,
    /// What they share: the parts that all of them have.
    pub shared: Vec<Part>,
    /// All parts that any of them has.
    pub parts: Vec<Part>,
    /// The first sign of any of them, in the caller's seconds.
    pub change_s: u64,
    /// How surely that is known: the smallest error of any of them, in seconds.
    pub change_error_s: f32,
    /// The loudest tier.
    pub tier: Option<Tier>,
    open: usize,
    /// When the last of them cleared; none while one is open.
    pub cleared_s: Option<u64>,
}

/// The incidents of a host.
#[derive(Clone, Debug, Default)]
pub struct Incidents {
    incidents: Vec<Incident>,
}

impl Incidents {
    /// Puts a finding into the incident it belongs to, or begins one. Returns the incident's
    /// index, and whether it is new or became louder: whether to tell anyone.
    pub fn add(&mut self, number: u64, finding: &Finding, parts: &[Part]) -> (usize, bool) {
        let known = self
            .incidents
            .iter()
            .position(|incident| incident.findings.contains(&number));
        let at = known.or_else(|| {
            self.incidents
                .iter()
                .rposition(|incident| incident.takes(finding, parts))
        });
        let at = at.unwrap_or_else(|| {
            self.incidents.push(Incident {
                shared: parts.to_vec(),
                change_s: finding.change_s,
                change_error_s: finding.change_error_s,
                ..Incident::default()
            });
            self.incidents.len() - 1
        });
        let tell = self.incidents[at].take(number, finding, parts);
        (at, tell)
    }

    /// Notes that a finding cleared.
    pub fn clear(&mut self, number: u64, cleared_s: u64) {
        for incident in self
            .incidents
            .iter_mut()
            .filter(|incident| incident.findings.contains(&number))
        {
            incident.open = incident.open.saturating_sub(1);
            if incident.open == 0 {
                incident.cleared_s = Some(cleared_s);
            }
        }
    }

    /// Forgets incidents that cleared before a time.
    pub fn forget_before(&mut self, at_s: u64) {
        self.incidents
            .retain(|incident| incident.cleared_s.is_none_or(|cleared_s| cleared_s >= at_s));
    }

    /// All that are remembered, oldest first.
    pub fn all(&self) -> &[Incident] {
        &self.incidents
    }
}

/// Whether a finding began when something else did, which is known by its second and its error.
pub fn began_together((change_s, change_error_s): (u64, f32), finding: &Finding) -> bool {
    let error_s = change_error_s.max(finding.change_error_s);
    let slack_s = TOGETHER_S + f64::from(error_s.min(MOST_ERROR_S));
    change_s.abs_diff(finding.change_s) as f64 <= slack_s
}

impl Incident {
    fn takes(&self, finding: &Finding, parts: &[Part]) -> bool {
        let began = (self.change_s, self.change_error_s);
        began_together(began, finding) && parts.iter().any(|part| self.parts.contains(part))
    }

    fn take(&mut self, number: u64, finding: &Finding, parts: &[Part]) -> bool {
        if !self.findings.contains(&number) {
            self.findings.push(number);
            self.open += 1;
            self.cleared_s = None;
            self.shared.retain(|part| parts.contains(part));
            self.parts.extend(
                parts
                    .iter()
                    .filter(|part| !self.parts.contains(part))
                    .copied()
                    .collect::<Vec<_>>(),
            );
            self.change_s = self.change_s.min(finding.change_s);
            self.change_error_s = self.change_error_s.min(finding.change_error_s);
        }
        let louder = Some(finding.tier) > self.tier;
        self.tier = self.tier.max(Some(finding.tier));
        louder
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Direction, Kind};
    use super::*;

    fn finding(change_s: u64, tier: Tier) -> Finding {
        Finding {
            kind: Kind::Shift,
            direction: Direction::Up,
            tier,
            change_s,
            change_error_s: 1.0,
            raised_s: change_s + 5,
            last_bad_s: change_s + 5,
            cleared_s: None,
            share: [0.0; 2],
            median_ns: [0.0; 2],
            p99_ns: [0.0; 2],
            episodes: 1,
            of_the_time: 1.0,
        }
    }

    #[test]
    fn a_thousand_routes_across_one_device_are_told_once() {
        let mut incidents = Incidents::default();
        let told = (0..1_000)
            .filter(|&route| {
                let parts = [Part::Hop(route), Part::Device(7)];
                incidents
                    .add(route, &finding(100 + route % 5, Tier::Page), &parts)
                    .1
            })
            .count();
        assert_eq!((told, incidents.all().len()), (1, 1));
        assert_eq!(incidents.all()[0].shared, [Part::Device(7)]);
    }

    #[test]
    fn what_shares_neither_place_nor_time_stays_apart() {
        let mut incidents = Incidents::default();
        incidents.add(1, &finding(100, Tier::Page), &[Part::Device(7)]);
        incidents.add(2, &finding(100, Tier::Page), &[Part::Device(8)]);
        incidents.add(3, &finding(200, Tier::Page), &[Part::Device(7)]);
        assert_eq!(incidents.all().len(), 3);
    }

    #[test]
    fn an_incident_lasts_until_its_last_finding_cleared() {
        let mut incidents = Incidents::default();
        incidents.add(1, &finding(100, Tier::Warn), &[Part::Device(7)]);
        incidents.add(2, &finding(102, Tier::Page), &[Part::Device(7)]);
        incidents.clear(1, 300);
        assert_eq!(incidents.all()[0].cleared_s, None);
        incidents.clear(2, 400);
        assert_eq!(incidents.all()[0].cleared_s, Some(400));
    }
}
