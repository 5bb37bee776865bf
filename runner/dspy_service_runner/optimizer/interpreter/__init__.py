"""Runs Python that a model wrote (ProgramOfThought, CodeAct, RLM), in a process of its own in the job's sandbox."""
