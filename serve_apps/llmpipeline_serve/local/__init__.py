"""Serves one pipeline on this machine: `python -m llmpipeline_serve.local` with a job on standard input."""
