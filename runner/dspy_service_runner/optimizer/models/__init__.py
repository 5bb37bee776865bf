"""The language models of a job: every call is made, journalled, counted and watched here."""
