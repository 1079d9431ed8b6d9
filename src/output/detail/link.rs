//! Why an array's link in /dev/md is not called as the array is.

use super::Detail;
use crate::output::escape;

impl Detail {
    /// The reason; none where the link has the array's own name, or one that somebody chose.
    #[must_use]
    pub fn why_link(&self) -> Option<String> {
        let (link, full) = (self.link.as_deref()?, escape::text(self.name.as_ref()?));
        let (host, own) = full.split_once(':').map_or((None, full.as_str()), |(host, own)| (Some(host), own));
        let numbered = |of: &str| {
            let number = link.strip_prefix(of).and_then(|rest| rest.strip_prefix('_'));
            number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        };
        match host {
            _ if link == own => None,
            Some(host) if self.local_to.is_none() && (link == full || numbered(&full)) => Some(format!(
                "made for host {host}, which is not this one (--assemble --update=homehost makes it this one's)"
            )),
            None if numbered(own) => Some("no host is recorded: it may be another machine's array".into()),
            Some(_) if numbered(own) => Some(format!("another array had the name {own}")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(link: &str, name: &str, local: bool) -> Option<String> {
        let local_to = local.then(|| "box".to_owned());
        Detail { link: Some(link.into()), name: Some(name.into()), local_to, ..Detail::default() }.why_link()
    }

    #[test]
    fn foreign_taken_and_hostless_names_are_told_apart_and_chosen_ones_need_no_reason() {
        for (link, name, local) in [
            ("tank", "box:tank", true),
            ("mine", "box:tank", true),
            ("tank", "tank", false),
            ("tank_x", "box:tank", true),
        ] {
            assert_eq!(why(link, name, local), None, "{link} {name}");
        }
        assert!(why("other:tank", "other:tank", false).unwrap().starts_with("made for host other"));
        assert!(why("other:tank_0", "other:tank", false).unwrap().starts_with("made for host other"));
        assert_eq!(why("tank_0", "box:tank", true).unwrap(), "another array had the name tank");
        assert!(why("tank_0", "tank", false).unwrap().starts_with("no host is recorded"));
    }
}
