"""One LLMPipeline resource, served by Ray on Kubernetes."""

__version__ = "0.1.0"
