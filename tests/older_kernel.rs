//! The kernel tests once more, on the guest kernel of Debian stable (`tests/vm/build-kernel --older`), which `tests/vm/runner`
//! gives to programs named `older_*`. What such a kernel has not must be refused there: `vm::lockless_is_refused`.
//! `tests/layers.rs` sees to it that no kernel test is missing here.
#![allow(clippy::duplicate_mod)]

#[path = "kernel_assemble.rs"]
mod kernel_assemble;
#[path = "kernel_bitmap.rs"]
mod kernel_bitmap;
#[path = "kernel_bitmap_file.rs"]
mod kernel_bitmap_file;
#[path = "kernel_boot.rs"]
mod kernel_boot;
#[path = "kernel_boot_order.rs"]
mod kernel_boot_order;
#[path = "kernel_build.rs"]
mod kernel_build;
#[path = "kernel_clustered.rs"]
mod kernel_clustered;
#[path = "kernel_conf.rs"]
mod kernel_conf;
#[path = "kernel_convert.rs"]
mod kernel_convert;
#[path = "kernel_create.rs"]
mod kernel_create;
#[path = "kernel_detail.rs"]
mod kernel_detail;
#[path = "kernel_ensure.rs"]
mod kernel_ensure;
#[path = "kernel_examine.rs"]
mod kernel_examine;
#[path = "kernel_goes_on.rs"]
mod kernel_goes_on;
#[path = "kernel_grow.rs"]
mod kernel_grow;
#[path = "kernel_grow_bitmap.rs"]
mod kernel_grow_bitmap;
#[path = "kernel_hostile.rs"]
mod kernel_hostile;
#[path = "kernel_incremental.rs"]
mod kernel_incremental;
#[path = "kernel_journal.rs"]
mod kernel_journal;
#[path = "kernel_lockless.rs"]
mod kernel_lockless;
#[path = "kernel_lockless_life.rs"]
mod kernel_lockless_life;
#[path = "kernel_lockless_sight.rs"]
mod kernel_lockless_sight;
#[path = "kernel_manage.rs"]
mod kernel_manage;
#[path = "kernel_members.rs"]
mod kernel_members;
#[path = "kernel_misc.rs"]
mod kernel_misc;
#[path = "kernel_monitor.rs"]
mod kernel_monitor;
#[path = "kernel_names.rs"]
mod kernel_names;
#[path = "kernel_plans.rs"]
mod kernel_plans;
#[path = "kernel_readme.rs"]
mod kernel_readme;
#[path = "kernel_reshape.rs"]
mod kernel_reshape;
#[path = "kernel_revert.rs"]
mod kernel_revert;
#[path = "kernel_saved.rs"]
mod kernel_saved;
#[path = "kernel_scan.rs"]
mod kernel_scan;
#[path = "kernel_scenarios.rs"]
mod kernel_scenarios;
#[path = "kernel_smoke.rs"]
mod kernel_smoke;
#[path = "kernel_udev.rs"]
mod kernel_udev;
#[path = "kernel_updates.rs"]
mod kernel_updates;
#[path = "kernel_v090.rs"]
mod kernel_v090;
#[path = "kernel_write_zeroes.rs"]
mod kernel_write_zeroes;
