"""What ``bench new`` writes: files of a package, with ``$placeholders``."""
