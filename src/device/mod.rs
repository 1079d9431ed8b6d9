//! Where metadata is read from and written to: real devices, image files, and memory for tests.
//!
//! Reading commands get `&dyn ReadAt`, so a write in one of them does not compile.

pub mod cache;
pub mod mem;
pub mod readers;
pub mod real;

pub use crate::blockio::{ReadAt, WriteAt};
