//! The remote cache against servers.
