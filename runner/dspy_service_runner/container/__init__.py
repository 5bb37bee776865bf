"""How a container of the embedded node begins, cold or forked from a warm process, before it is its command."""
