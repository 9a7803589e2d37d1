//! Stateless protocol fronts: web and gRPC.

mod copies;
pub mod grpc;
mod health;
mod links;
mod mail;
mod metrics;
mod network;
mod turns;
pub mod web;

pub use health::{Health, HealthCheck};
pub use mail::SmtpMailer;
pub use metrics::Metrics;
