//! The incidents of a host: which finding belongs to which, and when one is over.

use std::collections::BTreeSet;

use crate::detect::incident::began_together;
use crate::detect::{Finding, Increase, Kind, Mishap, Tier};
use crate::model::incident::{
    End, Event, FINDINGS, Found, Incident, KINDS, Marks, Name, Part, Severity, State, Told,
};

use crate::model::verdict::Word;

use super::cause::Culprit;
use super::clock::Clock;
use super::effect::Gauge;
use super::place::Place;
use super::settings::Settings;
use super::streams::Streams;

/// How many incidents are kept.
const MOST: usize = 1_000;

/// Parts of one incident that are kept.
const MOST_PARTS: usize = 4_096;

/// The old level is not back where nothing passes. What passed within so many seconds counts.
const TRAFFIC_S: u64 = 60;

/// An incident, with what is known of it in this run alone.
#[derive(Debug, Default)]
pub(super) struct Case {
    pub(super) incident: Incident,
    /// Which hop holds the shift.
    pub(super) culprit: Option<Culprit>,
    /// When it was last asked which, and of which revision.
    pub(super) asked: (u64, u64),
    pub(super) effect: Gauge,
    /// What whoever looked at it said.
    pub(super) looked: Option<Looked>,
    /// Seconds in which the old level was back while packets passed.
    back_s: u64,
    /// When that was counted last, and when a packet passed last.
    stepped_s: u64,
    traffic_s: u64,
    /// When anything passed last where a finding lasts; 0 before anybody asked in this run.
    bad_traffic_s: u64,
    /// When it was bad last anywhere, and when a finding was over last.
    bad_s: u64,
    cleared_s: u64,
    dirty: bool,
}

/// What whoever looked at an incident says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Whose it is.
    pub word: Word,
    /// Where, if that is another place than the one which its findings share.
    pub place: Option<String>,
    /// The claim, and what speaks for it.
    pub evidence: Vec<String>,
    /// Whether that takes back what was said before: it only waits for another dependency, or nothing comes
    /// back any more.
    pub takes_back: bool,
    /// The dependencies that it was said of.
    pub said_of: Vec<String>,
    /// The dependencies of which anything can be told now, healthy ones among them.
    pub clear: Vec<String>,
}

impl Looked {
    /// Whether what was said is not over by what is said of others now: of most that it was said of nothing can
    /// be told.
    fn stands_beside(&self, now: &Self) -> bool {
        let unseen = self.said_of.iter().filter(|it| !now.clear.contains(it));
        self.word.accuses()
            && now.word.accuses()
            && self.word != now.word
            && 2 * unseen.count() > self.said_of.len()
    }
}

/// All of them, oldest first.
#[derive(Debug, Default)]
pub(super) struct Cases {
    kept: Vec<Case>,
    forgotten: Vec<u64>,
    next: u64,
    revision: u64,
    refused: u64,
    all: bool,
}

impl Cases {
    pub(super) fn of(incidents: Vec<Incident>, next: u64) -> Self {
        let highest = incidents.iter().map(|it| it.number).max().unwrap_or(0);
        let revision = incidents.iter().map(|it| it.revision).max().unwrap_or(0);
        let cases = incidents.into_iter().map(|incident| Case {
            incident,
            ..Case::default()
        });
        Self {
            kept: cases.collect(),
            next: next.max(highest + 1),
            revision,
            ..Self::default()
        }
    }

    /// Findings whose streams could not be restored don't last: nobody could ever clear them.
    pub(super) fn count_open(&mut self, streams: &Streams) {
        let open = streams.open_by_case();
        for case in self.kept.iter_mut().filter(|it| it.incident.is_active()) {
            case.incident.lasting = open.get(&case.incident.number).copied().unwrap_or(0);
        }
    }

    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Incident> {
        self.kept.iter().map(|case| &case.incident)
    }

    pub(super) fn active(&mut self) -> impl Iterator<Item = &mut Case> {
        self.kept
            .iter_mut()
            .filter(|case| case.incident.is_active())
    }

