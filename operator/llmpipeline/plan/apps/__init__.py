"""What each app becomes: an application of the Serve config, and what its deployments take of the cluster."""
