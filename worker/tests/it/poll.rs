//! Reading Mimecast, against the simulator's.

mod access;
mod ahead;
mod everything;
mod quota;
mod requests;
mod responses;
mod stand;
