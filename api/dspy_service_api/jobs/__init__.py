"""What the API knows of jobs: records in a cache that the watch keeps up to date, transcripts and artifacts in the
store."""
