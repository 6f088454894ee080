"""The proto services: one module each, independent of the transport."""
