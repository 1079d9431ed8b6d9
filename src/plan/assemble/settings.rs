//! SYSFS lines of mdadm.conf: attributes that are set once the array runs.

use std::path::Path;

use crate::host::conf::SysfsLine;
use crate::plan::step::Step;
use crate::uuid::Uuid;

/// The steps for one array: the last line first, as in the reference, so that the first line has the last word. A line with a uuid is
/// about that array only, whatever name it has.
#[must_use]
pub fn steps(lines: &[SysfsLine], uuid: Uuid, path: &Path, devname: &str) -> Vec<Step> {
    let fits = |line: &&SysfsLine| match (line.uuid, &line.name) {
        (Some(wanted), _) => wanted == uuid,
        (None, Some(name)) => Path::new(name) == path,
        (None, None) => false,
    };
    let setting = |(attr, value): &(String, String)| Step::Setting {
        devname: devname.to_owned(),
        attr: attr.clone(),
        value: value.clone(),
    };
    lines.iter().rev().filter(fits).flat_map(|line| &line.attributes).map(setting).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_an_array_apply_in_reverse_order_and_a_uuid_outweighs_a_name() {
        let line = |uuid: Option<Uuid>, name: &str, value: &str| SysfsLine {
            uuid,
            name: Some(name.to_owned()),
            attributes: vec![("sync_speed_max".into(), value.into())],
        };
        let (own, other) = (Uuid([1; 16]), Uuid([2; 16]));
        let lines = [
            line(None, "/dev/md/a", "1"),
            line(Some(own), "/dev/md/b", "2"),
            line(Some(other), "/dev/md/a", "3"),
            line(None, "/dev/md/b", "4"),
        ];
        let values = |path: &str, uuid| -> Vec<String> {
            let value = |step| match step {
                Step::Setting { value, .. } => value,
                _ => String::new(),
            };
            steps(&lines, uuid, Path::new(path), "md5").into_iter().map(value).collect()
        };
        assert_eq!(values("/dev/md/a", own), ["2", "1"]);
        assert_eq!(values("/dev/md/b", other), ["4", "3"]);
        assert!(values("/dev/md5", Uuid([3; 16])).is_empty());
    }
}
