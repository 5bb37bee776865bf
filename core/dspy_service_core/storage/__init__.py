"""The store, the append-only streams in it, and the files by which a pod's containers communicate."""
