"""Grafana's dashboards as code: `make generate` writes them as JSON."""
