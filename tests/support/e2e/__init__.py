"""A real cluster with the chart in it."""
