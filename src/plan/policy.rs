//! What POLICY lines allow to be done with a device (mdadm.conf(5); how lines add up was seen with mdadm 4.6).

use std::collections::BTreeSet;

use crate::host::conf::{Policy, PolicyKey};

/// What may be done with a device; each allows what stands before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Nothing.
    Ignore,
    /// It is put into the array that it belongs to.
    Include,
    /// It comes back into an array that runs.
    ReAdd,
    /// Bare, it becomes a spare.
    Spare,
    /// Bare, it becomes a spare of the array that lost a device at its place.
    SpareSameSlot,
    /// It becomes a spare, whatever it was.
    ForceSpare,
}

impl Action {
    fn parse(word: &str) -> Option<Action> {
        Some(match word {
            "ignore" => Action::Ignore,
            "include" => Action::Include,
            "re-add" => Action::ReAdd,
            "spare" => Action::Spare,
            "spare-same-slot" => Action::SpareSameSlot,
            "force-spare" => Action::ForceSpare,
            _ => return None,
        })
    }
}

/// Where a device is, for `path=` and `type=`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Its names in /dev/disk/by-path.
    pub paths: Vec<String>,
    /// It is a partition.
    pub partition: bool,
}

/// What the lines that match say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The most that one of them allows; nothing where one forbids all.
    pub action: Action,
    /// All domains.
    pub domains: BTreeSet<String>,
    /// `auto=`.
    pub auto: Auto,
}

/// The words of `auto=`, of all lines that match.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Auto {
    yes: bool,
    no: bool,
    homehost: bool,
}

impl Auto {
    /// Whether an array may be assembled by itself; `None`: the AUTO line decides.
    #[must_use]
    pub fn decides(self, is_local: bool) -> Option<bool> {
        if self.yes || (self.homehost && is_local) { Some(true) } else { self.no.then_some(false) }
    }
}

/// What is allowed for a device and metadata of a kind (`1.x`, `0.90`); `None` stands for any.
#[must_use]
pub fn allowed(policies: &[Policy], place: &Place, metadata: Option<&str>) -> Allowed {
    let mut found = Allowed { action: Action::Include, domains: BTreeSet::new(), auto: Auto::default() };
    let mut forbidden = false;
    for policy in policies.iter().filter(|p| matches(p, place, metadata)) {
        for (key, value) in &policy.words {
            match key {
                PolicyKey::Action => match Action::parse(value) {
                    Some(Action::Ignore) => forbidden = true,
                    Some(action) => found.action = found.action.max(action),
                    None => {}
                },
                PolicyKey::Domain => {
                    found.domains.insert(value.clone());
                }
                PolicyKey::Auto => match value.as_str() {
                    "yes" => found.auto.yes = true,
                    "no" => found.auto.no = true,
                    "homehost" => found.auto.homehost = true,
                    _ => {}
                },
                PolicyKey::Path | PolicyKey::Type | PolicyKey::Metadata => {}
            }
        }
    }
    if forbidden {
        found.action = Action::Ignore;
    }
    found
}

/// Of several words of a kind any will do.
fn matches(policy: &Policy, place: &Place, metadata: Option<&str>) -> bool {
    if policy.for_partitions && !place.partition {
        return false;
    }
    let any = |key: PolicyKey, fits: &dyn Fn(&str) -> bool| {
        let mut words = policy.words.iter().filter(|(k, _)| *k == key).peekable();
        words.peek().is_none() || words.any(|(_, value)| fits(value))
    };
    let kind = if place.partition { "part" } else { "disk" };
    any(PolicyKey::Type, &|word| word == kind)
        && any(PolicyKey::Path, &|word| at(place, word, policy.for_partitions))
        && any(PolicyKey::Metadata, &|word| metadata.is_none_or(|m| same_metadata(word, m)))
}

fn at(place: &Place, pattern: &str, of_disk: bool) -> bool {
    let Ok(pattern) = glob::Pattern::new(pattern) else { return false };
    let disk = |path: &str| path.rfind("-part").map_or(path.to_owned(), |at| path.get(..at).unwrap_or(path).to_owned());
    place.paths.iter().any(|path| pattern.matches(&if of_disk { disk(path) } else { path.clone() }))
}