    pub(super) fn is_any_active(&self) -> bool {
        self.kept.iter().any(|case| case.incident.is_active())
    }

    fn get(&mut self, number: u64) -> Option<&mut Case> {
        let at = self
            .kept
            .iter()
            .rposition(|it| it.incident.number == number)?;
        self.kept.get_mut(at)
    }

    /// Puts a finding into the incident that it belongs to, or begins one; returns which, and whether
    /// it is new. None where there is no room for one more.
    pub(super) fn add(
        &mut self,
        key: u64,
        finding: &Finding,
        had: Option<u64>,
        place: &Place,
        clock: &Clock,
    ) -> (Option<u64>, bool) {
        let belongs = |case: &Case| {
            let incident = &case.incident;
            incident.is_active()
                && (had == Some(incident.number)
                    || belongs(&incident.marks, incident, finding, place))
        };
        // What had a part in one that lasts still has.
        let known = self
            .kept
            .iter()
            .rposition(|case| had == Some(case.incident.number));
        let known = known.filter(|&at| self.kept[at].incident.is_active());
        let at = known.or_else(|| self.kept.iter().rposition(belongs));
        let is_new = at.is_none();
        let Some(at) = at.or_else(|| self.begin(finding, place, clock)) else {
            return (None, false);
        };
        self.revision += 1;
        let case = &mut self.kept[at];
        case.take(key, finding, place, clock, is_new);
        case.incident.revision = self.revision;
        case.dirty = true;
        (Some(case.incident.number), is_new)
    }

    fn begin(&mut self, finding: &Finding, place: &Place, clock: &Clock) -> Option<usize> {
        if self.kept.len() >= MOST {
            let Some(over) = self.kept.iter().position(|it| !it.incident.is_active()) else {
                self.refused += 1;
                return None;
            };
            self.forgotten.push(self.kept.remove(over).incident.number);
        }
        let number = self.next.max(1);
        self.next = number + 1;
        self.kept.push(Case {
            incident: Incident {
                number,
                change: clock.moment(finding.change_s),
                change_error_s: finding.change_error_s,
                raised: clock.now(),
                last_bad: clock.now(),
                episodes: 1,
                marks: Marks {
                    shared: place.parts.iter().map(|(part, _)| *part).collect(),
                    parts: BTreeSet::new(),
                    change_s: finding.change_s,
                },
                ..Incident::default()
            },
            ..Case::default()
        });
        Some(self.kept.len() - 1)
    }

    /// A second of a stream with an open finding.
    pub(super) fn follow(
        &mut self,
        number: u64,
        key: u64,
        finding: &Finding,
        increase: &Increase,
        clock: &Clock,
    ) {
        let revision = self.revision + 1;
        let Some(case) = self.get(number) else {
            return;
        };
        if increase.packets() > 0 {
            case.traffic_s = clock.at_s();
        }
        // What is only sent again is not timed, and passes.
        if !increase.is_empty() {
            case.bad_traffic_s = clock.at_s();
        }
        let is_bad_now = finding.last_bad_s >= clock.at_s();
        let is_back = is_bad_now && matches!(case.incident.state, State::Recovering { .. });
        if is_back {
            case.reopen(clock);
            case.incident.revision = revision;
        }
        case.bad_s = case.bad_s.max(finding.last_bad_s);
        let incident = &mut case.incident;
        incident.last_bad = incident.last_bad.max(clock.moment(finding.last_bad_s));
        if let Some(found) = incident.findings.iter_mut().find(|it| it.stream == key)
            && found.cleared.is_none()
        {
            measure(found, finding);
        }
        if is_back {
            self.revision = revision;
        }
    }

