"""Source text of live objects, with what they need: of their own module as statements, of the project's as files."""
