"""Searches in simulated time, on recorded learning curves."""
