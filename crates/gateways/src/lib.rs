//! Stateless protocol fronts: web and gRPC.
