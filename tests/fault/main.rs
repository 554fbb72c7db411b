//! Both real programs under `kill -9`, cloned and restored state, and full disks: nothing lost, nothing doubled.
//!
//! The moment of a kill is a named point in the code and a seeded count of its passings (`shared::fault`), never a time.
//! Each test prints its seed; `PICKET_SEED` repeats it.

mod ack;
mod append;
#[cfg(test)]
mod authors;
mod both;
mod comeback;
mod commit;
#[cfg(test)]
mod fork;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod integrity;
mod renewal;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod rounds;
#[cfg(test)]
mod salvage;
#[cfg(test)]
mod world;
