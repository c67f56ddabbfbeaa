"""The dataset plugins: a file here is the registration, its name the key."""
