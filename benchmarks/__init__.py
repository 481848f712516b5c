"""What the searches cost: ``python -m benchmarks`` (or ``make bench``) prints two tables."""
