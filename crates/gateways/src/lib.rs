//! Stateless protocol fronts: web and gRPC.

mod copies;
pub mod grpc;
mod health;
mod links;
mod metrics;
mod turns;
pub mod web;

pub use health::{Health, HealthCheck};
pub use metrics::Metrics;
