"""Held-out tasks, means with their uncertainty, paired differences."""
