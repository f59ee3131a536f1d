"""What tests and benchmarks share: real parts in processes, builders, tables. README.md says what is where."""
