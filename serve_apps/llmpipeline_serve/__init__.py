"""The Ray Serve apps that an LLMPipeline runs, and the runner that serves them on one machine."""
