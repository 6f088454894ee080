"""What `otelbridge doctor` looks at: a module for each area."""
