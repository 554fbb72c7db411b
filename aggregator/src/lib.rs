//! The aggregator: journals what agents saw, makes sense of it and forwards it.
//!
//! `ingest ▶ journal ▶ normalize ▶ sink`; stages import the nouns ([`event`], [`schema`]) and `shared`,
//! never one another.

pub mod admin;
pub mod app;
pub mod ca;
pub mod cli;
pub mod command;
pub mod config;
pub mod directory;
pub mod event;
pub mod fleet;
pub mod ingest;
pub mod journal;
pub mod matcher;
pub mod normalize;
pub mod pipeline;
pub mod prompt;
pub mod reduce;
pub mod route;
pub mod schema;
pub mod sink;
