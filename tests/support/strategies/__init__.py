"""Documents made at random, by Hypothesis."""
