"""Whether a cluster can run pipelines. Pure: from what was read of it to findings, each with what to do."""
