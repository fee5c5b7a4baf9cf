"""The benchmark suite: workloads x systems -> JSON in results/. Not part of the installed package."""
