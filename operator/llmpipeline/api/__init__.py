"""The resource: frozen models, the rules between their fields, and the CRD generated from both."""
