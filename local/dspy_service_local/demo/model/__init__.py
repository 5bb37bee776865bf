"""The demo's humble model: an OpenAI-compatible server whose answers come from the prompt alone, by plain rules.

It knows no answers. It labels a message like the nearest of the examples in its prompt, heeds sentences of the
instruction that speak of a label, and writes instructions from the examples that a prompt shows it. So a better
prompt really is better for it, and a DSPy optimizer has something to find without a key, a network or a GPU.

    server.py -> prompt.py (reads DSPy's chat format) -> answer.py -> task.py     (answers by the nearest example)
                                                                   -> propose.py  (instructions from shown examples)
"""
