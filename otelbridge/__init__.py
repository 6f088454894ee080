"""OpenTelemetry-native server for AI gateways."""
