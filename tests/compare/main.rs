//! Ours against the reference, case by case: the same commands on equal devices in one guest, then stdout, exit status and
//! every byte on the devices compared after masking times and uuids. The cases are the `*.cases` files beside this one;
//! `case.rs` says how they are written, docs/testing.md how to run one. Deliberate differences are in `differences.txt`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod bytes;
mod case;
mod count;
mod deliberate;
mod mask;
mod play;
#[path = "../vm/mod.rs"]
mod vm;

/// One test, and so one guest, for each file.
macro_rules! battery {
    ($($test:ident: $file:literal,)*) => {
        /// Every file with its text.
        pub const FILES: &[(&str, &str)] = &[$(($file, include_str!($file)),)*];
        $(#[test]
        fn $test() {
            play::file($file, include_str!($file));
        })*
    };
}

battery! {
    create_of_every_level_is_the_references: "create-levels.cases",
    create_options_are_the_references: "create-options.cases",
    create_questions_and_refusals_are_the_references: "create-refusals.cases",
    build_is_the_references: "build.cases",
    arrays_with_a_journal_or_ppl_are_the_references: "logs.cases",
    reading_commands_print_what_the_reference_prints: "read.cases",
    changing_commands_do_what_the_reference_does: "change.cases",
    managing_members_is_the_references: "manage.cases",
    managing_under_other_conditions_is_the_references: "manage-members.cases",
    misc_commands_do_what_the_reference_does: "misc.cases",
    assemble_is_the_references_and_each_takes_what_the_other_made: "assemble.cases",
    incremental_is_the_references: "incremental.cases",
    monitor_tells_what_the_reference_tells: "monitor.cases",
    metadata_0_90_is_the_references: "v090.cases",
    grow_of_sizes_and_levels_is_the_references: "grow.cases",
    grow_of_bitmaps_is_the_references: "grow-bitmap.cases",
}
