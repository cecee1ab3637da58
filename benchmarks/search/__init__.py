"""What the searchers' benchmarks share: tasks, the searchers that are compared, and how they are played and judged."""
