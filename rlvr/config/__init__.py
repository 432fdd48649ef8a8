"""What a run is, as strict TOML: every key is known, every mistake is one line before anything loads."""
