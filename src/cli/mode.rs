//! The modes, and sets of them.

use std::fmt;

/// A mode of the command line. The first option that names one, or a first device name, decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// `--assemble`
    Assemble,
    /// `--build`
    Build,
    /// `--create`
    Create,
    /// `--monitor`, `--follow`
    Monitor,
    /// `--grow`
    Grow,
    /// `--incremental`
    Incremental,
    /// `--manage`, `--add`, `--fail`, ...
    Manage,
    /// `--misc`, `--detail`, `--examine`, `--stop`, ...
    Misc,
    /// `--auto-detect`
    AutoDetect,
}

impl Mode {
    /// Every mode, in the order in which help lists them.
    pub const ALL: [Mode; 9] = [
        Mode::Create,
        Mode::Assemble,
        Mode::Build,
        Mode::Manage,
        Mode::Misc,
        Mode::Grow,
        Mode::Incremental,
        Mode::Monitor,
        Mode::AutoDetect,
    ];

    /// The word in messages, as the reference has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Mode::Assemble => "assemble",
            Mode::Build => "build",
            Mode::Create => "create",
            Mode::Monitor => "monitor",
            Mode::Grow => "grow",
            Mode::Incremental => "incremental",
            Mode::Manage => "manage",
            Mode::Misc => "misc",
            Mode::AutoDetect => "auto-detect",
        }
    }

    const fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A set of modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modes(u16);

/// Assemble.
pub const A: Modes = Modes(Mode::Assemble.bit());
/// Build.
pub const B: Modes = Modes(Mode::Build.bit());
/// Create.
pub const C: Modes = Modes(Mode::Create.bit());
/// Monitor ("follow").
pub const F: Modes = Modes(Mode::Monitor.bit());
/// Grow.
pub const G: Modes = Modes(Mode::Grow.bit());
/// Incremental.
pub const I: Modes = Modes(Mode::Incremental.bit());
/// Manage.
pub const M: Modes = Modes(Mode::Manage.bit());
/// Misc.
pub const X: Modes = Modes(Mode::Misc.bit());
/// Auto-detect.
pub const D: Modes = Modes(Mode::AutoDetect.bit());
/// All of them.
pub const ALL: Modes = A.or(B).or(C).or(F).or(G).or(I).or(M).or(X).or(D);

impl Modes {
    /// Both sets together.
    #[must_use]
    pub const fn or(self, other: Modes) -> Modes {
        Modes(self.0 | other.0)
    }

    /// Whether `mode` is in the set.
    #[must_use]
    pub const fn has(self, mode: Mode) -> bool {
        self.0 & mode.bit() != 0
    }
}
