"""The Job controller: batch/v1 Jobs to pods."""
