"""Grafana dashboards of the bridge as code: ``python -m dashboards`` writes their JSON."""
