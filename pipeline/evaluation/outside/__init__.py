"""Outside benchmarks: lmms-eval's tasks on an exported checkpoint, in an environment of its own."""
