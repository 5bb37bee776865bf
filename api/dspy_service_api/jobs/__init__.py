"""What is known of jobs: their records in a cache that the watch feeds, transcripts and artifacts in the store."""
