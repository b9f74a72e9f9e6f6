"""Commands that hand tables, subsets and maps to other programs, and take them in."""
