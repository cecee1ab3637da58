"""Training one small network in three ways: ours, the barest loop, and as users of torch usually write it."""
