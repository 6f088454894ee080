"""OTLP destinations that know what was acknowledged, and the Prometheus exposition."""
