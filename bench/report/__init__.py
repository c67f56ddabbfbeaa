"""Reports over the rows of a store."""
