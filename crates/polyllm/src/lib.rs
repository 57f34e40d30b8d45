//! polyllm
