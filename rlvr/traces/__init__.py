"""Every sampled completion as a row: schema, store, export."""
