//! What probes found beyond the next hop, as JSON: `probe` of `tracer.verdict/1`.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Value, json};

use super::{json as line, probe_text};
use crate::model::probe::{Between, Beyond, Probed, Trouble};

/// The answer's JSON with `probe` as one more key.
///
/// # Errors
/// When the answer is no JSON, with what is wrong.
pub fn add(answer: &str, probed: &Probed, beyond: &Beyond) -> Result<String, String> {
    let mut answer: Value = serde_json::from_str(answer).map_err(|it| it.to_string())?;
    let Some(members) = answer.as_object_mut() else {
        return Err("it is no object".to_owned());
    };
    members.insert("probe".to_owned(), value(probed, beyond));
    Ok(line::line(&answer))
}

#[derive(Serialize)]
struct Hop<'a> {
    ttl: u8,
    address: Option<IpAddr>,
    says: Option<&'static str>,
    sent: u32,
    answered: u32,
    shortest_ns: Option<u64>,
    ports: &'a [u16],
}

fn value(probed: &Probed, beyond: &Beyond) -> Value {
    let target = &probed.target;
    let hops: Vec<Hop> = beyond
        .hops
        .iter()
        .map(|it| Hop {
            ttl: it.ttl,
            address: it.address,
            says: it.says.map(crate::model::probe::Says::name),
            sent: it.sent,
            answered: it.answered,
            shortest_ns: (it.answered > 0).then_some(it.shortest_ns),
            ports: &it.ports,
        })
        .collect();
    json!({
        "netns": target.namespace,
        "device": target.device,
        "source": target.source,
        "destination": target.destination,
        "port": target.port,
        "sent": probed.probes.len(),
        "took_ns": probed.took_ns,
        "cut": probed.is_cut,
        "hops": hops,
        "good_ports": beyond.good,
        "bad_ports": beyond.bad,
        "only_bad_ports_go_by": beyond.only_bad,
        "trouble": trouble(&beyond.trouble),
        "says": probe_text::sentence(probed, beyond),
    })
}

fn trouble(trouble: &Trouble) -> Value {
    let place =
        |it: Option<(u8, IpAddr)>| it.map(|(ttl, address)| json!({"ttl": ttl, "address": address}));
    let between = |at: &Between| json!({"after": place(at.after), "before": place(at.before)});
    let mut value = match trouble {
        Trouble::Nobody => json!({}),
        Trouble::None { end_ns } => json!({"end_ns": end_ns}),
        Trouble::Slow {
            at,
            more_ns,
            end_ns,
            good_ns,
        } => {
            json!({"at": between(at), "more_ns": more_ns, "end_ns": end_ns, "good_ns": good_ns})
        }
        Trouble::Dead { at } => json!({"at": between(at)}),
        Trouble::Lossy { at, answered, sent } => {
            json!({"at": between(at), "answered": answered, "sent": sent})
        }
        Trouble::Silent { last } => json!({"last": place(*last)}),
        Trouble::Unreachable { by, code } => json!({"by": place(Some(*by)), "code": code}),
    };
    value["kind"] = trouble.name().into();
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::beyond::beyond;
    use crate::model::probe::example;

    #[test]
    fn a_slow_leg() {
        let probed = example::slow_leg();
        let text = add("{\"word\":\"path\"}", &probed, &beyond(&probed)).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        insta::assert_snapshot!(format!("{value:#}"));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let probed = example::fine();
        assert!(add("nothing", &probed, &beyond(&probed)).is_err());
        assert!(add("[]", &probed, &beyond(&probed)).is_err());
    }
}
