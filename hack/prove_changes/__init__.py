"""What a change of each field does, measured on a real cluster: see `__main__`."""
