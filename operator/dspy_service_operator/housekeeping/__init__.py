"""What ends or is removed by and by: expired records, leftovers of jobs and of the store."""
