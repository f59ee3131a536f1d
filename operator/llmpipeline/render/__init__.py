"""From a plan to manifests. Pure: the same plan gives the same bytes."""
