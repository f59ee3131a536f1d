"""What Prometheus is asked about pipelines: queries, alert rules and objectives. Pure."""
