"""Benchmarks beside the tools that are used today; each module is a command of its own."""
