"""The `graph` app: a declared DAG of deployments."""
