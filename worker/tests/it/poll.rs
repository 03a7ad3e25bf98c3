//! Reading Mimecast, against the simulator's.

mod access;
mod everything;
mod quota;
mod requests;
mod responses;
mod stand;
