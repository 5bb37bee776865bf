"""What dspy imports and loads only at its first model call, loaded at once: a prewarmed process then has it already.

A cold one pays no more than it would a moment later. The price list is the one that came with dspy: asking the
internet for a newer one would cost a pod without a way out five seconds.
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
    """Progress bars without the process-shared lock and the monitor thread that tqdm would make at the first one."""
    tqdm.tqdm.set_lock(threading.RLock())
    tqdm.tqdm.monitor_interval = 0
