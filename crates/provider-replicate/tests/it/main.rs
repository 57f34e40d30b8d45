//! The provider against scripted and simulated upstreams.

mod cancel;
mod chat;
mod names;
mod params;
mod sim;
mod stream;
mod support;
