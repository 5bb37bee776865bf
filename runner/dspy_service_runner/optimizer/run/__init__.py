"""The run, stage by stage: inputs, checks, preflight, baseline, optimizer, final score; and how it may end."""
