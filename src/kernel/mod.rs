//! The kernel's interfaces that need `unsafe`: block device and md ioctls.
//!
//! Numbers and structs are from the uapi headers `linux/fs.h`, `linux/raid/md_u.h`; sizes are asserted at compile time.

pub mod blk;
pub mod clock;
pub mod md;
pub mod process;
pub mod term;
