"""Measurements that a person runs by hand; `make bench` runs `benchmarks.pipeline`."""
