"""Checks on this machine that every network trains, converts, exports and runs alike everywhere."""
