//! Stateless protocol fronts: web and gRPC.

pub mod grpc;
pub mod web;
