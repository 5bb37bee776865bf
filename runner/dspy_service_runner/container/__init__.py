"""How a container of the embedded node starts, afresh (cold) or forked from a prepared process (warm), up to the point
where it runs its command."""