    /// A finding cleared.
    pub(super) fn clear(&mut self, number: u64, key: u64, finding: &Finding, clock: &Clock) {
        self.revision += 1;
        let revision = self.revision;
        let Some(case) = self.get(number) else {
            return;
        };
        case.cleared_s = clock.at_s();
        let incident = &mut case.incident;
        let cleared = clock.moment(finding.cleared_s.unwrap_or(clock.at_s()));
        incident.lasting = incident.lasting.saturating_sub(1);
        incident.revision = revision;
        let last = incident
            .findings
            .iter_mut()
            .rev()
            .find(|it| it.stream == key);
        if let Some(found) = last {
            measure(found, finding);
            found.cleared = Some(cleared);
        }
        if incident.lasting == 0 && incident.state == State::Open {
            incident.state = State::Recovering { since: cleared };
            incident.note(clock.now(), "the old level is back everywhere".to_owned());
            let since_s = finding.cleared_s.unwrap_or(clock.at_s());
            case.back_s = clock.at_s().saturating_sub(since_s);
            (case.stepped_s, case.traffic_s) = (clock.at_s(), clock.at_s());
        }
        case.dirty = true;
    }

    /// Lets time pass; returns incidents that are over now.
    pub(super) fn step(&mut self, settings: &Settings, clock: &Clock) -> Vec<u64> {
        let mut closed = Vec::new();
        let now_s = clock.at_s();
        for case in self.kept.iter_mut().filter(|it| it.incident.is_active()) {
            if case.incident.lasting == 0 && case.incident.state == State::Open {
                // After a restart without its streams.
                case.recover(clock, "none of its findings lasts");
            }
            if case.incident.state == State::Open && case.is_left(clock) {
                self.revision += 1;
                case.incident.revision = self.revision;
                let what =
                    "nothing passes any more where it lasted, and elsewhere the old level is back";
                case.recover(clock, what);
            }
            if !matches!(case.incident.state, State::Recovering { .. }) {
                continue;
            }
            if case.stepped_s == 0 {
                (case.stepped_s, case.traffic_s) = (now_s, now_s);
            }
            let passed_s = now_s.saturating_sub(case.stepped_s);
            if now_s <= case.traffic_s + TRAFFIC_S {
                case.back_s += passed_s;
            }
            case.stepped_s = now_s;
            if case.back_s >= settings.recovering.as_secs() {
                self.revision += 1;
                case.end(End::Recovered, clock, self.revision);
                closed.push(case.incident.number);
            }
        }
        closed
    }

    /// Packets passed a stream that had a part in an incident.
    pub(super) fn passed(&mut self, number: u64, at_s: u64) {
        if let Some(case) = self.get(number) {
            case.traffic_s = at_s;
        }
    }

    pub(super) fn can_accept(&mut self, name: Name) -> Result<(), String> {
        match self.get(name.0) {
            None => Err(format!("there is no {name}")),
            Some(case) if !case.incident.is_active() => Err(format!("{name} is over already")),
            Some(_) => Ok(()),
        }
    }

    pub(super) fn accept(&mut self, number: u64, clock: &Clock) {
        self.revision += 1;
        let revision = self.revision;
        if let Some(case) = self.get(number) {
            case.incident.lasting = 0;
            for found in &mut case.incident.findings {
                found.cleared.get_or_insert(clock.now());
            }
            case.end(End::Accepted, clock, revision);
        }
    }

    pub(super) fn looked(&mut self, number: u64, looked: Looked) {
        let Some(case) = self.get(number).filter(|it| it.incident.is_active()) else {
            return;
        };
        if case
            .looked
            .as_ref()
            .is_some_and(|had| had.stands_beside(&looked))
        {
            return;
        }
        case.looked = Some(looked);
        let said = |it: &Incident| (it.verdict, it.place.clone(), it.evidence.clone());
        let before = said(&case.incident);
        super::cause::say(case);
        if before != said(&case.incident) {
            case.dirty = true;
            if before.0 != case.incident.verdict {
                self.revision += 1;
                let revision = self.revision;
                if let Some(case) = self.get(number) {
                    case.incident.revision = revision;
                }
            }
        }
    }

    pub(super) fn precede(&mut self, number: u64, events: Vec<Event>) {
        if let Some(case) = self.get(number) {
            case.incident.preceded_by = events;
            case.dirty = true;
        }
    }

