//! Style as a test: the rooms of ARCHITECTURE's chapter 3 and the conventions that a compiler does not hold.
//!
//! Every rule walks the source tree and names each file and line that breaks it.

mod copies;
mod rooms;
mod shape;
mod tree;
