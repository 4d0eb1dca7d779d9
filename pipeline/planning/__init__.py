"""Plans: which shots, and how many show which effect."""
