"""How fast the study's parts are, beside their peers: ``make bench`` writes docs/benchmarks.md."""
