"""Small models of one trained network: ours, torch-pruning's, and those that a search finds."""
