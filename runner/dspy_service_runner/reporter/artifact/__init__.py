"""The program and the checkpoint, file by file into the store."""
