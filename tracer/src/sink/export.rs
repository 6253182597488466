//! What monitoring is given to begin with: Prometheus's alerting rules, and a Grafana dashboard.

/// Alerting rules for Prometheus, as YAML.
pub const RULES: &str = include_str!("export/rules.yml");

/// A dashboard for Grafana, as JSON that it imports.
pub const DASHBOARD: &str = include_str!("export/dashboard.json");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sink::prometheus::FAMILIES;

    /// Words of an expression that may be metrics of ours.
    fn metrics(text: &str) -> BTreeSet<&str> {
        let words = text.split(|it: char| !(it.is_ascii_alphanumeric() || it == '_'));
        words.filter(|it| it.starts_with("tracer_")).collect()
    }

    #[track_caller]
    fn check(expressions: &[String]) {
        let text = expressions.join("\n");
        let used = metrics(&text);
        assert!(!used.is_empty());
        for metric in used {
            let is_known = FAMILIES.iter().any(|family| {
                let name = family.name();
                let stem = name.trim_end_matches("_total");
                let rest = metric.strip_prefix(stem);
                rest.is_some_and(|rest| {
                    ["", "_total", "_bucket", "_count", "_sum", "_info"].contains(&rest)
                })
            });
            assert!(is_known, "{metric} is no metric of the page");
        }
    }

    #[test]
    fn rules_name_metrics_that_there_are() {
        let rules: serde_json::Value = serde_saphyr::from_str(RULES).unwrap();
        let groups = rules["groups"].as_array().unwrap();
        let rules = groups.iter().flat_map(|it| it["rules"].as_array().unwrap());
        let expressions: Vec<String> = rules
            .inspect(|rule| {
                assert!(rule["annotations"]["summary"].is_string(), "{rule}");
                assert!(rule["labels"]["severity"].is_string(), "{rule}");
            })
            .map(|rule| rule["expr"].as_str().unwrap().to_owned())
            .collect();
        check(&expressions);
    }

    #[test]
    fn the_dashboard_names_metrics_that_there_are() {
        let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        let targets = panels
            .iter()
            .flat_map(|it| it["targets"].as_array().unwrap());
        let expressions: Vec<String> = targets
            .map(|target| target["expr"].as_str().unwrap().to_owned())
            .collect();
        assert!(expressions.len() >= 8);
        check(&expressions);
    }
}