    pub(super) fn told(&mut self, number: u64, told: Told) {
        self.revision += 1;
        let revision = self.revision;
        let Some(case) = self.get(number) else {
            return;
        };
        let all = &mut case.incident.told;
        match all.iter_mut().find(|it| it.receiver == told.receiver) {
            Some(known) => *known = told,
            None => all.push(told),
        }
        case.incident.revision = revision;
        case.dirty = true;
    }

    pub(super) fn take_dirty(&mut self) -> Vec<(u64, Option<Incident>)> {
        let all = std::mem::take(&mut self.all);
        let mut dirty: Vec<_> = self.forgotten.drain(..).map(|it| (it, None)).collect();
        for case in &mut self.kept {
            // What lasts has a last sign and measures that move.
            let moves = case.incident.state == State::Open;
            if std::mem::take(&mut case.dirty) || moves || all {
                dirty.push((case.incident.number, Some(case.incident.clone())));
            }
        }
        dirty
    }

    pub(super) fn write_all(&mut self) {
        self.all = true;
    }
}

/// Whether a finding belongs to an incident that it had no part in: it began with it and shares
/// something, or is at the very place that all of its findings share.
fn belongs(marks: &Marks, incident: &Incident, finding: &Finding, place: &Place) -> bool {
    let has = |parts: &dyn Fn(&Part) -> bool| place.parts.iter().any(|(part, _)| parts(part));
    let began = (marks.change_s, incident.change_error_s);
    let shares = has(&|part| marks.parts.contains(part));
    let is_there =
        has(&|part| matches!(part, Part::Hop(_) | Part::NextHop(_)) && marks.shared.contains(part));
    is_there || (shares && began_together(began, finding))
}

impl Case {
    fn take(&mut self, key: u64, finding: &Finding, place: &Place, clock: &Clock, is_new: bool) {
        let incident = &mut self.incident;
        let now = clock.now();
        let known = incident
            .findings
            .iter_mut()
            .rev()
            .find(|it| it.stream == key);
        let lasts = known.as_ref().is_some_and(|it| it.cleared.is_none());
        if let Some(found) = known.filter(|it| it.cleared.is_none()) {
            measure(found, finding);
        } else {
            incident.lasting += 1;
            incident.found += 1;
            if incident.findings.len() < FINDINGS {
                incident.findings.push(found(key, finding, place, clock));
            }
        }
        let names = place.parts.iter();
        let is_shared = |part: &Part| place.parts.iter().any(|(own, _)| own == part);
        incident.marks.shared.retain(is_shared);
        if incident.marks.parts.len() < MOST_PARTS {
            incident.marks.parts.extend(names.map(|(part, _)| *part));
        }
        if finding.change_s < incident.marks.change_s {
            incident.marks.change_s = finding.change_s;
            incident.change = clock.moment(finding.change_s);
        }
        incident.change_error_s = incident.change_error_s.min(finding.change_error_s);
        incident.place = shared_name(&incident.marks.shared, place);
        if let State::Recovering { .. } = incident.state {
            self.reopen(clock);
        }
        self.bad_traffic_s = clock.at_s();
        self.bad_s = self.bad_s.max(finding.last_bad_s);
        let incident = &mut self.incident;
        if is_new || (!lasts && incident.found <= FINDINGS as u64) {
            let what = format!("{}: {}", describe(finding, place.measure), place.name);
            incident.note(now, what);
        }
    }

    /// From now on the old level has to stay.
    fn recover(&mut self, clock: &Clock, why: &str) {
        self.incident.state = State::Recovering { since: clock.now() };
        self.incident.note(clock.now(), why.to_owned());
        self.back_s = 0;
        (self.stepped_s, self.traffic_s) = (clock.at_s(), clock.at_s());
        self.dirty = true;
    }

