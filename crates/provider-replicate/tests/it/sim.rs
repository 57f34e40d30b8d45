//! The provider against the simulation.
