//! What Picket promises about who may talk to whom, shown with the code of both ends and no socket.

#[cfg(test)]
mod command;
#[cfg(test)]
mod enrollment;
#[cfg(test)]
mod handshake;
#[cfg(test)]
mod world;
