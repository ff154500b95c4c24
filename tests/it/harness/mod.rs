//! What tests are written with: the service, its peers, and ways to wait for what they do.

pub mod broker;
pub mod faketime;
pub mod filesystem;
pub mod golden;
pub mod http;
pub mod level;
pub mod mqtt;
pub mod peers;
pub mod ports;
pub mod process;
pub mod random;
pub mod receiver;
pub mod sereno;
pub mod session;
pub mod site;
pub mod table;
pub mod victoria;
pub mod wait;
pub mod witness;

pub use broker::Mosquitto;
pub use random::Random;
pub use sereno::Sereno;
pub use site::Site;
pub use wait::{eventually, seconds};
pub use witness::Witness;
