"""From a pipeline to what has to run: Serve applications, worker groups, GPUs. Pure."""
