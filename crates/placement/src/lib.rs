//! Which nodes hold which partition: pure.
