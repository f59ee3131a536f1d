"""Prometheus and a live pipeline, by which dashboards and alert rules are tested."""
