"""Paper: sheets made, printed, photographed, and measured."""