    fn reopen(&mut self, clock: &Clock) {
        let incident = &mut self.incident;
        incident.state = State::Open;
        incident.episodes += 1;
        // It may be another's this time.
        self.looked = None;
        incident.verdict = Word::CantTell;
        incident.evidence.clear();
        incident.note(clock.now(), "it is back".to_owned());
        self.dirty = true;
    }

    /// Whether nothing passes any more where something lasts, as after a guest left, while the old level came
    /// back since in at least as many places. Of what nobody sends nobody could ever say that it is well again;
    /// but what is sent again in vain is sent.
    fn is_left(&mut self, clock: &Clock) -> bool {
        let now_s = clock.at_s();
        if self.bad_traffic_s == 0 {
            // After a restart.
            (self.bad_traffic_s, self.bad_s) = (now_s, now_s);
        }
        let (lasting, found) = (self.incident.lasting, self.incident.found);
        now_s > self.bad_traffic_s + TRAFFIC_S
            && self.cleared_s >= self.bad_s
            && 2 * lasting <= found
    }

    fn end(&mut self, by: End, clock: &Clock, revision: u64) {
        let incident = &mut self.incident;
        let at = incident.recovered().unwrap_or(clock.now());
        incident.state = State::Closed { at, by };
        incident.revision = revision;
        let what = match by {
            End::Recovered => "over: the old level stayed",
            End::Accepted => "over: somebody accepted the present level",
        };
        incident.note(clock.now(), what.to_owned());
        self.dirty = true;
    }

    /// It is worth waking someone from now on.
    pub(super) fn is_critical(&mut self, why: String, clock: &Clock) {
        self.incident.severity = Severity::Critical;
        self.incident.effect.since.get_or_insert(clock.now());
        self.incident.note(clock.now(), why);
        self.dirty = true;
    }
}

/// What all findings share, by the most telling part.
fn shared_name(shared: &[Part], place: &Place) -> String {
    let order: [fn(&Part) -> bool; 5] = [
        |it| matches!(it, Part::Hop(_)),
        |it| matches!(it, Part::NextHop(_)),
        |it| matches!(it, Part::Device(_)),
        |it| matches!(it, Part::Component(_)),
        |it| matches!(it, Part::Host),
    ];
    let found = order.iter().find_map(|is| {
        let part = shared.iter().find(|part| is(part))?;
        let name = place.parts.iter().find(|(own, _)| own == part);
        name.map(|(_, name)| name.clone())
    });
    found.unwrap_or_else(|| "several places".to_owned())
}

fn found(key: u64, finding: &Finding, place: &Place, clock: &Clock) -> Found {
    let mut found = Found {
        stream: key,
        measure: place.measure,
        place: place.name.clone(),
        class: place.class.clone(),
        change: clock.moment(finding.change_s),
        change_error_s: finding.change_error_s,
        raised: clock.now(),
        ..Found::default()
    };
    measure(&mut found, finding);
    found
}

fn measure(found: &mut Found, finding: &Finding) {
    found.kind = kind(finding.kind);
    found.is_sure = finding.tier == Tier::Page;
    found.median_ns = finding.median_ns;
    found.p99_ns = finding.p99_ns;
    found.share = finding.share;
    found.episodes = finding.episodes;
}

fn kind(kind: Kind) -> &'static str {
    KINDS[match kind {
        Kind::Shift => 0,
        Kind::Share => 1,
        Kind::Tail => 2,
        Kind::Loss(Mishap::Drop) => 3,
        Kind::Loss(Mishap::Retransmit) => 4,
        Kind::Loss(Mishap::Reset) => 5,
    }]
}

fn describe(finding: &Finding, measure: &str) -> String {
    match finding.kind {
        Kind::Shift => format!("{measure}: most are slower"),
        Kind::Share => format!("{measure}: a share is slower"),
        Kind::Tail => format!("{measure}: the slowest are slower"),
        Kind::Loss(Mishap::Drop) => "packets are dropped".to_owned(),
        Kind::Loss(Mishap::Retransmit) => "segments are sent again".to_owned(),
        Kind::Loss(Mishap::Reset) => "connections are reset".to_owned(),
    }
}
