//! The seams between Henge and the world. Whatever is not a pure function of its arguments comes through here: time
//! ([`Clock`]), randomness ([`rng`]), and the disk ([`Disk`]). The network's seam is higher: protocol code lists the
//! messages to send and is handed those that came, and a driver (the real transport, or the simulator) carries them.
//!
//! Each seam has a real form and a simulated one, and the same production code runs on either.

pub mod clock;
pub mod cpu;
pub mod disk;
pub mod rng;

pub use clock::{Clock, SystemClock};
pub use disk::{Disk, DiskError, File, ForgetfulDisk, RealDisk, SimDisk};
pub use rng::Rng;
