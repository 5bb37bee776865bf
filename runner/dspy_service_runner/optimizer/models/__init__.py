"""The language models of a job: every call is made, kept in the journal, counted and watched here."""
