"""Specs with one mistake each, sent through the API server and through `validate`."""
