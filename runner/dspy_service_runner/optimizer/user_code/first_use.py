"""Loads what dspy itself would load only at its first model call, so that a prewarmed process has it already.

A cold process only pays for it a moment earlier. The price list is the one that came with dspy: in a pod that cannot
reach the internet, asking for a newer one would take five seconds.
"""

import difflib
import os
import threading

import cachetools
import tqdm
from dspy.clients import costs, execution, model_metadata
from dspy.clients.engines import streaming

LOADED = (difflib, cachetools, costs, execution, streaming)

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
model_metadata.source_info()


def quiet_bars() -> None:
    """Keeps tqdm from creating a lock shared by processes and a monitor thread with its first progress bar."""
    tqdm.tqdm.set_lock(threading.RLock())
    tqdm.tqdm.monitor_interval = 0
