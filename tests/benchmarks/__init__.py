"""The benchmarks: `make bench`, or `python -m tests.benchmarks`. Never part of the tests."""
