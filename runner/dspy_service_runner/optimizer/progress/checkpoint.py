"""The folder from which a next attempt resumes: it holds GEPA's state and the best program so far."""

import logging
import os
import shutil
from pathlib import Path

import cloudpickle

logger = logging.getLogger("dspy_service.checkpoint")

GEPA_STATE = "gepa_state.bin"
GEPA_STOP = "gepa.stop"


def restore(earlier: Path, checkpoint: Path) -> None:
    """Copies an earlier attempt's folder. A GEPA state that a kill left unreadable is dropped: its work is repeated for
    free, because the journal has the answers.

    The user's modules must be loaded before, because the state may refer to their classes.
    """
    if not earlier.is_dir():
        return
    shutil.copytree(earlier, checkpoint, dirs_exist_ok=True)
    (checkpoint / GEPA_STOP).unlink(missing_ok=True)
    state = checkpoint / GEPA_STATE
    if not state.is_file():
        return
    try:
        cloudpickle.loads(state.read_bytes())
    except Exception as error:
        logger.warning("GEPA's saved state is unreadable and starts anew: %s", error)
        state.unlink()


def drop_special_files(checkpoint: Path) -> None:
    """GEPA opens its files by name, and would wait for ever on a FIFO that user code put there."""
    with os.scandir(checkpoint) as entries:
        special = [e for e in entries if not (e.is_file(follow_symlinks=False) or e.is_dir(follow_symlinks=False))]
    for entry in special:
        Path(entry).unlink(missing_ok=True)