fn same_metadata(word: &str, metadata: &str) -> bool {
    let kind = |w: &str| match w {
        "0" | "0.9" | "0.90" => "0.90".to_owned(),
        w if w == "default" || w == "1" || w.starts_with("1.") => "1.x".to_owned(),
        w => w.to_owned(),
    };
    kind(word) == kind(metadata)
}

/// Whether a device may become a spare of an array: all its domains are domains of the array's members, and it has one.
#[must_use]
pub fn compatible(device: &BTreeSet<String>, array: &BTreeSet<String>) -> bool {
    !device.is_empty() && device.is_subset(array)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::conf::Conf;

    fn policies(text: &str) -> Vec<Policy> {
        let mut conf = Conf::default();
        conf.add("conf", text.as_bytes());
        assert_eq!(conf.problems, []);
        conf.policies
    }

    fn disk(path: &str) -> Place {
        Place { paths: vec![path.to_owned()], partition: false }
    }

    fn action(text: &str) -> Action {
        allowed(&policies(text), &disk("p-2"), None).action
    }

    #[test]
    fn the_most_that_a_line_allows_counts_and_ignore_outweighs_all() {
        assert_eq!(action(""), Action::Include);
        assert_eq!(action("POLICY action=spare"), Action::Spare);
        assert_eq!(action("POLICY action=include\nPOLICY action=force-spare path=p-*"), Action::ForceSpare);
        assert_eq!(action("POLICY action=spare\nPOLICY path=p-2 action=ignore"), Action::Ignore);
        assert_eq!(action("POLICY path=p-2 action=ignore\nPOLICY action=spare"), Action::Ignore);
        assert_eq!(action("POLICY path=p-3 action=spare"), Action::Include);
        assert_eq!(action("POLICY type=part action=spare"), Action::Include);
        assert_eq!(action("POLICY type=disk action=re-add"), Action::ReAdd);
        assert_eq!(action("PART-POLICY action=spare"), Action::Include, "for partitions only");
    }

    #[test]
    fn a_policy_of_a_disk_holds_for_its_partitions_where_it_says_so() {
        let part = Place { paths: vec!["pci-1-part2".into()], partition: true };
        let of = |text: &str| allowed(&policies(text), &part, None).action;
        assert_eq!(of("PART-POLICY path=pci-1 action=spare"), Action::Spare);
        assert_eq!(of("POLICY path=pci-1 action=spare"), Action::Include);
        assert_eq!(of("POLICY path=pci-1-part* type=part action=spare"), Action::Spare);
    }

    #[test]
    fn metadata_and_domains_tell_which_array_takes_a_device() {
        let lines = policies("POLICY domain=d path=p-[01]\nPOLICY domain=e path=p-1\nPOLICY domain=x metadata=0.90");
        let domains = |path: &str, metadata| allowed(&lines, &disk(path), Some(metadata)).domains;
        let array: BTreeSet<String> = domains("p-0", "1.2").union(&domains("p-1", "1.2")).cloned().collect();
        let fits = |text: &str| compatible(&allowed(&policies(text), &disk("p-2"), Some("1.2")).domains, &array);
        assert!(fits("POLICY domain=d") && fits("POLICY domain=e metadata=1.x") && fits("POLICY domain=d domain=e"));
        assert!(
            !fits("POLICY domain=d domain=f") && !fits("POLICY action=spare") && !fits("POLICY domain=d metadata=0.90")
        );
        assert!(domains("p-0", "0.90").contains("x") && !domains("p-0", "1.1").contains("x"));
    }

    #[test]
    fn auto_yes_outweighs_no_and_homehost_is_yes_for_arrays_of_this_host_only() {
        let auto = |text: &str, is_local| allowed(&policies(text), &disk("p-2"), None).auto.decides(is_local);
        assert_eq!((auto("", true), auto("POLICY auto=no", true)), (None, Some(false)));
        assert_eq!((auto("POLICY auto=homehost", true), auto("POLICY auto=homehost", false)), (Some(true), None));
        let both = "POLICY auto=no\nPOLICY path=p-2 auto=homehost";
        assert_eq!((auto(both, true), auto(both, false)), (Some(true), Some(false)));
        assert_eq!(auto("POLICY path=p-2 auto=yes\nPOLICY auto=no", false), Some(true));
        assert_eq!(auto("POLICY path=p-3 auto=yes", true), None);
    }
}
