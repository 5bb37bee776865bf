"""Commands that show jobs and what came of them."""
