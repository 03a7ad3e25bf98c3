//! Reading Mimecast, against the simulator's.

mod access;
mod requests;
mod responses;
mod stand;
