"""Training as a lab orders it: pictures and transforms, who takes part, several patches side by side."""
