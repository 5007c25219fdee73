//! The client against scripted registries, which are faulty in every way that is known.

mod fixture;
mod hostile;
mod letting_in;
mod mirrors;
mod pulling;
mod pushing;
mod referring;
mod uploads;
