//! Reading Mimecast, against the simulator's.

mod access;
mod stand;
