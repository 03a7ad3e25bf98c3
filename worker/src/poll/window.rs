//! Which window to read next. Pure.
