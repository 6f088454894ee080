"""What is told, and under which name: interceptions become OTLP messages."""
