"""What is measured: each module's ``measure`` returns one section of results.json."""
