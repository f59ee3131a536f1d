"""Classes: which one a pipeline has, what it fills in, and which images it allows. Pure."""
