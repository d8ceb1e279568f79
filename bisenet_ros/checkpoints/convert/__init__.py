"""Other people's checkpoints: one explicit key table per source."""
