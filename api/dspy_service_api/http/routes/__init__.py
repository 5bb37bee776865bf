"""The endpoints: parse, call, return. Answers are bytes that are ready, so none has a model at run time."""
