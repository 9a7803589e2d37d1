//! Members, leases, tables, layouts and chain epochs: metadata store and controller.
