//! A recorded reading, from a file.
