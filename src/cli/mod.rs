//! What was typed, in order, and what it asks for.
#![forbid(unsafe_code)]

pub mod request;
