"""The store, the append-only streams in it, and the files through which a pod's containers speak."""
