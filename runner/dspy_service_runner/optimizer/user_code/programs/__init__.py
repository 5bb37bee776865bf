"""The job's program: from its sources, or of the programs of earlier jobs."""
